"""The judge: measures a source and a dub from their files alone, never asking model or renderer."""
