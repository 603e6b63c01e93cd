"""The exact masks of drawn people."""

from pathlib import Path

import numpy as np
import pytest

from reid.synthetic import PRESETS
from reid.synthetic import render as render_module
from reid.synthetic.masks import mask_of
from reid.synthetic.plan import plan_shots
from reid.synthetic.render import person_mask


@pytest.mark.parametrize("number", range(4))
def test_the_mask_is_what_the_person_changes(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws shots in which nobody else is there, on a background that no colour equals."""
    drawn = []
    monkeypatch.setattr(render_module, "_passer_by", lambda *args, **kw: None)
    monkeypatch.setattr(render_module, "_cover", lambda *args: None)
    monkeypatch.setattr(
        render_module, "_background", lambda *args: np.full((256, 128, 3), -5, np.float32)
    )
    monkeypatch.setattr(
        render_module, "develop", lambda rng, canvas, *args: drawn.append(canvas.copy())
    )
    shot = [s for s in plan_shots(PRESETS["tiny"], 0) if s.subject and s.pid > 0][number]
    render_module.render(0, shot)
    painted = (drawn[0] >= 0).all(2).reshape(128, 2, 64, 2).mean((1, 3))
    np.testing.assert_allclose(person_mask(0, shot), painted)
    assert 0.05 < painted.mean() < 0.7


def test_what_stands_before_a_person_hides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shot = next(s for s in plan_shots(PRESETS["tiny"], 0) if s.subject and s.pid > 0)
    monkeypatch.setattr(render_module, "_cover", lambda *args: None)
    whole = person_mask(0, shot)

    def left_half(rng: object, canvas: np.ndarray, *args: object) -> None:
        canvas[:, :64] = 0.0  # black is a colour, too

    monkeypatch.setattr(render_module, "_cover", left_half)
    half = person_mask(0, shot)
    assert whole[:, :32].any() and not half[:, :32].any()
    np.testing.assert_array_equal(half[:, 32:], whole[:, 32:])


def test_an_image_finds_its_mask_and_others_have_none(data: Path, tmp_path: Path) -> None:
    folder = data / "synthetic-tiny-seed0"
    shots = {s.file_name: s for s in plan_shots(PRESETS["tiny"], 0) if s.folder == "query"}
    image = sorted((folder / "query").iterdir())[0]
    mask = mask_of(image)
    assert mask is not None and mask.shape == (128, 64)
    np.testing.assert_array_equal(mask, person_mask(0, shots[image.name]))
    assert mask_of(folder / "query" / "9999_c1s1_000001_00.jpg") is None
    assert mask_of(tmp_path / "query" / image.name) is None
