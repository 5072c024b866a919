"""Pre-training by masked reconstruction."""
