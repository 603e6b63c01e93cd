"""Unreadable images: found by decoding each once, in order, whatever the number of threads."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reid.data.reading import in_parallel, unreadable


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Twelve images; 3 is cut off, 5 is text, 8 is missing."""
    found = [tmp_path / f"{i:02}.png" for i in range(12)]
    for i, path in enumerate(found):
        pixels = np.random.default_rng(i).integers(0, 256, (30, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    found[3].write_bytes(found[3].read_bytes()[:-200])
    found[5].write_text("no image")
    found[8].unlink()
    return found


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_the_unreadable_ones_are_found_with_their_reasons(paths: list[Path], threads: int) -> None:
    found = unreadable(paths, threads, "query")
    assert [path for path, _ in found] == [paths[3], paths[5], paths[8]]
    truncated, text, missing = (reason for _, reason in found)
    assert truncated.startswith("cannot be read as an image (")
    assert text.startswith("cannot be read as an image (it is empty or damaged, or its content is")
    assert missing == "cannot be read as an image (No such file or directory)"


def test_nothing_is_wrong_with_nothing() -> None:
    assert unreadable([], 2, "query") == []


def test_results_come_in_order_and_errors_are_raised(paths: list[Path]) -> None:
    assert list(in_parallel(lambda path: path.stem, paths, 4, "")) == [path.stem for path in paths]
    with pytest.raises(FileNotFoundError):
        list(in_parallel(lambda path: path.stat(), paths, 4, ""))
