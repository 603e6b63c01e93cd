import io
import json
import re
import shutil
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import run
from PIL import Image

from reid.synthetic import PRESETS, ensure_synthetic, writer
from reid.synthetic.body import body_strips
from reid.synthetic.cameras import CAMERAS
from reid.synthetic.dyes import FEW, MANY
from reid.synthetic.figure import Pose, View
from reid.synthetic.optics import _expose, shrink
from reid.synthetic.people import draw_person
from reid.synthetic.plan import FOLDERS, GALLERY, PASSER_BY, QUERY, TRAIN, plan_shots
from reid.synthetic.raster import Strip, _between, _wrapped, capsule, paint, plain
from reid.synthetic.render import render
from reid.synthetic.style import COLORS, Style
from reid.synthetic.textures import Cloth
from reid.utils.errors import InputError


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return ensure_synthetic(tmp_path_factory.mktemp("sets"), "tiny", 0, workers=1)


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*.*"))}


# ---- the plan


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_plan_has_exactly_the_numbers_of_the_preset(preset):
    size, shots = PRESETS[preset], plan_shots(PRESETS[preset], 0)
    folders = Counter(shot.folder for shot in shots)
    assert folders == {TRAIN: size.train, QUERY: size.query, GALLERY: size.gallery}
    pids = Counter(shot.pid for shot in shots if shot.folder == GALLERY)
    assert (pids[-1], pids[0]) == (size.junk, size.distractors)
    assert len({s.pid for s in shots if s.folder == TRAIN}) == size.train_ids
    assert len({s.pid for s in shots if s.folder == QUERY}) == size.test_ids
    assert {s.camid for s in shots} == set(range(size.num_cams))


def test_market_scale_has_the_published_numbers_of_market1501():
    size = PRESETS["market-scale"]
    assert (size.train_ids, size.test_ids, size.num_cams) == (751, 750, 6)
    assert (size.train, size.query, size.gallery) == (12936, 3368, 19732)
    assert (size.junk, size.distractors, size.matches) == (3819, 2798, 13115)


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("seed", [0, 7])
def test_every_query_has_a_match_from_another_camera(preset, seed):
    shots = plan_shots(PRESETS[preset], seed)
    seen_by = defaultdict(set)
    for shot in shots:
        if shot.folder == GALLERY:
            seen_by[shot.pid].add(shot.camid)
    assert all(seen_by[s.pid] - {s.camid} for s in shots if s.folder == QUERY)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_no_two_images_have_the_same_name(preset):
    shots = plan_shots(PRESETS[preset], 0)
    assert len({shot.file_name for shot in shots}) == len(shots)


def test_train_and_test_identities_are_disjoint_and_spread_over_the_range():
    shots = plan_shots(PRESETS["quick"], 0)
    train = {s.pid for s in shots if s.folder == TRAIN}
    test = {s.pid for s in shots if s.folder != TRAIN and s.pid > 0}
    assert not train & test
    assert min(train | test) >= 1 and 1400 < max(train | test) <= 1501


def test_junk_shows_test_identities_and_distractors_show_nobody_known():
    shots = plan_shots(PRESETS["quick"], 0)
    test = {s.pid for s in shots if s.folder == QUERY}
    assert {s.subject for s in shots if s.pid == -1} <= test
    distractors = [s.subject for s in shots if s.pid == 0]
    assert 0 in distractors and all(who == 0 or who >= PASSER_BY for who in distractors)
    assert all(s.subject == s.pid for s in shots if s.pid > 0)


def test_identities_differ_in_cameras_and_in_images_for_each_camera():
    shots = plan_shots(PRESETS["quick"], 0)
    images = Counter((s.pid, s.camid) for s in shots if s.folder == TRAIN)
    cameras = Counter(pid for pid, _ in images)
    assert {2, 3, 4} <= set(cameras.values()) and max(cameras.values()) <= 6
    assert len(set(images.values())) > 3


def test_the_plan_is_a_function_of_preset_and_seed():
    assert plan_shots(PRESETS["tiny"], 3) == plan_shots(PRESETS["tiny"], 3)
    assert plan_shots(PRESETS["tiny"], 3) != plan_shots(PRESETS["tiny"], 4)


# ---- the pictures


def test_a_strip_covers_its_width_times_its_length():
    canvas = np.zeros((60, 40, 3), np.float32)
    paint(canvas, [Strip((20, 10), (20, 50), [5.0], plain((1, 1, 1)), flat=True)], (0, 0))
    assert canvas[..., 0].sum() == 10 * 40
    assert canvas[10:50, 15:25].all()


def test_a_strip_outside_the_canvas_changes_nothing():
    canvas = np.zeros((60, 40, 3), np.float32)
    paint(canvas, [Strip((-90, 10), (-50, 50), [5.0], plain((1, 1, 1)))], (0, 0))
    assert not canvas.any()


def test_what_is_drawn_at_once_is_what_is_drawn_one_after_the_other():
    """The nearest strip is drawn first, and nothing behind it; to the bit as farthest first."""
    person = draw_person(np.random.default_rng(3), MANY)
    pose = Pose(yaw=0.7, phase=1.0, stride=0.5, lean=0.05, elbows=(0.4, 0.2))
    strips = body_strips(person, pose, View(x=64, y=230, scale=110, pitch=0.1))
    assert len(strips) > 10
    at_once, one_by_one = (np.zeros((256, 128, 3), np.float32) for _ in range(2))
    paint(at_once, strips, (0.2, 0.3))
    for strip in strips:
        paint(one_by_one, [strip], (0.2, 0.3))
    assert np.array_equal(at_once, one_by_one) and at_once.any()


def test_nothing_is_drawn_of_no_strips():
    canvas = np.zeros((9, 9, 3), np.float32)
    paint(canvas, [], (0, 0))
    assert not canvas.any()


def test_colours_of_a_camera_are_those_of_numpys_mean_to_the_bit():
    """Planes are added up in the order of np.mean: another order changes some images."""
    image = np.random.default_rng(0).random((128, 64, 3), np.float32)
    camera = CAMERAS[4]._replace(middle=0.4)
    gray = image.mean(2, keepdims=True)
    slow = gray + camera.saturation * (image - gray)
    slow = np.clip(slow * np.asarray(camera.gains, np.float32), 0, 1)
    # The nearest float32 of the power, whatever the processor takes for one in float32:
    gamma = np.float32(camera.gamma)
    slow = np.float32([[[float(x) ** float(gamma) for x in xs] for xs in row] for row in slow])
    slow = camera.middle + camera.contrast * (slow - camera.middle)
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    np.testing.assert_array_equal(_expose(planes, camera).transpose(1, 2, 0), slow)


def test_blocks_of_pixels_are_averaged():
    canvas = np.random.default_rng(0).random((256, 128, 3), np.float32)
    small = shrink(canvas)
    np.testing.assert_allclose(small, canvas.reshape(128, 2, 64, 2, 3).mean((1, 3)), rtol=1e-6)
    assert small.flags.c_contiguous


def test_capsules_and_angles_are_those_of_numpy():
    """The short ways take no other road than np.linspace and the remainder of a turn."""
    for first, last, count in ((-3.7, 41.2, 48), (0, 17.3, 3), (0, 0.001, 2)):
        assert np.array_equal(_between(first, last, count), np.linspace(first, last, count))
    angle = np.random.default_rng(0).uniform(-9.4, 9.4, 10_000).astype(np.float32)
    for part in (angle, angle[np.abs(angle) < 9]):  # the second one is less than a turn away
        turned = (part + np.float32(np.pi)) % np.float32(2 * np.pi) - np.float32(np.pi)
        assert np.array_equal(_wrapped(part), turned)


def test_the_angle_in_the_middle_of_a_strip_is_the_turn_away_from_the_viewer():
    seen = []

    def texture(t, angle):
        seen.append(angle)
        return np.zeros((t.size, 3), np.float32)

    strip = Strip((4.5, 0), (4.5, 9), [1.0], texture, yaw=1.0)
    paint(np.zeros((9, 9, 3), np.float32), [strip], (0, 0))
    assert np.median(seen[0]) == pytest.approx(-1.0)


def test_a_capsule_ends_a_radius_beyond_its_joints():
    start, end, widths = capsule((10, 10), (10, 30), 4.0, 2.0)
    assert start == (10, 6) and end == (10, 32)
    assert widths[0] == pytest.approx(0) and widths[-1] == pytest.approx(0)
    assert widths.max() == pytest.approx(4, rel=0.02)


def test_a_logo_is_on_the_chest_and_not_on_the_back():
    black, white = np.zeros(3, np.float32), np.ones(3, np.float32)
    logo = Cloth("logo", black, white, 0.5, 0.0)
    colors = logo(np.array([0.38, 0.38]), np.array([0.0, np.pi]))
    assert colors[0].min() > 0.9 and colors[1].max() == 0


def bag_pixels(yaw):
    person = draw_person(np.random.default_rng(0), FEW)._replace(bag="backpack", hair_cut="short")
    gray, red = np.full(3, 0.5, np.float32), np.array([1, 0, 0], np.float32)
    cloth = replace(person.upper, pattern="plain", base=gray)
    bag = replace(cloth, base=red)
    person = person._replace(
        upper=cloth, sleeve=cloth, lower=cloth, bag_cloth=bag, shoes=gray, skin=gray, hair=gray
    )
    canvas = np.zeros((256, 128, 3), np.float32)
    pose = Pose(yaw, phase=0.5, stride=0.4, lean=0.0, elbows=(0.2, 0.2))
    paint(canvas, body_strips(person, pose, View(64, 240, 130, 0.2)), (0, 0))
    return int(((canvas[..., 0] > 0.6) & (canvas[..., 1] < 0.3)).sum())


def test_a_backpack_is_seen_from_behind_and_from_the_side_and_its_straps_from_the_front():
    front, side, back = bag_pixels(0.0), bag_pixels(np.pi / 2), bag_pixels(np.pi)
    assert back > side > front > 0
    assert back > 4 * front


def test_an_image_does_not_depend_on_what_was_drawn_before():
    shots = plan_shots(PRESETS["tiny"], 5)
    first = render(5, shots[0])
    render(5, shots[1])
    assert render(5, shots[0]) == first


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)), float)


@pytest.mark.parametrize("colors", COLORS)
def test_cameras_give_the_same_person_another_colour(colors):
    shot = plan_shots(PRESETS["quick"], 0)[0]

    def mean_colour(camid):
        shots = [shot._replace(camid=camid, frame=f) for f in range(8)]
        return np.mean([pixels(render(0, one, Style(colors))) for one in shots], (0, 1, 2))

    bluish, reddish = mean_colour(2), mean_colour(4)
    assert bluish[2] - bluish[0] > reddish[2] - reddish[0] + 10


# ---- the range of colours, and other cameras

# Digests, on every processor, of these versions; another one may round otherwise:
MADE_WITH = {"numpy": "2.4.6", "pillow": "13.0.0"}
NARROW = "3dfcb624a2ebc200548ce884e121a46345f016b60862969cd52c9087935bed99"
WIDE = "928f9f9f9173e9ab4fd0048c8a41e0fae0e4a938c4df852486a74af7f0497457"
MEANS = {  # of red, green and blue
    "0003_c1s6_019451_05.jpg": (69.6, 63.7, 60.7),
    "1346_c1s3_076954_02.jpg": (131.4, 108.9, 98.1),
    "0245_c3s4_023071_02.jpg": (124.7, 129.0, 134.2),
    "0000_c3s5_096886_01.jpg": (133.8, 139.6, 144.6),
}


def test_the_pictures_do_not_depend_on_the_processor(tiny):
    manifest = json.loads((tiny / "manifest.json").read_text())
    if manifest["made_with"] == MADE_WITH:
        assert manifest["sha256"] == WIDE


def test_narrow_colours_are_the_pictures_of_commit_e623e7d(tmp_path):
    """It drew these before there was a choice, and published numbers were measured on them."""
    folder = ensure_synthetic(tmp_path, "tiny", 0, 1, Style(colors="narrow"))
    assert folder.name == "synthetic-tiny-seed0"
    for name, mean in MEANS.items():
        (path,) = folder.glob(f"*/{name}")
        np.testing.assert_allclose(pixels(path.read_bytes()).mean((0, 1)), mean, atol=0.3)
    manifest = json.loads((folder / "manifest.json").read_text())
    if manifest["made_with"] == MADE_WITH:
        assert manifest["sha256"] == NARROW


def spread_of_images(style):
    """The sd over images of their mean level, and of the logarithm of their contrast."""
    shots = [s for s in plan_shots(PRESETS["quick"], 0) if s.folder == QUERY][:60]
    images = [pixels(render(0, shot, style)) for shot in shots]
    logs = np.log([image.std() for image in images])
    return np.std([image.mean() for image in images]), np.std(logs)


def test_wide_light_varies_more_from_image_to_image():
    (level, contrast), (wide_level, wide_contrast) = map(spread_of_images, map(Style, COLORS[::-1]))
    assert wide_contrast > 1.5 * contrast and wide_level > 0.8 * level


def test_wide_clothes_have_colours_that_no_popular_dye_has():
    few, many = ([draw_person(np.random.default_rng(i), dyes) for i in range(200)]
                 for dyes in (FEW, MANY))  # fmt: skip
    greens = [sum(p.upper.base[1] > 1.5 * max(p.upper.base[[0, 2]]) for p in who)
              for who in (few, many)]  # fmt: skip
    assert greens[0] < greens[1]
    cuts = [{p.cut for p in who} for who in (few, many)]
    assert cuts[0] == cuts[1]


def test_other_test_cameras_leave_the_training_images_and_change_the_rest(tiny, tmp_path):
    other = ensure_synthetic(tmp_path, "tiny", 0, 1, Style(test_cameras="other"))
    assert other.name == "synthetic-tiny-seed0-wide-other"
    mine, theirs = files_of(other), files_of(tiny)
    assert mine.keys() == theirs.keys()
    for path in sorted(mine.keys() - {Path("manifest.json")}):
        assert (mine[path] == theirs[path]) == (path.parts[0] == TRAIN)


@pytest.mark.parametrize("style", [Style(colors="wid"), Style(test_cameras="others")])
def test_an_unknown_style_is_refused_with_the_known_words(tmp_path, style):
    with pytest.raises(InputError, match=r"did you mean '(wide|other)'"):
        ensure_synthetic(tmp_path, "tiny", 0, style=style)


# ---- the folder


def test_the_folder_holds_the_planned_names_and_a_manifest(tiny):
    shots = plan_shots(PRESETS["tiny"], 0)
    assert tiny.name == "synthetic-tiny-seed0-wide"
    for folder in FOLDERS:
        names = sorted(p.name for p in (tiny / folder).iterdir())
        assert names == sorted(s.file_name for s in shots if s.folder == folder)
    manifest = json.loads((tiny / "manifest.json").read_text())
    assert manifest["counts"] == {TRAIN: 50, QUERY: 18, GALLERY: 60}
    assert (manifest["preset"], manifest["seed"]) == ("tiny", 0)
    assert (manifest["colors"], manifest["test_cameras"]) == ("wide", "same")


def test_file_names_are_those_of_market1501(tiny):
    pattern = r"(-1|\d{4})_c[1-6]s[1-6]_\d{6}_\d\d\.jpg"
    assert all(re.fullmatch(pattern, p.name) for p in tiny.glob("*/*"))


def test_images_are_colour_jpegs_of_128_by_64(tiny):
    for path in sorted(tiny.glob("*/*.jpg")):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 128))


def test_two_workers_write_the_same_bytes_as_one(tiny, tmp_path):
    assert files_of(ensure_synthetic(tmp_path, "tiny", 0, workers=2)) == files_of(tiny)


def test_another_seed_gives_other_people(tiny, tmp_path):
    other = ensure_synthetic(tmp_path, "tiny", 1, workers=1)
    assert not set(files_of(other).values()) & set(files_of(tiny).values())


def test_a_finished_folder_is_not_written_again(tiny, monkeypatch):
    monkeypatch.setattr(writer, "render", None)
    before = {p: p.stat().st_mtime_ns for p in tiny.rglob("*")}
    assert ensure_synthetic(tiny.parent, "tiny", 0) == tiny
    assert {p: p.stat().st_mtime_ns for p in tiny.rglob("*")} == before


def test_a_failure_half_way_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail_late(seed, shot, style):
        if shot.folder == GALLERY:
            raise RuntimeError("disk full")
        return b"half"

    monkeypatch.setattr(writer, "render", fail_late)
    with pytest.raises(RuntimeError, match="disk full"):
        ensure_synthetic(tmp_path, "tiny", 0, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_of_two_runs_at_once_the_second_takes_the_folder_of_the_first(tiny, tmp_path, monkeypatch):
    final = tmp_path / tiny.name

    def be_overtaken(seed, shot, style):
        if not final.exists():
            shutil.copytree(tiny, final)
        return b"mine"

    monkeypatch.setattr(writer, "render", be_overtaken)
    assert ensure_synthetic(tmp_path, "tiny", 0, workers=1) == final
    assert files_of(final) == files_of(tiny)
    assert list(tmp_path.iterdir()) == [final]


def test_a_folder_of_another_version_is_refused_and_kept(tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / tiny.name)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"generator_version": 0}))
    before = files_of(copy)
    with pytest.raises(InputError, match=r"version 0.*delete the folder"):
        ensure_synthetic(tmp_path, "tiny", 0)
    assert files_of(copy) == before


def test_a_folder_with_a_missing_image_is_refused(tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / tiny.name)
    next((copy / QUERY).iterdir()).unlink()
    with pytest.raises(InputError, match="holds 17 images instead of 18; delete the folder"):
        ensure_synthetic(tmp_path, "tiny", 0)


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_folder_without_a_manifest_is_refused(tmp_path, text):
    folder = tmp_path / "synthetic-tiny-seed0-wide"
    folder.mkdir()
    if text is not None:
        (folder / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"no readable manifest\.json; delete the folder"):
        ensure_synthetic(tmp_path, "tiny", 0)


def test_an_unknown_preset_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"did you mean 'quick'.*market-scale, quick, tiny"):
        ensure_synthetic(tmp_path, "quik", 0)
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "root").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        ensure_synthetic(tmp_path / "root", "tiny", 0)


@pytest.mark.parametrize(("seed", "workers"), [(-1, 0), (0, -1)])
def test_negative_numbers_are_refused(tmp_path, seed, workers):
    with pytest.raises(
        InputError, match=r"^(seed|workers) must be a whole number of at least 0, got -1$"
    ):
        ensure_synthetic(tmp_path, "tiny", seed, workers)


def test_the_tool_prints_folder_and_counts_and_writes_a_sheet(tiny, tmp_path):
    sheet = tmp_path / "sheet.png"
    done = run("make_synthetic", "--preset", "tiny", "--root", tiny.parent, "--sheet", sheet)
    assert str(tiny) in done.stdout and "bounding_box_train" in done.stdout and "50" in done.stdout
    assert sheet.stat().st_size < 200_000


@pytest.mark.parametrize(
    ("option", "word", "mend"),
    [("--preset", "quik", "quick"), ("--colors", "wid", "wide"), ("--test-cameras", "sam", "same")],
)
def test_the_tool_says_bad_input_in_one_line(tmp_path, option, word, mend):
    done = run("make_synthetic", "--root", tmp_path, option, word, code=2)
    assert done.stderr.count("\n") == 1
    assert f"{option} has" in done.stderr and f"did you mean '{mend}'" in done.stderr
