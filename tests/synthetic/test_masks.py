"""The exact masks of drawn people."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import run
from PIL import Image

from reid.synthetic import PRESETS
from reid.synthetic import render as render_module
from reid.synthetic.masks import mask_of, write_masks
from reid.synthetic.plan import plan_shots
from reid.synthetic.render import person_mask
from reid.synthetic.style import Style
from reid.utils.errors import InputError


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
    folder = data / "synthetic-tiny-seed0-wide"
    shots = {s.file_name: s for s in plan_shots(PRESETS["tiny"], 0) if s.folder == "query"}
    image = sorted((folder / "query").iterdir())[0]
    mask = mask_of(image)
    assert mask is not None and mask.shape == (128, 64)
    np.testing.assert_array_equal(mask, person_mask(0, shots[image.name]))
    assert mask_of(folder / "query" / "9999_c1s1_000001_00.jpg") is None
    assert mask_of(tmp_path / "query" / image.name) is None


def test_masks_are_written_beside_the_images_and_are_those_of_the_function(
    data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "synthetic-tiny-seed0-wide"
    shutil.copytree(data / folder.name, folder)
    command = ["make_synthetic", "--preset", "tiny", "--root", tmp_path, "--masks"]
    assert str(folder / "masks") in run(*command, "--workers", 1).stdout
    images = sorted(folder.glob("*/*.jpg"))
    masks = sorted((folder / "masks").glob("*/*.png"))
    assert [(p.parent.name, p.stem) for p in masks] == [(p.parent.name, p.stem) for p in images]
    for image, file in list(zip(images, masks, strict=True))[::25]:
        expected = mask_of(image)
        assert expected is not None
        with Image.open(file) as written:
            assert (written.mode, written.size) == ("L", (64, 128))
            np.testing.assert_array_equal(np.asarray(written), np.rint(255 * expected))
    before = masks[0].stat().st_mtime_ns
    run(*command)
    assert masks[0].stat().st_mtime_ns == before
    assert {p.name for p in folder.iterdir()} == {
        "bounding_box_test", "bounding_box_train", "query", "manifest.json", "masks",
    }  # fmt: skip


def test_masks_follow_the_style_of_their_set(tmp_path: Path) -> None:
    """Of narrow colours also in a folder that was drawn before its manifest named them."""
    shot = next(s for s in plan_shots(PRESETS["tiny"], 0) if s.folder == "query")
    masks = {}
    for style in (Style("wide"), Style("narrow"), Style("wide", "other")):
        folder = tmp_path / "-".join(style)
        (folder / "query").mkdir(parents=True)
        manifest = {"preset": "tiny", "seed": 0, "generator_version": 1}
        if style != Style("narrow"):
            manifest |= style._asdict()
        (folder / "manifest.json").write_text(json.dumps(manifest))
        mask = mask_of(folder / "query" / shot.file_name)
        np.testing.assert_array_equal(mask, person_mask(0, shot, style))
        masks["-".join(style)] = np.asarray(mask).tobytes()
    assert len(set(masks.values())) == 3


def test_masks_of_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no people that this version drew"):
        write_masks(tmp_path)
