"""Files in, files out: knows no database, no HTTP, no user, and never reads the environment."""
