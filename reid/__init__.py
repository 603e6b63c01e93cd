"""Person re-identification: train, evaluate, attack."""

__version__ = "0.1.0"
