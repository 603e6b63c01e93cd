"""Every fault that is planted in a clean data set is found, and nothing else is."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import outside
import pytest
from commands import ROOT, run
from PIL import Image, PngImagePlugin

from reid.cli import check_data as command
from reid.data.checking import RULES, Findings, check_images, read_picture
from reid.data.layout import scan
from reid.data.records import Counts, ImageRecord, Splits

FOLDERS = ("train", "query", "gallery")
# (folder, pid, camera as in the name); each is drawn once. 0 is the distractor.
CROPS = [
    *(("train", pid, camera) for pid in (1, 2, 3) for camera in (1, 2)),
    *(("query", pid, camera) for pid in (11, 12) for camera in (1, 2)),
    *(("gallery", pid, camera) for pid in (11, 12) for camera in (1, 2)),
    ("gallery", 0, 1),
    ("gallery", 0, 2),
]


def noise(seed: int, size: tuple[int, int] = (40, 20)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def crop(folder: str, pid: int, camera: int, ending: str = "png", number: int = 1) -> str:
    return f"{folder}/{pid:04}_c{camera}s1_{number:06}_00.{ending}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, (folder, pid, camera) in enumerate(CROPS):
        (tmp_path / folder).mkdir(exist_ok=True)
        noise(seed).save(tmp_path / crop(folder, pid, camera))
    return tmp_path


def splits_of(root: Path, distractor_pid: int | None = 0) -> Splits:
    return Splits(*(scan(root / folder) for folder in FOLDERS), distractor_pid)


def found_in(root: Path, distractor_pid: int | None = 0, **more: object) -> dict[str, list[object]]:
    """Names of the files of each case, by the rule that found it."""
    return files_of(check_images(splits_of(root, distractor_pid), 2, **more), root)


def files_of(found: Findings, root: Path) -> dict[str, list[object]]:
    return {
        finding.kind: [
            tuple(p.record.path.relative_to(root).as_posix() for p in example.pictures)
            for example in finding.examples
        ]
        for finding in found.findings
    }


def copy(root: Path, source: str, target: str) -> None:
    (root / target).write_bytes((root / source).read_bytes())


def test_a_clean_data_set_has_no_findings(root: Path) -> None:
    found = check_images(splits_of(root), 2)
    assert found.findings == ()
    assert not found.spoiled
    assert len(found.pictures) == len(CROPS)
    assert {(p.mode, p.size, p.orientation) for p in found.pictures} == {("RGB", (40, 20), 1)}


# --- files -----------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    noise(99).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-200])


def sixteen_bits(path: Path) -> None:
    pixels = np.random.default_rng(5).integers(0, 2**16, (40, 20), dtype=np.uint16)
    Image.fromarray(pixels).save(path, "PNG")


def floats(path: Path) -> None:
    Image.fromarray(np.random.default_rng(6).random((40, 20), np.float32)).save(path, "TIFF")


def see_through(path: Path) -> None:
    image = noise(98).convert("RGBA")
    image.putpixel((3, 4), (1, 2, 3, 0))
    image.save(path, "PNG")


def lie_down(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(97).save(path, "PNG", exif=exif)


def damaged_exif(path: Path) -> None:
    noise(93).save(path, "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff no directory")


def no_pixel_left(path: Path) -> None:
    path.write_bytes(b"")


def bomb(path: Path) -> None:
    """A picture of 20 000 x 20 000 pixels, of which only the header is there."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "BMP")
    data = bytearray(file.getvalue())
    data[18:22] = data[22:26] = (20_000).to_bytes(4, "little")
    path.write_bytes(data)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def long_text(path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * 2_000_000, zip=True)
    noise(96).save(path, "PNG", pnginfo=text)


def save_as(mode: str, kind: str) -> Callable[[Path], None]:
    return lambda path: noise(95).convert(mode).save(path, kind)


def size(height: int, width: int) -> Callable[[Path], None]:
    return lambda path: Image.new("RGB", (width, height)).save(path, "PNG")


@pytest.mark.parametrize(
    ("kind", "spoil", "text"),
    [
        ("unreadable", truncate, "truncated"),
        ("unreadable", no_pixel_left, "cannot"),
        ("unreadable", bomb, ""),
        ("unreadable", long_text, ""),
        ("unreadable", a_pipe, "regular"),
        ("odd_mode", sixteen_bits, "mode I"),
        ("odd_mode", see_through, "mode RGBA, transparent"),
        ("odd_mode", save_as("CMYK", "JPEG"), "mode CMYK"),
        ("odd_mode", save_as("P", "PNG"), "mode P"),
        ("odd_mode", floats, "mode F"),
        ("turned", lie_down, "orientation 6"),
        ("tiny", size(1, 1), "1x1"),
        ("tiny", size(40, 15), "40x15"),
        ("huge", size(2001, 1000), "2001x1000"),
    ],
)
def test_a_bad_file_is_found_whatever_its_name(
    root: Path, kind: str, spoil: Callable[[Path], None], text: str
) -> None:
    name = crop("train", 2, 1)
    spoil(root / name)
    found = check_images(splits_of(root), 2)
    assert files_of(found, root) == {kind: [(name,)]}
    assert text in found.findings[0].examples[0].text
    assert str(root) not in found.findings[0].examples[0].text
    assert found.spoiled == (kind == "unreadable")


@pytest.mark.parametrize(
    "spoil", [size(16, 16), size(2000, 1000), save_as("L", "JPEG"), damaged_exif]
)
def test_what_is_within_bounds_is_not_found(root: Path, spoil: Callable[[Path], None]) -> None:
    spoil(root / crop("train", 2, 1))
    assert found_in(root) == {}


def test_a_pipe_that_nobody_writes_to_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "0001_c1s1_000001_00.jpg")
    picture = read_picture("train", ImageRecord(tmp_path / "0001_c1s1_000001_00.jpg", 1, 0))
    assert "regular file" in picture.problem


# --- the same picture ------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "bmp", "webp", "tif"])
def test_a_train_picture_in_the_gallery_is_found_in_any_encoding(root: Path, ending: str) -> None:
    source, target = crop("train", 1, 1), crop("gallery", 12, 1, ending, 2)
    with Image.open(root / source) as image:
        image.save(root / target, **({"lossless": True} if ending == "webp" else {}))
    assert found_in(root) == {"train_picture_in_test": [(source, target)]}


def test_a_train_picture_among_the_distractors_is_found(root: Path) -> None:
    source, target = crop("train", 1, 1), crop("gallery", 0, 1, number=2)
    copy(root, source, target)
    assert found_in(root) == {"train_picture_in_test": [(source, target)]}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (crop("train", 1, 1), crop("train", 2, 1, number=2)),
        (crop("gallery", 11, 1), crop("gallery", 12, 1, number=2)),
        (crop("gallery", 11, 1), crop("query", 12, 1, number=2)),
    ],
)
def test_one_picture_of_two_identities_is_found(root: Path, source: str, target: str) -> None:
    copy(root, source, target)
    found = check_images(splits_of(root), 2)
    ((kind, cases),) = files_of(found, root).items()
    assert kind == "picture_of_two_identities"
    assert [set(case) for case in cases] == [{source, target}]
    assert found.spoiled
    assert "same bytes" in found.findings[0].examples[0].text


def test_a_distractor_is_no_identity(root: Path) -> None:
    person, distractor = crop("gallery", 13, 1), crop("gallery", 0, 1)
    copy(root, distractor, person)  # nobody searches for 13: both are wrong answers to all queries
    found = found_in(root)
    assert found == {"identity_of_one_camera": [(person,)]}
    assert "picture_of_two_identities" in found_in(root, distractor_pid=None)


def test_somebody_who_is_searched_for_is_no_distractor(root: Path) -> None:
    person, distractor = crop("gallery", 12, 1), crop("gallery", 0, 1)
    copy(root, person, distractor)
    assert found_in(root) == {"searched_person_as_distractor": [(person, distractor)]}


def test_junk_is_no_identity(root: Path) -> None:
    junk = root / "junk.png"
    splits = splits_of(root)
    copy(root, crop("gallery", 12, 1), "junk.png")
    splits = splits._replace(gallery=(*splits.gallery, ImageRecord(junk, -1, 0)))
    assert files_of(check_images(splits, 1), root) == {}


def test_a_query_whose_picture_is_in_the_gallery(root: Path) -> None:
    query, same_camera = crop("query", 11, 1), crop("gallery", 11, 1)
    copy(root, query, same_camera)
    assert found_in(root) == {"query_in_gallery": [(query, same_camera)]}
    assert found_in(root, cross_camera=False) == {"query_finds_itself": [(query, same_camera)]}
    other_camera = crop("gallery", 11, 2)
    copy(root, query, other_camera)
    found = found_in(root)
    assert found.pop("query_finds_itself") == [(query, other_camera)]
    assert found.pop("query_in_gallery") == [(query, same_camera)]
    assert found == {"repeated_picture": [(same_camera, other_camera)]}


def test_a_picture_that_is_twice_in_a_split_is_found(root: Path) -> None:
    source, target = crop("train", 1, 1), crop("train", 1, 1, number=2)
    copy(root, source, target)
    assert found_in(root) == {"repeated_picture": [(source, target)]}


def test_sixteen_bit_pictures_differ_though_all_would_be_white_in_eight(root: Path) -> None:
    for number, value in enumerate((300, 60_000)):
        pixels = np.full((40, 20), value, np.uint16)
        Image.fromarray(pixels).save(root / crop("train", number + 1, 1))
    assert list(found_in(root)) == ["odd_mode"]


def test_a_picture_that_lies_with_a_tag_is_the_one_that_stands(root: Path) -> None:
    standing, lying = crop("train", 1, 1), crop("train", 2, 2, number=2)
    with Image.open(root / standing) as image:
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees clockwise
        image.transpose(Image.Transpose.ROTATE_90).save(root / lying, exif=exif)
    assert found_in(root) == {
        "picture_of_two_identities": [(standing, lying)],
        "turned": [(lying,)],
    }


# --- identities ------------------------------------------------------------------------------


def test_an_identity_of_one_camera_is_found(root: Path) -> None:
    first, second = crop("train", 4, 1), crop("train", 4, 1, number=2)
    noise(50).save(root / first)
    noise(51).save(root / second)
    assert found_in(root) == {"identity_of_one_camera": [(first, second)]}


def test_a_query_without_a_match_is_found(root: Path) -> None:
    (root / crop("gallery", 12, 1)).unlink()
    query = crop("query", 12, 2)  # its only match was the image of the other camera
    assert found_in(root) == {"query_without_a_match": [(query,)]}
    assert found_in(root, cross_camera=False) == {}
    (root / crop("query", 12, 1)).unlink()
    assert found_in(root) == {
        "query_without_a_match": [(query,)],
        "identity_of_one_camera": [(query, crop("gallery", 12, 2))],
    }


def test_all_queries_without_a_match_spoil_a_result(root: Path) -> None:
    for pid in (11, 12):
        for camera in (1, 2):
            (root / crop("gallery", pid, camera)).unlink()
    found = check_images(splits_of(root), 2)
    assert found.spoiled
    assert files_of(found, root) == {
        "no_query_has_a_match": [()],
        "query_without_a_match": [(crop("query", p, c),) for p in (11, 12) for c in (1, 2)],
    }


def test_identities_of_train_among_the_test_images_are_found(root: Path) -> None:
    name = crop("gallery", 1, 1)
    noise(60).save(root / name)
    pictures = (crop("train", 1, 1), crop("train", 1, 2), name)
    expected = {
        "identity_in_train_and_gallery": [pictures],
        "identity_of_one_camera": [(name,)],
    }
    assert found_in(root) == expected
    query = crop("query", 1, 2)
    noise(61).save(root / query)
    pictures = (crop("train", 1, 1), crop("train", 1, 2), query, name)
    assert found_in(root) == {"identity_in_train_and_query": [pictures]}


def test_counts_that_differ_from_the_published_ones_are_found(root: Path) -> None:
    published = {"train": Counts(6, 3, 2), "query": Counts(5, 2, 2)}
    found = check_images(splits_of(root)._replace(published=published), 1)
    assert [f.kind for f in found.findings] == ["counts_differ"]
    assert [e.text for e in found.findings[0].examples] == ["query: 4 images found, 5 published"]


def test_random_data_sets_have_the_findings_of_a_slow_search(tmp_path: Path) -> None:
    """Few pictures, identities and cameras, so that all coincidences happen."""
    for picture in range(8):
        noise(picture).save(tmp_path / f"{picture}.png")
    rng = np.random.default_rng(3)
    kinds = set()
    for _ in range(40):
        parts = [
            tuple(
                ImageRecord(
                    tmp_path / f"{rng.integers(8)}.png",
                    int(rng.integers(-1, 4)),
                    int(rng.integers(2)),
                )
                for _ in range(rng.integers(1, 10))
            )
            for _ in FOLDERS
        ]
        splits = Splits(*parts, distractor_pid=0)
        found = {
            f.kind: len(f.examples) for f in check_images(splits, 1).findings if f.kind in SLOW
        }
        assert found == {kind: n for kind, slow in SLOW.items() if (n := slow(splits))}
        kinds |= set(found)
    assert kinds == set(SLOW)


def slow_leaks(splits: Splits) -> int:
    test = {r.path for r in (*splits.query, *splits.gallery)}
    return len({r.path for r in splits.train} & test)


def slow_double_identities(splits: Splits) -> int:
    total = 0
    persons = [r for r in splits.train if r.pid != -1]
    total += sum(
        len({r.pid for r in persons if r.path == path}) > 1 for path in {r.path for r in persons}
    )
    persons = [r for r in (*splits.query, *splits.gallery) if r.pid not in (-1, 0)]
    return total + sum(
        len({r.pid for r in persons if r.path == path}) > 1 for path in {r.path for r in persons}
    )


def slow_unmatched(splits: Splits) -> int:
    return sum(
        q.pid in (-1, 0) or not any(g.pid == q.pid and g.camid != q.camid for g in splits.gallery)
        for q in splits.query
    )


def slow_own_picture(splits: Splits, other_camera: bool) -> int:
    return sum(
        q.pid not in (-1, 0)
        and any(
            (g.path, g.pid) == (q.path, q.pid) and (g.camid != q.camid) == other_camera
            for g in splits.gallery
        )
        for q in splits.query
    )


SLOW: dict[str, Callable[[Splits], int]] = {
    "train_picture_in_test": slow_leaks,
    "picture_of_two_identities": slow_double_identities,
    "query_without_a_match": slow_unmatched,
    "query_finds_itself": lambda splits: slow_own_picture(splits, True),
    "query_in_gallery": lambda splits: slow_own_picture(splits, False),
}


# --- the command -----------------------------------------------------------------------------


def synthetic(root: Path, *more: object) -> list[object]:
    return [
        "--config-file", ROOT / "configs/synthetic_lfm.yml",
        "DATASETS.SYNTHETIC.PRESET", "tiny",
        "DATASETS.ROOT_DIR", root,
        "OUTPUT_DIR", root / "out",
        *more,
    ]  # fmt: skip


def test_the_command_says_what_it_found_and_writes_all_of_it(tmp_path: Path) -> None:
    done = run("check-data", *synthetic(tmp_path))
    assert "nothing was found that would spoil a result" in done.stdout
    written = json.loads((tmp_path / "out/check_data.json").read_text())
    assert written["counts"]["train"] == {"images": 50, "ids": 8, "cameras": 3}
    assert (written["spoiled"], written["findings"]) == (False, [])
    drawn = tmp_path / "synthetic-tiny-seed0-wide"
    files = sorted((drawn / "bounding_box_train").glob("*.jpg"))
    for file in files[:4]:
        file.write_bytes(b"")
    target = next(iter(sorted((drawn / "query").glob("*.jpg"))))
    target.write_bytes(files[-1].read_bytes())
    done = run("check-data", *synthetic(tmp_path), "--examples", "2", code=1)
    assert "this would spoil results: unreadable, train_picture_in_test" in done.stdout
    names = [file.relative_to(tmp_path).as_posix() for file in files[:4]]
    assert [name in done.stdout for name in names] == [True, True, False, False]
    first = (tmp_path / "out/check_data.json").read_text()
    unreadable, leak = json.loads(first)["findings"]
    assert [example["files"] for example in unreadable["examples"]] == [[name] for name in names]
    assert leak["found"] == 1
    assert json.loads(first)["splits"]["train"] == {
        "images": 50,
        "readable": 46,
        "modes": {"RGB": 46},
        "smallest": [128, 64],
        "largest": [128, 64],
    }
    run("check-data", *synthetic(tmp_path), "DATALOADER.NUM_WORKERS", "0", code=1)
    assert (tmp_path / "out/check_data.json").read_text() == first


def test_a_data_set_of_a_part_of_ones_own_is_checked(tmp_path: Path) -> None:
    for seed, (split, pid, camera) in enumerate(CROPS):
        if pid:
            home = tmp_path / "people" / split / str(pid)
            home.mkdir(parents=True, exist_ok=True)
            noise(seed).save(home / f"c{camera}_1.jpg")
    parts = ROOT / "tests/extension/parts/id_folders.py"
    own = ["IMPORTS", parts, "DATASETS.NAMES", "id_folders"]
    copy(tmp_path / "people", "train/1/c1_1.jpg", "query/12/c1_1.jpg")
    with outside.forgotten([parts]):
        done = run("check_data", *synthetic(tmp_path, *own), code=1)
    assert "people/query/12/c1_1.jpg" in done.stdout
    assert "this would spoil results: train_picture_in_test\n" in done.stdout


def test_a_name_that_is_no_utf_8_can_be_logged(root: Path) -> None:
    name = os.fsdecode(b"0001_c1s1_\xff.png")
    (root / "train" / name).write_bytes(b"")
    found = check_images(Splits((ImageRecord(root / "train" / name, 1, 0),), (), ()), 1)
    lines = found.example_lines(root, 1)
    assert lines[1].startswith(r"  train/0001_c1s1_\udcff.png: cannot be read")
    (example,) = json.loads(found.as_json(root, {}))["findings"][0]["examples"]
    assert example["files"] == [f"train/{name}"]


def test_what_the_command_cannot_do_is_one_line(tmp_path: Path) -> None:
    done = run("check-data", *synthetic(tmp_path), "--examples", "-1", code=2)
    assert done.stderr == "error: --examples must be a whole number of at least 0, got -1\n"
    config = ROOT / "configs/market_lfm.yml"
    overrides = ["DATASETS.ROOT_DIR", tmp_path, "OUTPUT_DIR", tmp_path / "out"]
    done = run("check-data", "--config-file", config, *overrides, code=2)
    assert done.stderr.startswith("error: Market-1501: no folder with {bounding_box_train")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("file", [Path(command.__file__), ROOT / "datasets/README.md"])
def test_each_rule_is_explained(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    spoil, _, note = text.partition("only worth knowing")
    for kind, rule in RULES.items():
        assert kind in (spoil if rule.spoils else note), kind
