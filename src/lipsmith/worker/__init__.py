"""Takes jobs from the queue and has the engine do them, in processes of their own."""
