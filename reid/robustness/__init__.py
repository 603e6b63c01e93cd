"""Attacks, corruptions and defences against them."""
