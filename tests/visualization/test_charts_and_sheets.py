import numpy as np
import pytest
from PIL import Image

from reid.utils.errors import InputError
from reid.visualization.contact_sheet import (
    HITS,
    AttackedQuery,
    contact_sheet,
)
from reid.visualization.curves import Panel, plot_curves
from reid.visualization.identities import identity_sheet
from reid.visualization.tiles import FRAME, RIGHT, WRONG, Tile, draw_tiles

H, W = 40, 20


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, H, W), np.uint8)


def row(seed: int = 0, **changes) -> AttackedQuery:
    clean = picture(seed).clip(8, 247)
    change = np.random.default_rng(seed + 1).integers(-8, 9, clean.shape)
    hits = [picture(seed + 10 + i) for i in range(2 * HITS)]
    facts = {
        "clean": clean,
        "attacked": (clean + change).astype(np.uint8),
        "hits_before": hits[:HITS],
        "hits_after": hits[HITS:],
        "right_before": [True] * HITS,
        "right_after": [False] * HITS,
        "caption": "0001_c1.png",
    }
    return AttackedQuery(**{**facts, **changes})


def left_of(column: int) -> int:
    """Where a picture of a contact sheet begins: six pixels apart, twelve more before the hits."""
    return FRAME + column * (W + 2 * FRAME + 6) + 12 * (column >= 3) + 12 * (column >= 3 + HITS)


def at(sheet: np.ndarray, place: int, top: int) -> np.ndarray:
    left = left_of(place)
    return sheet[top : top + H, left : left + W].transpose(2, 0, 1)


def top_of(sheet: np.ndarray, image: np.ndarray) -> int:
    """The row at which an image stands in the first column, found by looking."""
    left = left_of(0)
    for top in range(len(sheet) - H):
        if np.array_equal(sheet[top : top + H, left : left + W].transpose(2, 0, 1), image):
            return top
    raise AssertionError("the clean image is not on the sheet")


def test_pictures_stand_where_they_should_pixel_by_pixel(tmp_path) -> None:
    one, two = row(0), row(50)
    contact_sheet([one, two], tmp_path / "sheet.png")
    sheet = np.array(Image.open(tmp_path / "sheet.png"))
    for r in (one, two):
        top = top_of(sheet, r.clean)
        change = r.attacked.astype(int) - r.clean
        assert np.array_equal(at(sheet, 1, top), np.clip(128 + 10 * change, 0, 255))
        assert np.array_equal(at(sheet, 2, top), r.attacked)
        for i in range(HITS):
            assert np.array_equal(at(sheet, 3 + i, top), r.hits_before[i])
            after = at(sheet, 3 + HITS + i, top)
            assert np.array_equal(after[:, 16:], r.hits_after[i][:, 16:])
            assert not np.array_equal(after, r.hits_after[i]), "a wrong hit is crossed"


def test_frames_say_right_and_wrong(tmp_path) -> None:
    r = row(0)
    contact_sheet([r], tmp_path / "sheet.png")
    sheet = np.array(Image.open(tmp_path / "sheet.png"))
    top = top_of(sheet, r.clean)
    for i in range(HITS):
        for place, color in ((3 + i, RIGHT), (3 + HITS + i, WRONG)):
            left = left_of(place)
            assert tuple(sheet[top + H // 2, left - FRAME]) == color
            assert tuple(sheet[top + H // 2, left + W + FRAME - 1]) == color
            assert tuple(sheet[top - FRAME, left + W // 2]) == color


def test_fewer_hits_leave_their_places_empty(tmp_path) -> None:
    r = row(0, hits_after=[], right_after=[])
    contact_sheet([r], tmp_path / "sheet.png")
    sheet = np.array(Image.open(tmp_path / "sheet.png"))
    assert (at(sheet, 3 + HITS, top_of(sheet, r.clean)) == 255).all()


def test_bad_sheets_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="JPEG"):
        contact_sheet([row()], tmp_path / "sheet.jpg")
    with pytest.raises(InputError, match="at least one"):
        contact_sheet([], tmp_path / "sheet.png")
    with pytest.raises(InputError, match="one size"):
        contact_sheet([row(attacked=picture(3)[:, :-1])], tmp_path / "sheet.png")
    assert not list(tmp_path.iterdir())


def test_tiles_without_frames_stand_side_by_side() -> None:
    images = [picture(i).transpose(1, 2, 0) for i in range(3)]
    sheet = np.array(draw_tiles([[Tile(images[0]), Tile(images[1])], [None, Tile(images[2])]], 2))
    assert sheet.shape == (2 * H + 2, 2 * W + 2, 3)
    assert np.array_equal(sheet[:H, :W], images[0])
    assert np.array_equal(sheet[:H, W + 2 :], images[1])
    assert np.array_equal(sheet[H + 2 :, W + 2 :], images[2])
    assert (sheet[H + 2 :, :W] == 255).all() and (sheet[H : H + 2] == 255).all()


def test_an_identity_sheet_has_a_row_for_each_identity(data) -> None:
    sheet = identity_sheet(data / "synthetic-tiny-seed0-wide", num_ids=3, per_id=4)
    assert sheet.size == (4 * 66 - 2, 3 * 130 - 2)


def test_an_identity_sheet_of_no_set_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="holds no images of identities"):
        identity_sheet(tmp_path, 2, 2)


def panels() -> list[Panel]:
    lines = {"pgd-fna": ([0, 4, 8], [90, 40, 10]), "noise": ([0, 4, 8], [90, 89, 88])}
    return [Panel("mAP", "eps", "mAP %", lines), Panel("Rank-1", "eps", "Rank-1 %", lines)]


def test_curves_are_a_picture_and_the_same_each_time(tmp_path) -> None:
    plot_curves(panels(), tmp_path / "a.png")
    plot_curves(panels(), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > image.height > 300
        assert len(np.unique(np.array(image.convert("RGB")).reshape(-1, 3), axis=0)) > 50


def test_a_line_shows(tmp_path) -> None:
    plot_curves(panels(), tmp_path / "a.png")
    fewer = [p._replace(lines={"pgd-fna": p.lines["pgd-fna"]}) for p in panels()]
    plot_curves(fewer, tmp_path / "b.png")
    orange = []
    for name in ("a.png", "b.png"):
        with Image.open(tmp_path / name) as image:
            pixels = np.array(image.convert("RGB")).reshape(-1, 3).astype(int)
        orange.append(int((np.abs(pixels - (213, 94, 0)).sum(1) < 30).sum()))
    assert orange[0] > 200 and orange[1] == 0


def test_nothing_to_draw_is_an_error(tmp_path) -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        plot_curves([Panel("mAP", "eps", "mAP %", {})], tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
