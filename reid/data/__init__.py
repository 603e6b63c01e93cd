"""Data sets, samplers, augmentation and loaders."""
