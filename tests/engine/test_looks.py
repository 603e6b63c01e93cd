"""What TensorBoard is shown of an evaluation."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reid.data.records import ImageRecord
from reid.engine.looks import pair_distances, ranked_picture
from reid.evaluation.features import Features
from reid.evaluation.retrieval import Retrieval
from reid.visualization.tiles import FRAME, RIGHT, WRONG


def test_distances_of_matches_and_of_others_without_junk() -> None:
    # On a line: the query at 0. Its match of camera 1 is at 3; its own camera's image at 1 is junk,
    # and so is the image of nobody at 2; another person is at 5.
    query = Features(torch.tensor([[0.0]]), np.array([7]), np.array([0]))
    gallery = Features(
        torch.tensor([[1.0], [2], [3], [5]]), np.array([7, -1, 7, 8]), np.array([0, 1, 1, 1])
    )
    found = pair_distances(query, gallery, Retrieval())
    assert found["positive"].tolist() == [3] and found["negative"].tolist() == [5]


def test_lists_go_from_the_worst_query_to_the_best(tmp_path: Path) -> None:
    def record(name: str, pid: int, level: int) -> ImageRecord:
        Image.new("RGB", (64, 128), (level,) * 3).save(tmp_path / name)
        return ImageRecord(tmp_path / name, pid, int(pid > 9))

    query = (record("a.png", 1, 10), record("b.png", 2, 20))
    gallery = (record("c.png", 2, 30), record("d.png", 1, 40))
    sides = [
        Features(torch.tensor(feats), np.array([r.pid for r in side]), np.array(cameras))
        for side, feats, cameras in (
            (query, [[0.0], [0.1]], [0, 0]),
            (gallery, [[0.2], [0.5]], [1, 1]),
        )
    ]
    ((_, ranking),) = Retrieval(keep=2).rankings(*sides)
    picture = (255 * ranked_picture(ranking, query, gallery)).round().byte().permute(1, 2, 0)
    first = 18 + FRAME  # below the titles
    assert picture[first + 64, FRAME + 32].tolist() == [10] * 3, "query 1 has the worse list"
    column = 64 + 2 * FRAME + 3 * 6
    assert tuple(picture[first + 64, column].tolist()) == WRONG
    assert tuple(picture[first + 64, column + 64 + 2 * FRAME + 6].tolist()) == RIGHT
