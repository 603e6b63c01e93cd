"""Leaf helpers: they import nothing else of reid."""
