"""The cases of scripts/fuzz.py: a function for each kind of input, which makes one at random."""

import contextlib
import hashlib
import io
import json
import os
import pickle
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
BASE = ROOT / "configs/synthetic_lfm.yml"
SMALL = [
    "MODEL.BACKBONE.NAME", "resnet18",
    "INPUT.SIZE_TRAIN", "[64, 32]", "INPUT.SIZE_TEST", "[64, 32]",
    "DATASETS.SYNTHETIC.PRESET", "tiny", "DATALOADER.NUM_WORKERS", "0", "SOLVER.PRECISION", "fp32",
    "SOLVER.IMS_PER_BATCH", "16", "SOLVER.MAX_EPOCHS", "1", "SOLVER.EVAL_PERIOD", "0",
    "MODEL.DEVICE", "cpu",
]  # fmt: skip
Draw = Callable[[Any], Any]


class Case(NamedTuple):
    """One case.

    Attributes:
        what: Says what was made, for the report.
        work: What is run.
        inputs: Files and folders that must stay as they are.
        continued: Whether a success may replace them: a run goes on in its own folder.
        verdict: Says after a success why it should have been none; "" where it is right.
    """

    what: str
    work: Callable[[], None]
    inputs: tuple[Path, ...]
    verdict: Callable[[], str] = str
    continued: bool = False


def _command(arguments: list[str]) -> None:
    """Runs a command without the guard, which is round the whole case."""
    from reid.cli import main

    main._run(arguments[0], arguments[1:], f"reid {arguments[0]}")


# --- configs ---------------------------------------------------------------------------------

NUMBERS = st.sampled_from(
    [0, -1, 1, 2, 3, 0.5, -0.5, 1.5, 1e-30, 1e9, 1e300, 2**31, 2**63, 10**30, 1e999, float("nan")]
)
WHOLE = st.one_of(st.integers(-1, 12), st.sampled_from([16, 32, 64, 128, 10**6]))
REAL = st.one_of(WHOLE, st.floats(0, 1), st.floats(-1, 20), st.sampled_from([1e-9, 1e6]))
SCALARS = st.one_of(
    NUMBERS,
    st.integers(-5, 300),
    st.floats(-10, 10),
    st.booleans(),
    st.none(),
    st.text(max_size=12),
)
VALUES = st.one_of(
    SCALARS,
    SCALARS,
    st.lists(SCALARS, max_size=4),
    st.dictionaries(st.text(max_size=5), SCALARS, max_size=2),
)
NASTY_YAML = [
    "SOLVER: " + "{" * 900 + "}" * 900,
    "[" * 50_000,
    "SOLVER: &a {BASE_LR: *a}",
    "LOSS: {NAMES: &a [*a]}",
    "_BASE_: config.yml",
    "_BASE_: nowhere.yml",
    "_BASE_: [base.yml]",
    "SEED: !!python/object/apply:os.system ['touch marker']",
    "OUTPUT_DIR: " + "x" * 5000,
    'OUTPUT_DIR: "a\\0b"',
    "IMPORTS: [./nowhere.py]",
    "IMPORTS: [.]",
    "? [a, b]\n: 1",
    "--- 1\n--- 2",
    "2001-01-01",
    "SEED: 2001-01-01",
    "SEED: 0x1F",
    "SEED: 1_000",
    "SEED: " + "9" * 5000,
    "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
    "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nLOSS: {NAMES: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]}",
    "\t- x",
    "%YAML 9.9\n---\nSEED: 1",
    "\ufeffSEED: 1",
]


def config(draw: Draw, home: Path) -> Case:
    """Settings with odd values in a file and on the command line, and files that are no config."""
    pairs = [_setting(draw) for _ in range(draw(st.integers(0, 3)))]
    text = _yaml(dict(pairs))
    nasty = draw(st.sampled_from(["", "", "", "", "", "", "twice", "line", "bytes"]))
    if nasty == "twice":
        text += text
    if nasty == "line":
        text += draw(st.sampled_from(NASTY_YAML)) + "\n"
    data = text.encode("utf-8", "surrogatepass")
    if nasty == "bytes":
        data = spoiled(draw, data)
    file = home / "config.yml"
    file.write_bytes(data)
    typed = []
    if draw(st.booleans()):
        key, value = _setting(draw)
        typed = [key.replace("\0", ""), str(value).replace("\0", "")]
    own = data if len(data) < 200 else data[:200] + b"..."
    return Case(f"{own!r} {typed}"[:400], lambda: _build(file, [*SMALL, *typed]), (file,))


def _setting(draw: Draw) -> tuple[str, Any]:
    """Draws a key and a value; most keys exist, and most values are of the right type."""
    from reid.config import known_settings

    known = known_settings()
    if draw(st.integers(0, 7)) == 0:
        sections = sorted({key.rpartition(".")[0] for key in known} - {""})
        letters = st.text(alphabet="ABCDEFLORS._", max_size=20)
        return draw(st.one_of(st.sampled_from(sections), letters)), draw(VALUES)
    key = draw(st.sampled_from(sorted(known)))
    if draw(st.integers(0, 4)) == 0:
        return key, draw(VALUES)
    setting = known[key]
    length = len(setting.default) if setting.many else 1
    words = st.sampled_from(sorted({"none", "x", *setting.choices}))
    item = {bool: st.booleans(), str: words, int: WHOLE}.get(setting.item, REAL)
    values = draw(st.lists(item, min_size=length, max_size=max(length, 1)))
    return key, (values if setting.many else values[0])


def _yaml(flat: dict[str, Any]) -> str:
    import yaml

    tree: dict[str, Any] = {}
    for key, value in flat.items():
        here = tree
        *sections, last = key.split(".")
        for section in sections:
            here = here.setdefault(section, {})
            if not isinstance(here, dict):
                break
        else:
            here[last] = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(tree, allow_unicode=True)


def _build(file: Path, typed: list[str]) -> None:
    """Reads the config and builds what costs little."""
    from reid.builders import build_model, build_retrieval
    from reid.builders.attack import build_attacks
    from reid.builders.data import build_sampler, build_transform
    from reid.builders.model import build_criterion
    from reid.config import load_cfg
    from reid.data.records import ImageRecord

    cfg = load_cfg(file, typed)
    labels = [i // 8 for i in range(64)]
    records = tuple(ImageRecord(Path(f"{i}.jpg"), label, i % 2) for i, label in enumerate(labels))
    build_transform(cfg)
    sampler = build_sampler(cfg, records, labels)
    sampler.set_epoch(1)
    list(sampler)
    model = build_model(cfg, 8, False)
    build_criterion(cfg, 8, model.feat_dim)
    build_retrieval(cfg, 20, 40)
    build_attacks(cfg)


# --- folders and images ----------------------------------------------------------------------

NAMES = st.one_of(
    st.from_regex(r"\A(-1|[0-9]{1,30})_c[0-9]{1,3}(s[0-9])?_[0-9a-z]{1,9}\Z"),
    st.from_regex(r"\A[0-9]{4}_c[0-9]s1_[0-9]{6}_00( \([0-9]\))?\Z"),
    st.text(st.characters(blacklist_characters="/\0"), min_size=1, max_size=60),
    st.sampled_from(
        ["0001_c1s1_" + "x" * 200, "\udcff\udcfe", "0001_c1s1_\udcff", ".hidden", "-1"]
    ),
)
ENDINGS = st.sampled_from(
    [".jpg", ".jpg", ".png", ".JPEG", ".bmp", ".tif", ".webp", ".gif", "", "."]
)
THINGS = ["image", "image", "image", "empty", "text", "folder", "pipe", "loop", "dangling", "up"]


def trees(draw: Draw, home: Path) -> Case:
    """A small data set, and among its images some odd names, folders, links and pipes."""
    data, out = home / "data", home / "out"
    for folder, pid in (("bounding_box_train", 1), ("query", 2), ("bounding_box_test", 2)):
        (data / folder).mkdir(parents=True)
        for camera in (1, 2):
            _image(len(folder) + camera).save(data / folder / f"{pid:04}_c{camera}s1_000001_00.jpg")
    made = []
    for _ in range(draw(st.integers(1, 4))):
        folder = data / draw(
            st.sampled_from(["bounding_box_train", "query", "bounding_box_test", "."])
        )
        deeper = draw(st.sampled_from(["", "", "0001", "a/b/c", "query"]))
        path = folder / deeper / (draw(NAMES) + draw(ENDINGS))
        thing = draw(st.sampled_from(THINGS))
        with contextlib.suppress(OSError, ValueError):  # a name that this file system does not take
            path.parent.mkdir(parents=True, exist_ok=True)
            _put(path, thing)
            made.append((thing, os.fsencode(path.relative_to(data))))
    arguments = ["check-data", "--config-file", str(ROOT / "configs/market_baseline.yml")]
    arguments += ["DATASETS.ROOT_DIR", str(data), "OUTPUT_DIR", str(out)]
    return Case(str(made), lambda: _command(arguments), (data,))


def _put(path: Path, thing: str) -> None:
    if thing == "image":
        _image(7).save(path, "PNG")
    elif thing in ("empty", "text"):
        path.write_text("" if thing == "empty" else "<html>404</html>")
    elif thing == "folder":
        path.mkdir()
    elif thing == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"loop": path.name, "dangling": "nowhere.jpg", "up": ".."}[thing])


FORMATS = ["JPEG", "PNG", "BMP", "WEBP", "TIFF"] * 4 + [
    "GIF",
    "PPM",
    "TGA",
    "PCX",
    "ICO",
    "EPS",
    "PDF",
]
MODES = ["RGB", "L", "P", "RGBA", "LA", "CMYK", "1", "I;16", "I", "F", "YCbCr"]
FOREIGN = [
    b"",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
    b"\xc5\xd0\xd3\xc6" + bytes(60),
    b"version https://git-lfs.github.com/spec/v1\n",
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"BM" + bytes(16) + b"\xff\xff\xff\x7f" * 2 + bytes(40),
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0",
]


def images(draw: Draw, home: Path) -> Case:
    """Image files of many kinds, named .jpg, with bytes changed, added or cut off."""
    kind, mode = draw(st.sampled_from(FORMATS)), draw(st.sampled_from(MODES))
    stream = io.BytesIO()
    try:
        image = _image(draw(st.integers(0, 3)))
        image = _sixteen() if mode == "I;16" else image.convert(mode)
        image.save(stream, kind)
        data = stream.getvalue()
    except (OSError, ValueError, KeyError):  # a pair of format and mode that does not exist
        data = draw(st.sampled_from(FOREIGN))
    data = spoiled(draw, data) if draw(st.integers(0, 4)) else data
    file = home / "0001_c1s1_000001_00.jpg"
    file.write_bytes(data)

    def work() -> None:
        from reid.data.checking import read_picture
        from reid.data.images import decode
        from reid.data.records import ImageRecord

        read_picture("train", ImageRecord(file, 1, 0))
        decode(file, (32, 16))

    return Case(f"{kind} {mode}, {len(data)} bytes", work, (file,))


def _image(number: int) -> Any:
    from PIL import Image

    pixels = np.random.default_rng(number).integers(0, 256, (24, 12, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def _sixteen() -> Any:
    from PIL import Image

    return Image.fromarray(np.random.default_rng(9).integers(0, 2**16, (24, 12), dtype=np.uint16))


# --- features, reports, checkpoints ----------------------------------------------------------

FIELDS = [
    f"{side}_{field}" for side in ("query", "gallery") for field in ("feats", "pids", "camids")
]
CHANGES: dict[str, Callable[[np.ndarray], Any]] = {
    "float16": lambda a: a.astype(np.float16),
    "complex": lambda a: a.astype(complex),
    "bool": lambda a: a.astype(bool),
    "text": lambda a: a.astype(str),
    "records": lambda a: np.zeros(len(a), [("a", "i4"), ("b", "f4")]),
    "objects": lambda a: a.astype(object),
    "dates": lambda a: a.astype("int64").astype("datetime64[s]"),
    "scalar": lambda a: a.ravel()[0],
    "empty": lambda a: a[:0],
    "flat": lambda a: a.ravel(),
    "deep": lambda a: a.reshape((1,) * 20 + a.shape),
    "views": lambda a: np.stack([a, a], 1),
    "nan": lambda a: a * np.nan,
    "inf": lambda a: a / 0.0,
    "zero": lambda a: a * 0,
    "large": lambda a: a * 1e38,
    "huge ids": lambda a: (a * 0 + 2**63).astype(np.uint64),
    "negative": lambda a: -a - 5,
    "fewer": lambda a: a[1:],
    "turned": lambda a: a.T,
}
HEADERS = [
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 8), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 8), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f8', 'shape': (" + "(" * 3000 + ")" * 3000 + "), }",
    "{'descr': '<f8'}",
    "__import__('os').mkdir('marker')",
]


def npz(draw: Draw, home: Path) -> Case:
    """Features in an npz: arrays of other kinds and shapes, members that lie, bytes changed."""
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    arrays = {
        "query_feats": rng.normal(size=(4, 8)).astype(np.float32), "query_pids": np.arange(4),
        "query_camids": np.zeros(4, int), "gallery_feats": rng.normal(size=(12, 8)),
        "gallery_pids": np.arange(12) % 4, "gallery_camids": np.ones(12, int),
    }  # fmt: skip
    what = []
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=2)):
        change = draw(st.sampled_from([*CHANGES, "gone"]))
        what.append((name, change))
        if change == "gone":
            arrays.pop(name, None)
        elif name in arrays:
            with contextlib.suppress(Exception), np.errstate(all="ignore"):
                arrays[name] = CHANGES[change](arrays[name])
    file = home / "features.npz"
    draw(st.sampled_from([np.savez, np.savez_compressed]))(file, **arrays)
    lie = draw(st.sampled_from(["", "", "", "", "header", "foreign", "bomb"]))
    if lie:
        name = draw(st.sampled_from(FIELDS))
        content = {"header": _npy(draw(st.sampled_from(HEADERS))), "foreign": b"no array"}.get(lie)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for key, value in arrays.items():
                with archive.open(f"{key}.npy", "w") as member:
                    if key == name and content is None:
                        np.save(member, np.zeros((4_000_000,)))
                    elif key == name:
                        member.write(content)
                    else:
                        np.save(member, value)
    damaged = not draw(st.integers(0, 4))
    if damaged:
        file.write_bytes(spoiled(draw, file.read_bytes()))
    typed = ["TEST.RE_RANKING", "True"] if draw(st.booleans()) else []
    arguments = ["test", "--features", str(file), "OUTPUT_DIR", str(home / "out"), *typed]
    return Case(f"{what} {lie} {damaged=}", lambda: _command(arguments), (file,))


def _npy(header: str) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text + bytes(64)


ROW = {"kind": "attack", "name": "pgd-sma", "level": 4.0, "ranking": "plain", "mAP": 0.5,
       "mINP": 0.2, "rank1": 0.6, "success": 0.4}  # fmt: skip
REPORT = {
    "weight": "outputs/a/last.pth", "surrogate": None, "num_queries": 10,
    "attack": {"ATTACK.NAMES": ["pgd-sma"]},
    "sanity": {"verdict": "ok", "checks": [{"passed": True}]},
    "rows": [ROW | {"kind": "clean", "name": "clean", "level": 0.0}, ROW],
}  # fmt: skip
METRICS = {"mAP": 0.5, "mINP": 0.2, "rank1": 0.6, "rank5": 0.8, "rank10": 0.9, "num_queries": 10,
           "num_gallery": 20, "dataset": "synthetic", "re_ranked": {"mAP": 0.6, "mINP": 0.3,
           "rank1": 0.7, "rank5": 0.8, "rank10": 0.9}}  # fmt: skip
DOCUMENTS = st.sampled_from(
    ["", "5", "[]", "{}", "null", '"text"', "NaN", "[" * 100_000, '{"a":' * 5000, "9" * 5000,
     "\ufeff{}", '{"mAP": 1e999}', '{"mAP": 1, "mAP": 2}', "{'mAP': 1}", '"\\ud800"', "\0"]
)  # fmt: skip


def reports(draw: Draw, home: Path) -> Case:
    """Results of a test or an attack, as JSON with values, keys or bytes changed."""
    (home / "run").mkdir()
    attack = draw(st.booleans())
    document = json.loads(json.dumps(REPORT if attack else METRICS))
    how = draw(st.sampled_from(["value", "value", "values", "document", "bytes"]))
    for _ in range({"value": 1, "values": 3}.get(how, 0)):
        _change(draw, document, VALUES)
    text = draw(DOCUMENTS) if how == "document" else json.dumps(document)
    data = text.encode("utf-8", "surrogatepass")
    data = spoiled(draw, data) if how == "bytes" else data
    file = home / "run" / ("robustness.json" if attack else "metrics.json")
    file.write_bytes(data)
    groups = [f"{name}={home / 'run'}" for name in "ab"]
    arguments = ["compare-attacks", *groups] if attack else ["results", str(home / "run")]
    return Case(repr(data[:300]), lambda: _command(arguments), (home / "run",))


# --- lists of people -------------------------------------------------------------------------

CELLS = st.one_of(
    st.sampled_from(
        ["", " ", "-1", "0", "1.0", "nan", "a,b", '"', "é", "../x.jpg", "x" * 300, "\0"]
    ),
    st.sampled_from(["TRAIN", "trian", "test", "val", "query", "gallery"]),
    st.text(max_size=8),
)
COLUMNS = ["path", "identity", "camera", "split"]


def lists(draw: Draw, home: Path) -> Case:
    """A list of people with cells, columns, separators, encodings or bytes changed."""
    data, out = home / "data", home / "out"
    data.mkdir()
    rows = [list(COLUMNS)]
    for pid in range(4):
        for camera in range(2):
            name = f"p{pid}_{camera}.jpg"
            _image(2 * pid + camera).save(data / name)
            rows.append([name, f"p{pid}", str(camera), "train" if pid < 2 else "test"])
    how = draw(st.sampled_from(["cells", "cells", "cells", "columns", "rows", "bytes"]))
    if how == "columns":
        kept = draw(st.permutations(range(4)))[: draw(st.integers(1, 4))]
        rows = [[row[column] for column in kept] for row in rows]
    elif how == "rows":
        rows += [draw(st.lists(CELLS, max_size=6)) for _ in range(draw(st.integers(1, 3)))]
    elif how == "cells":
        for _ in range(draw(st.integers(1, 4))):
            row = draw(st.sampled_from([*range(1, 9), *range(9)]))  # the first one seldom
            rows[row][draw(st.integers(0, 3))] = draw(CELLS)
    between = draw(st.sampled_from([",", ",", ";", "\t", "|", ", "]))
    end = draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    text = end.join(between.join(row) for row in rows) + draw(st.sampled_from(["", end]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    content = text.encode(encoding, "replace")
    content = spoiled(draw, content) if how == "bytes" else content
    (data / "people.csv").write_bytes(content)
    arguments = [
        "check-data",
        "--config-file",
        str(ROOT / "configs/csv.yml"),
        "OUTPUT_DIR",
        str(out),
    ]
    arguments += ["DATASETS.CSV.FILE", str(data / "people.csv")]
    if draw(st.booleans()):
        arguments += ["TEST.PROTOCOL", "any_camera"]
    return Case(repr(content[:300]), lambda: _command(arguments), (data,))


# --- weights of others -----------------------------------------------------------------------

PREFIXES = ["", "", "module.", "_orig_mod.", "model.", "backbone.", "base.", "image_encoder."]
PARTS = [
    "conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer4.0.conv1.weight",
    "fc.weight",
    "heads.bottleneck.0.weight", "heads.pool_layer.p", "NL_2.0.g.weight", "bottleneck.weight",
    "classifier.weight", "classifier.add_block.0.weight", "cls_token", "pos_embed", "sie_embed",
    "patch_embed.proj.weight", "blocks.0.norm1.weight", "global_avgpool",
    "conv2.0.conv1.conv.weight",
    "features.0.0.weight", "state_dict", "epoch",
]  # fmt: skip
SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 7, 16, 64]), max_size=4)


def foreign(draw: Draw, home: Path) -> Case:
    """Files with names of other projects, odd shapes and odd values: converted."""
    import torch

    file, prefix = home / "theirs.pth", draw(st.sampled_from(PREFIXES))
    if draw(st.booleans()):
        state: dict[str, Any] = {k: v.clone() for k, v in torch.load(
            base_run() / "last.pth", weights_only=True)["model"].items()}  # fmt: skip
        state = {prefix + key.removeprefix("backbone."): value for key, value in state.items()}
    else:
        state = {}
    for _ in range(draw(st.integers(1, 6))):
        name = prefix + draw(st.sampled_from(PARTS))
        made = torch.zeros(draw(SHAPES), dtype=draw(st.sampled_from([torch.float32, torch.int64])))
        state[name] = draw(VALUES) if draw(st.integers(0, 4)) == 0 else made
    for key in draw(st.lists(st.sampled_from(sorted(state)), max_size=3)):
        state.pop(key, None)
    wrapped = draw(st.sampled_from([None, None, "state_dict", "model", "net"]))
    torch.save({wrapped: state, "epoch": 3} if wrapped else state, file)
    if draw(st.integers(0, 4)) == 0:
        file.write_bytes(spoiled(draw, file.read_bytes()))
    arguments = ["convert", str(file), "-o", str(home / "ours.pth")]
    arguments += draw(st.sampled_from([[], [], ["--by-order"], ["--from", "fast-reid"]]))
    arguments += draw(st.sampled_from([[], ["--network", "resnet18"], ["--network", "osnet_x1_0"]]))
    return Case(f"{sorted(state)[:6]} {arguments[4:]}", lambda: _command(arguments), (file,))


# --- studies ---------------------------------------------------------------------------------

STUDY: dict[str, Any] = {
    "_BASE_": "synthetic_baseline.yml",
    "OVERRIDES": {"SOLVER.MAX_EPOCHS": 1},
    "VARIANTS": {"plain": {}, "p": {"GRID": {"MODEL.REGULARIZER.LFM.P": [0.1, 0.2]}}},
    "SEEDS": [0, 1],
    "DATA_SEEDS": [0],
    "RUN": ["train", "test"],
    "BASELINE": "plain",
    "KEEP": "results",
    "PRESETS": {"small": {"SEEDS": [0]}},
}


def studies(draw: Draw, home: Path) -> Case:
    """The file of a study with values, keys or bytes changed; --only a name that none has."""
    document = json.loads(json.dumps(STUDY))
    for _ in range(draw(st.integers(1, 3))):
        _change(draw, document, VALUES)
    data = json.dumps(document).encode("utf-8", "surrogatepass")  # JSON is YAML
    data = spoiled(draw, data) if draw(st.integers(0, 3)) == 0 else data
    file = home / "study.yml"
    file.write_bytes(data)
    arguments = ["ablate", str(file), "--only", "no such cell", "OUTPUT_DIR", str(home / "out")]
    return Case(repr(data[:300]), lambda: _command(arguments), (file,))


class Marker:
    """Makes a folder where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        """Tells pickle what to call."""
        return os.mkdir, ("marker",)


def checkpoints(draw: Draw, home: Path) -> Case:
    """A checkpoint with bytes or values changed, or another file: tested, and gone on with."""
    import torch

    base = base_run()
    shutil.copytree(base, home / "run", ignore=shutil.ignore_patterns("cache", "tensorboard"))
    file = home / "run/last.pth"
    good = file.read_bytes()
    how = draw(st.sampled_from(["bytes", "bytes", "bytes", "value", "value", "foreign"]))
    if how == "bytes":
        file.write_bytes(spoiled(draw, good))
    elif how == "value":
        state = torch.load(file, weights_only=True)
        _change(draw, state, VALUES)
        with contextlib.suppress(Exception):
            torch.save(state, file)
    else:
        foreign = [
            pickle.dumps(Marker()),
            pickle.dumps({"model": Marker()}),
            b"",
            b"text",
            b"PK\3\4",
            b"[1]",
        ]
        file.write_bytes(draw(st.sampled_from(foreign)))
    out = home / "out"
    arguments = ["test", "TEST.WEIGHT", str(file), "OUTPUT_DIR", str(out)]
    if draw(st.booleans()):
        arguments = ["train", "--resume", "OUTPUT_DIR", str(home / "run")]
    whole = [*arguments, "--config-file", str(BASE), *SMALL]
    whole += ["DATASETS.ROOT_DIR", str(base.parent / "data")]

    def verdict() -> str:
        return _other_weights(file, base / "last.pth") if how == "bytes" else ""

    damage = f"{how} {hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"
    continued = arguments[0] == "train"
    what = f"{damage} {arguments[0]}"
    return Case(what, lambda: _command(whole), (file,), verdict, continued)


def _other_weights(file: Path, base: Path) -> str:
    """Says that a damaged file was taken for a good one, if its weights are others."""
    import torch

    from reid.engine import checkpoint
    from reid.utils.errors import InputError

    try:
        found, good = (checkpoint.load(path)["model"] for path in (file, base))
    except InputError:
        return ""  # it was seen, and an older checkpoint was taken
    same = found.keys() == good.keys() and all(
        torch.equal(found[name].nan_to_num(), good[name].nan_to_num()) for name in good
    )
    return "" if same else "damaged weights were taken for good ones"


def base_run() -> Path:
    """Trains for an epoch, once for all children."""
    run = Path(os.environ["REID_FUZZ_BASE"]) / "run"
    _narrow()
    if not (run / "last.pth").is_file():
        with contextlib.redirect_stdout(io.StringIO()):
            where = ["OUTPUT_DIR", str(run), "DATASETS.ROOT_DIR", str(run.parent / "data")]
            _command(["train", "--config-file", str(BASE), *SMALL, *where])
    return run


def _narrow() -> None:
    """Puts a network of an eighth of the channels in the place of ResNet-18."""
    import torchvision

    sys.path.insert(0, str(ROOT / "tests"))
    from narrow import resnet18

    torchvision.models.resnet18 = resnet18


def prepare(kind: str) -> None:
    """Does once what the first case of a kind would otherwise have to wait for."""
    if kind == "config":
        _build(BASE, SMALL)
    elif kind in ("checkpoints", "foreign"):
        base_run()


KINDS: dict[str, tuple[Callable[[Draw, Path], Case], float]] = {  # with their share of the cases
    "config": (config, 0.2),
    "trees": (trees, 0.1),
    "images": (images, 0.15),
    "npz": (npz, 0.05),
    "reports": (reports, 0.1),
    "checkpoints": (checkpoints, 0.1),
    "lists": (lists, 0.1),
    "foreign": (foreign, 0.1),
    "studies": (studies, 0.1),
}


# --- changes of any kind ---------------------------------------------------------------------


def spoiled(draw: Draw, data: bytes) -> bytes:
    """Flips, cuts off, repeats, inserts or overwrites bytes."""
    how = draw(st.sampled_from(["flip", "flip", "cut", "cut", "insert", "zero", "twice"]))
    places = draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=6))
    result = bytearray(data)
    at = places[0] % (len(data) + 1)
    if how == "flip" and data:
        for place in places:
            result[place % len(data)] ^= 1 << place % 8
    elif how == "cut":
        del result[at:]
    elif how == "insert":
        result[at:at] = draw(st.binary(min_size=1, max_size=40))
    elif how == "zero":
        result[at : at + 64] = bytes(len(result[at : at + 64]))
    elif how == "twice":
        result += data
    return bytes(result)


def _change(draw: Draw, document: Any, values: Any) -> None:
    """Replaces or deletes something in a document of dicts and lists."""
    here = document
    for _ in range(draw(st.integers(0, 4))):
        places = list(here) if isinstance(here, dict) else list(range(len(here)))
        inner = [p for p in places if isinstance(here[p], dict | list) and here[p]]
        if not inner:
            break
        here = here[draw(st.sampled_from(inner))]
    places = list(here) if isinstance(here, dict) else list(range(len(here)))
    if not places:
        return
    place = draw(st.sampled_from(places))
    if draw(st.integers(0, 3)):
        here[place] = draw(values)
    else:
        del here[place]
