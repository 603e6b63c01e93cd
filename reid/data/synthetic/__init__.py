"""Synthetic pedestrians: a seeded generator that writes a folder in Market-1501's layout."""

from reid.data.synthetic.presets import PRESETS, Preset
from reid.data.synthetic.sheet import contact_sheet
from reid.data.synthetic.writer import ensure_synthetic

__all__ = ["PRESETS", "Preset", "contact_sheet", "ensure_synthetic"]
