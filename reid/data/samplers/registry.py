"""The table of samplers."""

from reid.data.samplers.plan import PlanSampler
from reid.utils.registry import Registry, Section

SAMPLERS: Registry[type[PlanSampler]] = Registry(
    "sampler",
    Section("DATALOADER", ("NUM_WORKERS", "CACHE", "ON_ERROR", "SAMPLER", "NUM_INSTANCES")),
    base=PlanSampler,
    values={"serves_pairs": (True, False)},
    facts=(
        "labels",
        "camids",
        "sources",
        "num_images",
        "batch_size",
        "num_ids",
        "num_instances",
        "seed",
        "rank",
        "world_size",
    ),
)
