"""Several data sets as one: people and cameras of different sets stay different."""

from collections.abc import Callable, Mapping, Sequence

from reid.data.records import SPLITS, Counts, ImageRecord, Records, Splits
from reid.utils.errors import InputError

MOST = 2**63 - 1  # ids are int64


def join(parts: Mapping[str, Splits], trained: Sequence[str], tested: Sequence[str]) -> Splits:
    """Joins data sets; those of the first keep their pids and camids, the others get the next ones.

    Distractors of all sets share one pid.

    Args:
        parts: The data sets by name.
        trained: Whose training images are trained on; the place here is their ``source``.
        tested: Whose queries are searched for in all of their galleries.

    Raises:
        InputError: There are more pids than int64 has.
    """
    moved = _moved(parts)

    def of(names: Sequence[str], records_of: Callable[[Splits], Records]) -> Records:
        return tuple(
            record._replace(source=place)
            for place, name in enumerate(names)
            for record in records_of(moved[name])
        )

    unreadable: dict[str, int] = {}
    for part in parts.values():
        for split, number in part.unreadable.items():
            unreadable[split] = unreadable.get(split, 0) + number
    distractors = [
        part.distractor_pid for part in moved.values() if part.distractor_pid is not None
    ]
    return Splits(
        of(trained, lambda part: part.train),
        of(tested, lambda part: part.query),
        of(tested, lambda part: part.gallery),
        distractors[0] if distractors else None,
        unreadable=unreadable,
        published=_published(parts, trained, tested),
        val=(of(trained, lambda part: part.val[0]), of(trained, lambda part: part.val[1])),
        closed_set=any(part.closed_set for part in parts.values()),
        cameras_known=all(parts[name].cameras_known for name in tested),
        drawn={name: drawn for part in parts.values() for name, drawn in part.drawn.items()},
    )


def _moved(parts: Mapping[str, Splits]) -> dict[str, Splits]:
    """Returns the data sets with ids that no two of them share."""
    first_pid, first_camid = 0, 0
    shared: int | None = None  # pid of the distractors
    moved = {}
    for name, part in parts.items():
        records = (*part.train, *part.query, *part.gallery, *part.val[0], *part.val[1])
        next_pid = first_pid + 1 + max((record.pid for record in records), default=0)
        next_camid = first_camid + 1 + max((record.camid for record in records), default=0)
        if max(next_pid, next_camid) > MOST:
            raise InputError(f"{name}: its ids are too large to stand beside those of other sets")
        if part.distractor_pid is not None and shared is None:
            shared = first_pid + part.distractor_pid
        moved[name] = _shifted(part, first_pid, first_camid, shared)
        first_pid, first_camid = next_pid, next_camid
    return moved


def _shifted(part: Splits, pids: int, camids: int, distractor: int | None) -> Splits:
    def shift(records: Records) -> Records:
        return tuple(
            ImageRecord(
                record.path,
                distractor
                if distractor is not None and record.pid == part.distractor_pid
                else record.pid + pids,
                record.camid + camids,
            )
            for record in records
        )

    return part._replace(
        train=shift(part.train),
        query=shift(part.query),
        gallery=shift(part.gallery),
        val=(shift(part.val[0]), shift(part.val[1])),
        distractor_pid=None if part.distractor_pid is None else distractor,
    )


def _published(
    parts: Mapping[str, Splits], trained: Sequence[str], tested: Sequence[str]
) -> dict[str, Counts] | None:
    """Returns the sums of the published counts; None where a set has none."""
    if any(part.published is None for part in parts.values()):
        return None
    with_distractors = sum(parts[name].distractor_pid is not None for name in tested)
    found = {}
    for split in SPLITS:
        counts = [
            (parts[name].published or {})[split]
            for name in (trained if split == "train" else tested)
        ]
        ids = _sum([count.ids for count in counts])
        if split == "gallery" and ids is not None and with_distractors > 1:
            ids -= with_distractors - 1  # they share one pid
        cameras = _sum([count.cameras for count in counts])
        found[split] = Counts(sum(count.images for count in counts), ids, cameras)
    return found


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
