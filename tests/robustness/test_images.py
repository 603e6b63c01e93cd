from pathlib import Path

import numpy as np
import pytest
import torch

from reid.data.layout import scan
from reid.robustness.images import distinct, load_images, lossless_name, lossless_names, save_images
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


def test_no_two_images_get_one_name() -> None:
    sources = ["q/a.jpg", "q/a.png", "q/b.jpg", "q/B.jpg", "q/c.jpg", "q/0/c.jpg", "q/1/d.bmp"]
    assert lossless_names([Path(source) for source in sources]) == [
        *("a.jpg.png", "a.png.png"),  # another suffix
        *("b.jpg_1.png", "B.jpg_2.png"),  # other letter case is one file on some disks
        *("c.jpg_1.png", "c.jpg_2.png"),  # another folder
        "d.png",
    ]
    # A number may not lead to the name of another source.
    sources = ["a.jpg", "a.png", "a.jpg.png", "0/a.jpg.png", "a.jpg_1.png"]
    names = lossless_names([Path(source) for source in sources])
    assert len({name.lower() for name in names}) == 5 and names[4] == "a.jpg_1.png"


def test_names_that_are_alike_still_say_whose_they_are(tmp_path) -> None:
    sources = [
        tmp_path / name for name in ("x/0007_c2_f1.jpg", "x/0007_c2_f1.png", "0007_c2_f1.jpg")
    ]
    names = lossless_names(sources)
    save_images(tmp_path, names, IMAGES[[0, 1, 0]])
    assert [(r.path.name, r.pid, r.camid) for r in scan(tmp_path)] == [
        (name, 7, 1) for name in sorted(names)
    ]


def test_numbers_are_given_to_names_that_are_there_more_than_once() -> None:
    names = ["a", "b", "A", "a_1", "a"]
    assert distinct(names) == ["a_2", "b", "A_3", "a_1", "a_4"]
    many = distinct(["x.png"] * 3000, ".png")
    assert many[0] == "x_1.png" and len(set(many)) == 3000


@pytest.mark.parametrize(
    "arrays",
    [
        {"names": np.array(NAMES), "images": np.zeros((1, 3, 8, 4), np.uint8)},
        {"names": np.array(NAMES), "images": np.zeros((2, 3, 8, 4), np.float32)},
        {"names": np.array(NAMES), "images": np.zeros((2, 8, 4), np.uint8)},
        {"names": np.array(2), "images": np.zeros((2, 3, 8, 4), np.uint8)},
        {"names": np.array([1, 2]), "images": np.zeros((2, 3, 8, 4), np.uint8)},
        {"images": np.zeros((2, 3, 8, 4), np.uint8)},
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, arrays) -> None:
    np.savez(tmp_path / "images.npz", **arrays)
    with pytest.raises(InputError, match=r"images\.npz (holds|has no array)"):
        load_images(tmp_path)


def test_pictures_of_two_sizes_are_named(tmp_path) -> None:
    save_images(tmp_path, NAMES[:1], IMAGES[:1])
    save_images(tmp_path, NAMES[1:], IMAGES[1:, :, :4])
    with pytest.raises(
        InputError, match=r"000451_03\.png and .*000151_01\.png have different sizes"
    ):
        load_images(tmp_path)
