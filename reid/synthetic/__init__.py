"""Synthetic pedestrians: a seeded generator that writes a folder in Market-1501's layout."""

from reid.synthetic.plan import DISTRACTOR_PID
from reid.synthetic.presets import PRESETS, Preset
from reid.synthetic.writer import ensure_synthetic

__all__ = ["DISTRACTOR_PID", "PRESETS", "Preset", "ensure_synthetic"]
