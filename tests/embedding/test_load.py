"""``reid.load``: a checkpoint alone gives the features that ``reid test`` computes."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import commands
import numpy as np
import pytest
import torch
from crops import picture
from outside import forgotten
from PIL import Image
from untrained import write_checkpoint

import reid
from reid.data.images import ImageError
from reid.embedding import FeatureExtractor, inputs
from reid.utils.errors import InputError

pytestmark = pytest.mark.usefixtures("narrow_resnet18")


@pytest.fixture(scope="module")
def weight(data: Path, narrow_resnet18: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "best.pth", data)


@pytest.fixture(scope="module")
def model(weight: Path) -> FeatureExtractor:
    return reid.load(weight, device="cpu")


def noise(height: int = 64, width: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["TEST.FLIP", "True", "TEST.NECK_FEAT", "before"],
        ["TEST.FEAT_NORM", "False", "TEST.IMS_PER_BATCH", "7", "TEST.METRIC", "cosine"],
    ],
)
def test_features_are_those_of_reid_test(
    settings: list[str], weight: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    more = ["TEST.WEIGHT", weight, "TEST.SAVE_FEATURES", "True", *settings]
    commands.run("test", *commands.lfm(data, out, *more))
    saved = np.load(out / "features.npz")
    ranking = np.load(out / "ranking.npz")
    for side in ("query", "gallery"):
        files = [data / name for name in ranking[f"{side}_files"]]
        feats = reid.load(weight, "cpu", settings).embed(files)
        assert feats.dtype == np.float32
        scale = np.abs(saved[f"{side}_feats"]).max()
        np.testing.assert_allclose(feats, saved[f"{side}_feats"], rtol=0, atol=1e-6 * scale)


def test_what_an_image_may_be(model: FeatureExtractor, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 1, (32, 64))
    pixels = np.asarray(Image.open(file))
    channels_first = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    expected = model.embed(file)
    assert expected.shape == (1, model.feat_dim)
    assert np.abs(model.embed(255 - pixels) - expected).max() > 0.01
    same = [str(file), Image.open(file), pixels, pixels[None], channels_first, channels_first[None]]
    same += [channels_first / 255, pixels.astype(np.float32) / 255]
    for image in same:
        np.testing.assert_allclose(model.embed(image), expected, atol=1e-6)
    mixed = model.embed(iter([file, pixels, [channels_first, channels_first / 255]]))
    np.testing.assert_allclose(mixed, np.repeat(expected, 4, 0), atol=1e-6)


def test_images_of_any_size_and_in_any_batch(model: FeatureExtractor, tmp_path: Path) -> None:
    shapes = [(64, 32), (200, 90), (5, 3), (1, 1), (64, 32)]
    images = [noise(*shape, seed) for seed, shape in enumerate(shapes)]
    files = [tmp_path / f"{number}.png" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file)
    together = model.embed(images)
    apart = np.linalg.norm(together[0] - together[1:-1], axis=1)
    assert apart.min() > 0.1  # else all that follows would say nothing
    alone = [model.embed(image) for image in images]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)
    np.testing.assert_allclose(model.embed(files, batch_size=2), together, atol=1e-5)


def test_boxes_are_crops(model: FeatureExtractor) -> None:
    frame = noise(120, 160)
    boxes = [[10, 20, 42, 84], [-5, 100.5, 20.2, 500]]
    expected = model.embed([frame[20:84, 10:42], frame[100:120, 0:21]])
    tensor = torch.from_numpy(frame.transpose(2, 0, 1).copy())
    for whole in (frame, Image.fromarray(frame), tensor):
        np.testing.assert_allclose(model.embed(whole, boxes=boxes), expected, atol=1e-6)
    np.testing.assert_allclose(model.embed(frame, torch.tensor(boxes)), expected, atol=1e-6)
    assert model.embed(frame, boxes=[]).shape == (0, model.feat_dim)


@pytest.mark.parametrize(
    ("boxes", "says"),
    [
        ([[10, 10, 10, 20]], "no pixel of the frame .160 x 120. in box 0"),
        ([[0, 0, 5, 5], [200, 0, 300, 50]], "in box 1"),
        ([[0, 0, 5]], r"must be \(N, 4\)"),
        ([[0, 0, 5, float("nan")]], r"must be \(N, 4\) finite"),
    ],
)
def test_a_box_that_holds_nothing_is_named(
    model: FeatureExtractor, boxes: list[list[float]], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        model.embed(noise(120, 160), boxes=boxes)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (
            noise().astype(np.float32),
            r"must be in \[0, 1\], got 0 to 255; hand in uint8, or divide",
        ),
        (torch.full((3, 8, 8), torch.nan), r"must be in \[0, 1\], got nan"),
        (torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0)), "normalizes pixels"),
        (noise().astype(np.int64), "type int64 is no image"),
        (noise()[..., 0], r"shape \(64, 32\)"),
        (noise().transpose(2, 0, 1), "channels last"),
        (torch.from_numpy(noise()), "channels first"),
        (7, "int is no image"),
        (["missing.jpg"], "missing.jpg: cannot be read"),
    ],
)
def test_what_is_no_image_is_refused(model: FeatureExtractor, image: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        model.embed(image)  # type: ignore[arg-type]


def test_eval_mode_is_forced(model: FeatureExtractor) -> None:
    image = noise()
    expected = model.embed(image)
    before = {name: value.clone() for name, value in model.embedding.state_dict().items()}
    model.embedding.train()
    np.testing.assert_array_equal(model.embed([image, noise(seed=3)])[:1].shape, expected.shape)
    np.testing.assert_allclose(model.embed(image), expected, atol=1e-6)
    after = model.embedding.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_an_iterator_is_read_as_it_is_needed(model: FeatureExtractor) -> None:
    asked = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal asked
        while True:
            asked += 1
            yield noise()

    batches = model.embed_batches(endless(), batch_size=2)
    assert [len(next(batches).feats) for _ in range(3)] == [2, 2, 2]
    batches.close()  # type: ignore[attr-defined]
    assert asked < 60


def test_files_are_decoded_while_the_network_computes(
    model: FeatureExtractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network waits until the next two batches are decoded; in turns it would wait forever."""
    files = [picture(tmp_path / f"{number}.png", number) for number in range(12)]
    decoded = [threading.Event() for _ in files]
    read = inputs.read_rgb

    def noted(path: Path) -> Image.Image:
        image = read(path)
        decoded[int(path.stem)].set()
        return image

    monkeypatch.setattr(inputs, "read_rgb", noted)
    forward = model.embedding.forward
    seen = 0

    def waiting(images: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += len(images)
        for event in decoded[seen : seen + 4]:
            assert event.wait(60)
        return forward(images)

    monkeypatch.setattr(model.embedding, "forward", waiting)
    assert len(model.embed(files, batch_size=2)) == 12


def test_unreadable_files_are_passed_over_if_asked(model: FeatureExtractor, tmp_path: Path) -> None:
    good = picture(tmp_path / "a.png", 1)
    bad = tmp_path / "b.jpg"
    bad.write_bytes(b"no picture")
    files = [good, bad, bad, good, bad]
    found = list(model.embed_batches(files, batch_size=1, skip=True))
    assert [place for batch in found for place in batch.places] == [0, 3]
    assert [failed.place for batch in found for failed in batch.failed] == [1, 2, 4]
    with pytest.raises(ImageError, match=r"b.jpg: cannot be read as an image"):
        model.embed(files)


def test_weights_tell_models_apart(
    weight: Path, model: FeatureExtractor, data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("safetensors")
    converted = tmp_path / "best.safetensors"
    commands.run("convert", weight, "-o", converted)
    again = reid.load(converted, "cpu")
    assert again.fingerprint == model.fingerprint
    np.testing.assert_array_equal(again.embed(noise()), model.embed(noise()))
    other = reid.load(write_checkpoint(tmp_path / "other.pth", data, seed=1), "cpu")
    flipped = reid.load(weight, "cpu", ["TEST.FLIP", True])
    assert len({other.fingerprint, flipped.fingerprint, model.fingerprint}) == 3


def test_the_folder_of_a_run_is_enough(weight: Path, model: FeatureExtractor) -> None:
    assert reid.load(weight.parent).fingerprint == model.fingerprint
    with pytest.raises(InputError, match="is a folder"):
        reid.load(weight.parent.parent)


def test_damaged_weights_are_not_taken_for_features(
    model: FeatureExtractor, data: Path, tmp_path: Path
) -> None:
    broken = reid.load(write_checkpoint(tmp_path / "a.pth", data))
    next(iter(broken.embedding.parameters())).data.fill_(torch.nan)
    with pytest.raises(InputError, match="not finite"):
        broken.embed(noise())


def test_a_checkpoint_is_tested_by_its_own_config(weight: Path, data: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "best.pth"
    moved.parent.mkdir()
    moved.write_bytes(weight.read_bytes())
    commands.run("test", "TEST.WEIGHT", moved)
    commands.run("test", *commands.lfm(data, tmp_path / "out", "TEST.WEIGHT", weight))
    ours, named = (
        json.loads((folder / "metrics.json").read_text())
        for folder in (moved.parent, tmp_path / "out")
    )
    same = ("rankings", "protocol", "dataset", "ids", "recipe_hash")
    assert [ours.get(key) for key in same] == [named.get(key) for key in same]
    commands.run("test", "TEST.WEIGHT", moved, "TEST.FLIP", "True", "OUTPUT_DIR", tmp_path / "b")
    assert (tmp_path / "b/metrics.json").exists()
    assert "TEST.WEIGHT is empty" in commands.run("test", code=2).stderr
    assert "TEST.WEIGHT is empty" in commands.run("attack", code=2).stderr


def test_nothing_that_a_checkpoint_names_is_imported(data: Path, tmp_path: Path) -> None:
    part = tmp_path / "own_loss.py"
    part.write_text((commands.ROOT / "tests/extension/parts/lifted.py").read_text())
    text = ["IMPORTS", str(part), "LOSS.NAMES", "[ce, lifted]"]
    with forgotten([part]):
        path = write_checkpoint(tmp_path / "a.pth", data, text)
    part.write_text("raise SystemExit('imported')\n")
    assert reid.load(path).feat_dim == 64  # no feature depends on a loss
    done = commands.run("test", "TEST.WEIGHT", path, code=2)
    assert "unknown" in done.stderr and f"the run had IMPORTS [{part}]" in done.stderr
