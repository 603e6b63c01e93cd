"""Attacks on the embedding, natural corruptions, and a report of what they do to retrieval."""
