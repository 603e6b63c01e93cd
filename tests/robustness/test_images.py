import numpy as np
import pytest
import torch

from reid.data.layout import scan
from reid.robustness.images import load_images, lossless_name, save_images
from reid.utils.errors import InputError

NAMES = ["0001_c1s1_000151_01.png", "0002_c3s1_000451_03.png"]
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 8, 4), np.uint8))


@pytest.mark.parametrize("as_arrays", [False, True])
def test_images_read_back_bit_by_bit(tmp_path, as_arrays: bool) -> None:
    save_images(tmp_path / "x", NAMES, IMAGES, as_arrays)
    names, images = load_images(tmp_path / "x")
    assert names == NAMES and torch.equal(images, IMAGES)
    assert len(list((tmp_path / "x").iterdir())) == (1 if as_arrays else 2)


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.webp", "a"])
def test_formats_with_loss_are_refused(tmp_path, name: str) -> None:
    with pytest.raises(InputError, match="JPEG"):
        save_images(tmp_path / "x", [NAMES[0], name], IMAGES)
    assert not (tmp_path / "x").exists()


def test_a_name_keeps_what_it_says(tmp_path) -> None:
    assert lossless_name("0002_c3s1_000451_03.jpg") == NAMES[1]
    save_images(tmp_path, NAMES, IMAGES)
    assert [(r.pid, r.camid) for r in scan(tmp_path)] == [(1, 0), (2, 2)]
    assert lossless_name("0002_c3s1_000451_03.jpg.png") == "0002_c3s1_000451_03.jpg.png"


def test_what_is_no_image_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="uint8"):
        save_images(tmp_path, NAMES, IMAGES.float())
    with pytest.raises(InputError, match="2 names"):
        save_images(tmp_path, NAMES, IMAGES[:1])
    with pytest.raises(InputError, match="neither"):
        load_images(tmp_path)
