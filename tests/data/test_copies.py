"""The same picture in query and gallery: by its bytes, whatever the files are called."""

import os
from pathlib import Path

import numpy as np
import pytest

from reid.data import copies
from reid.data.copies import picture_numbers
from reid.data.records import ImageRecord
from reid.utils.errors import InputError


def record(path: Path, content: bytes, pid: int = 1, camid: int = 0) -> ImageRecord:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return ImageRecord(path, pid, camid)


def same(query: list[ImageRecord], gallery: list[ImageRecord]) -> list[list[bool]]:
    q, g = picture_numbers(tuple(query), tuple(gallery))
    assert q.shape == (len(query),) and g.shape == (len(gallery),) and q.dtype == np.int64
    return (q[:, None] == g).tolist()


def test_path_link_and_copy_are_the_same_picture(tmp_path: Path) -> None:
    one = record(tmp_path / "q" / "a.jpg", b"one")
    other = record(tmp_path / "q" / "b.jpg", b"two")
    link = ImageRecord(tmp_path / "link.jpg", 1, 4)
    link.path.symlink_to(one.path)
    hard = ImageRecord(tmp_path / "hard.jpg", 1, 4)
    os.link(one.path, hard.path)
    copy = record(tmp_path / "g" / "c.jpg", b"one", camid=3)
    assert same([one, other], [one, link, hard, copy, other]) == [
        [True, True, True, True, False],
        [False, False, False, False, True],
    ]


def test_what_differs_is_another_picture(tmp_path: Path) -> None:
    one = record(tmp_path / "a.jpg", b"one")
    others = [
        record(tmp_path / "b.jpg", b"two"),  # as long
        record(tmp_path / "c.jpg", b"one more"),
        record(tmp_path / "d.jpg", b"one", pid=2),  # another person's: a wrong label, no match
    ]
    assert same([one], others) == [[False] * 3]


def test_only_what_could_be_the_same_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = [record(tmp_path / f"q{i}.jpg", b"x" * (i + 1), pid=i) for i in range(4)]
    gallery = [record(tmp_path / f"g{i}.jpg", b"y" * 2, pid=i) for i in range(4)]
    read: list[str] = []
    whole = copies._digest
    monkeypatch.setattr(copies, "_digest", lambda path: read.append(path.name) or whole(path))
    assert not np.array(same(query, gallery)).any()
    assert sorted(read) == ["g1.jpg", "q1.jpg"]  # the only pair of one person and one size


def test_empty_sides() -> None:
    assert [numbers.tolist() for numbers in picture_numbers((), ())] == [[], []]


def test_a_missing_file_and_a_pipe_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.jpg cannot be read: No such file"):
        picture_numbers((ImageRecord(tmp_path / "gone.jpg", 1, 0),), ())
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        with pytest.raises(InputError, match=r"pipe\.jpg is no regular file"):
            picture_numbers((ImageRecord(tmp_path / "pipe.jpg", 1, 0),), ())
