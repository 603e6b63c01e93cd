"""Synthetic pedestrians: a seeded generator that writes a folder in Market-1501's layout."""

from reid.synthetic.masks import mask_of, write_masks
from reid.synthetic.plan import DISTRACTOR_PID
from reid.synthetic.presets import PRESETS, Preset
from reid.synthetic.style import Style
from reid.synthetic.writer import ensure_synthetic, folder_name

__all__ = [
    "DISTRACTOR_PID",
    "PRESETS",
    "Preset",
    "Style",
    "ensure_synthetic",
    "folder_name",
    "mask_of",
    "write_masks",
]
