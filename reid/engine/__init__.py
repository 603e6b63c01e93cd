"""The training loop, its optimizer, its checkpoints."""
