"""What is asked of the runs: which table, which metric, which comparison was named before."""

from collections.abc import Sequence
from dataclasses import dataclass

from reid.statistics.resampling import RESAMPLES

KINDS = {"test": "Tested", "attack": "Attacked", "corruption": "Corrupted images"}
PAIRINGS = ("auto", "paired", "independent")


@dataclass(frozen=True)
class Primary:
    """A comparison that was named before the runs were made.

    Attributes:
        compared: Name of the group that is compared with the baseline; or what names an
            interaction, see :func:`reid.jobs.comparing.contrast.contrast_of`.
        test: The row, as the tables name it: ``clean``, ``pgd-fna 4``, ``clean, re-ranked``.
        metric: A key of :data:`reid.jobs.comparing.measures.METRICS`.
    """

    compared: Sequence[str]
    test: str = "clean"
    metric: str = "mAP"


@dataclass(frozen=True)
class Question:
    """What is asked of the runs.

    Attributes:
        kinds: Keys of :data:`KINDS`; none means all that the runs have.
        metric: A key of :data:`reid.jobs.comparing.measures.METRICS`.
        rankings: Names of rankings; none means all.
        pairing: One of :data:`PAIRINGS`.
        seed: Seed of the random numbers.
        resamples: Number of resamples.
        interactions: Names of the groups of each; see
            :func:`reid.jobs.comparing.contrast.contrast_of`.
        primary: What was named before the runs; it is corrected by itself.
    """

    kinds: Sequence[str] = ()
    metric: str = "mAP"
    rankings: Sequence[str] = ()
    pairing: str = "auto"
    seed: int = 0
    resamples: int = RESAMPLES
    interactions: Sequence[Sequence[str]] = ()
    primary: Sequence[Primary] = ()
