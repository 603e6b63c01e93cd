"""Poolings against the formulas that they stand for."""

import pytest
import torch

from reid.builders import build_model
from reid.config import load_cfg
from reid.modeling import POOLINGS
from reid.utils.errors import InputError


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(4, 6, 5, 3, generator=torch.Generator().manual_seed(0))


def test_average_maximum_and_their_sum(x: torch.Tensor) -> None:
    mean, most = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    assert torch.equal(POOLINGS["avg"]()(x), mean)
    assert torch.equal(POOLINGS["max"]()(x), most)
    assert torch.equal(POOLINGS["avg_max"]()(x), mean + most)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_gem_is_its_formula(x: torch.Tensor, p: float) -> None:
    found = POOLINGS["gem"](p=p)(x).detach()
    for sample in range(4):
        for channel in range(6):
            values = [max(v, 1e-6) for v in x[sample, channel].flatten().tolist()]
            expected = (sum(v**p for v in values) / len(values)) ** (1 / p)
            assert float(found[sample, channel]) == pytest.approx(expected, rel=1e-5)


def test_gem_tends_to_the_maximum() -> None:
    x = torch.rand(2, 3, 4, 4) + 0.5
    found = POOLINGS["gem"](p=200.0)(x)
    torch.testing.assert_close(found, x.amax((2, 3), keepdim=True), rtol=0.02, atol=0)


def test_gem_learns_p_or_not() -> None:
    assert [name for name, _ in POOLINGS["gem"]().named_parameters()] == ["p"]
    assert not any(p.requires_grad for p in POOLINGS["gem"](learn=False).parameters())


@pytest.mark.parametrize(("setting", "value"), [("p", 0.0), ("p", -1.0), ("eps", 0.0)])
def test_a_gem_without_meaning_is_refused(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{setting} must be more than 0"):
        POOLINGS["gem"](**{setting: value})


def test_a_config_chooses_the_pooling_and_the_average_adds_no_key() -> None:
    small = ["MODEL.BACKBONE.NAME", "resnet18", "MODEL.DEVICE", "cpu"]
    model = build_model(load_cfg("market_baseline.yml", small), 3, pretrained=False)
    assert not [key for key in model.state_dict() if key.startswith("pooling")]
    gem = [*small, "MODEL.POOLING.NAME", "gem", "MODEL.POOLING.GEM.P", "4"]
    model = build_model(load_cfg("market_baseline.yml", gem), 3, pretrained=False)
    assert float(model.state_dict()["pooling.p"]) == 4.0
