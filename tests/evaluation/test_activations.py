"""Where a network looks, on a network whose maps a person can compute."""

import pytest
import torch
from torch import Tensor, nn

from reid.evaluation.activations import activation_maps, share_inside
from reid.evaluation.features import Embedding
from reid.modeling.output import ReIDOutput
from reid.utils.errors import ArgumentError


class Pixels(nn.Module):
    """Its map is the image: two channels of 2 x 2 cells; its feature is their mean."""

    def __init__(self, cells: int = 2) -> None:
        super().__init__()
        self.pooling = nn.AdaptiveAvgPool2d(1)
        self.cells = cells

    def forward(self, images: Tensor) -> ReIDOutput:
        feat = self.pooling(images[:, :2, : self.cells, : self.cells]).flatten(1)
        return ReIDOutput(feat, feat, feat)


IMAGE = torch.tensor([[[[3.0, 0], [0, 1]], [[4, 0], [2, 0]], [[9, 9], [9, 9]]]])


def test_norm_and_grad_cam_are_those_of_the_formulas() -> None:
    maps = activation_maps(Embedding(Pixels()), IMAGE, torch.tensor([[1.0, -0.5]]))
    assert maps.norm.tolist() == [[[5, 0], [2, 1]]]
    # The score is mean(first) - 0.5 mean(second): the gradients are 1/4 and -1/8 in each cell.
    expected = [[3 / 4 - 4 / 8, 0], [0 - 2 / 8, 1 / 4]]
    assert maps.grad_cam.tolist() == [[[max(x, 0) for x in row] for row in expected]]


class Shifted(Pixels):
    """A normalization behind the pooling: it takes 2 from the first number."""

    def forward(self, images: Tensor) -> ReIDOutput:
        feat = super().forward(images).feat - torch.tensor([[2.0, 0]])
        return ReIDOutput(feat, feat, feat)


def test_the_cells_sum_up_to_the_score() -> None:
    maps = activation_maps(Embedding(Shifted()), IMAGE, torch.tensor([[1.0, 0]]))
    # Each cell has a quarter of its first number, and loses a quarter of the 2.
    assert maps.grad_cam.tolist() == [[[0.25, 0], [0, 0]]]


def test_a_single_cell_is_no_map() -> None:
    with pytest.raises(ArgumentError, match="single cell"):
        activation_maps(Embedding(Pixels(1)), IMAGE, torch.ones(1, 2))


def test_the_share_inside_is_a_part_of_the_sum() -> None:
    heat = torch.tensor([[[1.0, 1], [2, 4]], [[0, 0], [0, 0]]])
    masks = torch.tensor([[[0.0, 1], [0.5, 0]]]).expand(2, 2, 2)
    shares = share_inside(heat, masks)
    assert shares[0].item() == pytest.approx((1 + 0.5 * 2) / 8) and bool(shares[1].isnan())
    flat = torch.ones(1, 4, 2)
    assert share_inside(flat, torch.eye(8)[None]).item() == pytest.approx(1 / 8)
