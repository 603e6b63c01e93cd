"""Samplers: which images make which batch; a file dropped in here registers itself."""

from reid.data.samplers.pk import PKSampler
from reid.data.samplers.plan import PlanSampler, SeededIndex
from reid.data.samplers.registry import SAMPLERS
from reid.data.samplers.shuffle import ShuffleSampler
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["SAMPLERS", "PKSampler", "PlanSampler", "SeededIndex", "ShuffleSampler"]
