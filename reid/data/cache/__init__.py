"""Decoded images that are kept in memory or in a file, and the loader that reads them."""
