"""The training loop, its optimizer and checkpoints."""
