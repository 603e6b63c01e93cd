"""What is looked for in a data set, a function for each rule.

A distractor (:attr:`reid.data.records.Splits.distractor_pid`) and junk (pid -1) are no identities:
no rule compares their pid with that of a person, but for ``searched_person_as_distractor``. Persons
of train and of query and gallery are compared by two rules of their own.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from reid.data.checking.findings import Example, Finding, Findings
from reid.data.checking.reading import Picture, read_pictures
from reid.data.records import JUNK_PID, SPLITS, Splits, describe_counts

TINY = 16  # pixels of the shorter side, below which a person is a few dots
HUGE = 2_000_000  # pixels: a frame of 1920x1080 has more, and a crop of one has not
ORDINARY_MODES = {"RGB", "L"}


@dataclass(frozen=True)
class Seen:
    """All that the rules look at.

    Attributes:
        splits: The data set.
        pictures: Its images, sorted by split and path.
        cross_camera: Whether a query is matched by images of other cameras only.
    """

    splits: Splits
    pictures: tuple[Picture, ...]
    cross_camera: bool

    @cached_property
    def repeated(self) -> list[tuple[Picture, ...]]:
        """Groups of two or more images with the same pixels."""
        groups: dict[str, list[Picture]] = defaultdict(list)
        for picture in self.pictures:
            if not picture.problem:
                groups[picture.pixel_digest].append(picture)
        return [tuple(group) for group in groups.values() if len(group) > 1]

    @cached_property
    def unmatched(self) -> list[Picture]:
        """Queries without a match in the gallery."""
        gallery: dict[int, list[Picture]] = defaultdict(list)
        for picture in self.pictures:
            if picture.split == "gallery" and self.is_person(picture):
                gallery[picture.record.pid].append(picture)
        return [
            query
            for query in self.pictures
            if query.split == "query"
            and not any(self.counts(query, other) for other in gallery[query.record.pid])
        ]

    def is_person(self, picture: Picture) -> bool:
        """Says whether an image shows an identity: it is neither junk nor a distractor."""
        if picture.record.pid == JUNK_PID:
            return False
        return picture.split == "train" or picture.record.pid != self.splits.distractor_pid

    def counts(self, query: Picture, match: Picture) -> bool:
        """Says whether the ranking of a query counts a gallery image of the same pid.

        Args:
            query: The query.
            match: Image of the gallery.
        """
        if self.cross_camera:
            return query.record.camid != match.record.camid
        return query.record.path != match.record.path


Find = Callable[[Seen], Iterable[Example]]


class Rule(NamedTuple):
    """One thing that is looked for.

    Attributes:
        spoils: Whether a case would spoil a result.
        title: What is looked for, in a few words.
        find: Function that yields the cases.
    """

    spoils: bool
    title: str
    find: Find


RULES: dict[str, Rule] = {}


def _rule(spoils: bool, title: str) -> Callable[[Find], Find]:
    """Puts a function into RULES under its own name."""

    def put(find: Find) -> Find:
        RULES[find.__name__] = Rule(spoils, title, find)
        return find

    return put


def check_images(
    splits: Splits,
    threads: int,
    cross_camera: bool = True,
) -> Findings:
    """Decodes each image of a data set once, and applies RULES.

    Args:
        splits: A data set.
        threads: Number of threads that decode.
        cross_camera: Whether a query is matched by images of other cameras only; otherwise by all
            but its own file.
    """
    parts = zip(SPLITS, (splits.train, splits.query, splits.gallery), strict=True)
    records = [(split, record) for split, part in parts for record in sorted(part)]
    seen = Seen(splits, tuple(read_pictures(records, threads)), cross_camera)
    found = [
        Finding(kind, rule.spoils, rule.title, examples)
        for kind, rule in RULES.items()
        if (examples := tuple(rule.find(seen)))
    ]
    return Findings(seen.pictures, tuple(sorted(found, key=lambda finding: not finding.spoils)))


@_rule(True, "a number differs from the published one")
def counts_differ(seen: Seen) -> Iterator[Example]:
    """Yields each count that differs: results cannot be compared with those of papers."""
    yield from map(Example, describe_counts(seen.splits)[1])


@_rule(True, "image cannot be decoded")
def unreadable(seen: Seen) -> Iterator[Example]:
    """Yields each file that cannot be decoded."""
    for picture in seen.pictures:
        if picture.problem:
            yield Example(picture.problem, (picture,))


@_rule(True, "same picture in train and in query or gallery")
def train_picture_in_test(seen: Seen) -> Iterator[Example]:
    """Yields each picture that is trained on and tested with, whatever its pids."""
    for group in seen.repeated:
        splits = {picture.split for picture in group}
        if "train" in splits and len(splits) > 1:
            yield _same(group)


@_rule(True, "same picture under two identities")
def picture_of_two_identities(seen: Seen) -> Iterator[Example]:
    """Yields each picture with two pids within train, or within query and gallery."""
    for group in seen.repeated:
        for part in _train_and_test(group):
            persons = tuple(filter(seen.is_person, part))
            if len({picture.record.pid for picture in persons}) > 1:
                yield _same(persons)


@_rule(True, "same picture of somebody who is searched for, and as a distractor")
def searched_person_as_distractor(seen: Seen) -> Iterator[Example]:
    """Yields each picture that is at once a right and a wrong answer to a query."""
    searched = {record.pid for record in seen.splits.query}
    for group in seen.repeated:
        _, test = _train_and_test(group)
        persons = [p for p in test if seen.is_person(p) and p.record.pid in searched]
        distractors = [p for p in test if p.record.pid == seen.splits.distractor_pid]
        if persons and distractors:
            yield _same((*persons, *distractors))


@_rule(True, "query finds its own picture in the gallery, as a match")
def query_finds_itself(seen: Seen) -> Iterator[Example]:
    """Yields each query whose own picture is a match that the ranking counts."""
    for query, copies in _copies_of_queries(seen):
        counted = tuple(copy for copy in copies if seen.counts(query, copy))
        if counted:
            yield _same((query, *counted))


@_rule(True, "identity in train and in query")
def identity_in_train_and_query(seen: Seen) -> Iterator[Example]:
    """Yields each identity that is trained on and searched for, unless the data set means it so."""
    if seen.splits.closed_set:
        return
    for pid in sorted(_pids(seen, "train") & _pids(seen, "query")):
        yield Example(f"pid {pid}", _of_pid(seen, pid))


@_rule(True, "no query has a match in the gallery")
def no_query_has_a_match(seen: Seen) -> Iterator[Example]:
    """Yields one example if all queries are without a match: there would be no result."""
    if seen.splits.query and len(seen.unmatched) == len(seen.splits.query):
        yield Example(f"all {len(seen.unmatched)} queries")


@_rule(False, "query without a match in the gallery; it is left out")
def query_without_a_match(seen: Seen) -> Iterator[Example]:
    """Yields each query that no gallery image can match."""
    for query in seen.unmatched:
        yield Example(f"pid {query.record.pid}, camid {query.record.camid}", (query,))


@_rule(False, "query's own picture in the gallery; the protocol leaves it out")
def query_in_gallery(seen: Seen) -> Iterator[Example]:
    """Yields each query whose own picture is in the gallery, but not as a counted match."""
    for query, copies in _copies_of_queries(seen):
        left_out = tuple(copy for copy in copies if not seen.counts(query, copy))
        if left_out:
            yield _same((query, *left_out))


@_rule(False, "same picture more than once, under one identity of one split")
def repeated_picture(seen: Seen) -> Iterator[Example]:
    """Yields each picture that a split has more than once under the same pid."""
    for group in seen.repeated:
        parts: dict[tuple[str, int], list[Picture]] = defaultdict(list)
        for picture in group:
            parts[picture.split, picture.record.pid].append(picture)
        yield from (_same(tuple(part)) for part in parts.values() if len(part) > 1)


@_rule(False, "identity seen by one camera only; it teaches nothing across cameras")
def identity_of_one_camera(seen: Seen) -> Iterator[Example]:
    """Yields each identity of one camera, in train, and in query and gallery together."""
    for name, part in zip(("train", "test"), _train_and_test(seen.pictures), strict=True):
        by_pid: dict[int, list[Picture]] = defaultdict(list)
        for picture in filter(seen.is_person, part):
            by_pid[picture.record.pid].append(picture)
        for pid, pictures in sorted(by_pid.items()):
            cameras = {picture.record.camid for picture in pictures}
            if len(cameras) == 1:
                text = f"{name} pid {pid}, camid {cameras.pop()}, {len(pictures)} images"
                yield Example(text, tuple(pictures))


@_rule(False, "identity in train and in gallery, but not searched for")
def identity_in_train_and_gallery(seen: Seen) -> Iterator[Example]:
    """Yields each identity that is trained on and is a wrong answer to all queries."""
    shared = _pids(seen, "train") & _pids(seen, "gallery")
    for pid in sorted(shared - _pids(seen, "query")):
        yield Example(f"pid {pid}", _of_pid(seen, pid))


@_rule(False, "image that is neither 8-bit RGB nor 8-bit gray, or is transparent")
def odd_mode(seen: Seen) -> Iterator[Example]:
    """Yields each image with a pixel format that is unusual for photographs."""
    for picture in _readable(seen):
        if picture.mode not in ORDINARY_MODES or picture.transparent:
            see_through = ", transparent" if picture.transparent else ""
            yield Example(f"mode {picture.mode}{see_through}", (picture,))


@_rule(False, "image that an EXIF tag turns or mirrors")
def turned(seen: Seen) -> Iterator[Example]:
    """Yields each image with an EXIF orientation other than upright."""
    for picture in _readable(seen):
        if picture.orientation != 1:
            yield Example(f"EXIF orientation {picture.orientation}", (picture,))


@_rule(False, f"tiny image: shorter side below {TINY} pixels")
def tiny(seen: Seen) -> Iterator[Example]:
    """Yields each image that is too small to show a person."""
    for picture in _readable(seen):
        if min(picture.size) < TINY:
            yield Example("{}x{}".format(*picture.size), (picture,))


@_rule(False, f"huge image: more than {HUGE / 1e6:g} million pixels; whole frames, not crops?")
def huge(seen: Seen) -> Iterator[Example]:
    """Yields each image that is larger than crops of persons are."""
    for picture in _readable(seen):
        if picture.size[0] * picture.size[1] > HUGE:
            yield Example("{}x{}".format(*picture.size), (picture,))


def _readable(seen: Seen) -> Iterator[Picture]:
    return (picture for picture in seen.pictures if not picture.problem)


def _train_and_test(
    pictures: Iterable[Picture],
) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """Returns the images of train, and those of query and gallery."""
    both = tuple(pictures)
    train = tuple(picture for picture in both if picture.split == "train")
    return train, tuple(picture for picture in both if picture.split != "train")


def _copies_of_queries(seen: Seen) -> Iterator[tuple[Picture, tuple[Picture, ...]]]:
    """Yields each query with the gallery images of the same pid that have the same pixels."""
    for group in seen.repeated:
        for query in group:
            if query.split != "query" or not seen.is_person(query):
                continue
            copies = tuple(
                p for p in group if p.split == "gallery" and p.record.pid == query.record.pid
            )
            if copies:
                yield query, copies


def _pids(seen: Seen, split: str) -> set[int]:
    """Returns the identities of a split."""
    return {p.record.pid for p in seen.pictures if p.split == split and seen.is_person(p)}


def _of_pid(seen: Seen, pid: int) -> tuple[Picture, ...]:
    return tuple(picture for picture in seen.pictures if picture.record.pid == pid)


def _same(pictures: tuple[Picture, ...]) -> Example:
    """Describes images with the same pixels."""
    encodings = len({picture.file_digest for picture in pictures})
    how = "same bytes" if encodings == 1 else "same pixels in other files"
    owners = {(p.split, p.record.pid, p.record.camid) for p in pictures}
    who = ", ".join(f"{split} pid {pid} camid {camid}" for split, pid, camid in sorted(owners))
    return Example(f"{how}; {who}", pictures)
