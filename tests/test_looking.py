"""``reid show`` and ``reid report`` on runs of a tiny network; the page also in a browser."""

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import ROOT, lfm, run
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

NETWORK = ["IMPORTS", ROOT / "tests/tiny_network.py", "MODEL.BACKBONE.NAME", "tiny_network"]
pytestmark = [pytest.mark.early, pytest.mark.usefixtures("tiny_network")]


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tested seeds of a recipe, of which the first was attacked."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        out = root / f"seed{seed}"
        run("train", *lfm(data, out, *NETWORK, "SOLVER.MAX_EPOCHS", 2, "SEED", seed))
        tested = ["--config-file", out / "config.yml", "TEST.WEIGHT", out / "last.pth"]
        run("test", *tested, "TEST.RE_RANKING", True)
    attack = [
        *("ATTACK.NAMES", "('noise','pgd-sma')", "ATTACK.EPS_255", "(2,4)"),
        *("ATTACK.PGD.STEPS", 2, "ATTACK.STEP_CURVE", "()", "ATTACK.NUM_QUERIES", 8),
        *("ATTACK.SAVE_IMAGES", 2),
    ]
    out = root / "seed0"
    run("attack", "--config-file", out / "config.yml", "TEST.WEIGHT", out / "last.pth", *attack)
    return root


@pytest.fixture(scope="module")
def maps(runs: Path) -> str:
    """What ``reid show --activations`` prints of the first run, which then has its picture."""
    return run("show", runs / "seed0", "--activations", "--best", 3).stdout


@pytest.fixture(scope="module")
def beside(runs: Path) -> str:
    """What it prints of both runs, whose picture then lies in the folder of the first."""
    return run("show", runs / "seed0", runs / "seed1", "--activations", "--best", 3).stdout


@pytest.fixture(scope="module")
def page(runs: Path, maps: str, beside: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    run("report", runs, "-o", file, "--title", "LFM <b>& others</b>", "--queries", 3)
    return file


def test_show_draws_a_row_for_each_ranking_of_each_query(runs: Path, tmp_path: Path) -> None:
    said = run("show", runs / "seed0", "--worst", 2, "--best", 1, "-o", tmp_path / "x.png").stdout
    assert said.startswith("3 queries\n")
    with Image.open(tmp_path / "x.png") as picture:
        # A row: 128 pixels, frames of 3, two lines of 11, a gap of 6, a caption of 14.
        assert picture.height == 18 + 6 * (128 + 6 + 22 + 6 + 14) - 6
        assert picture.width == 11 * (64 + 6) + 10 * 6 + 2 * 6


def test_show_finds_a_query_by_its_name(runs: Path, tmp_path: Path) -> None:
    with np.load(runs / "seed0/ranking.npz") as arrays:
        name = Path(str(arrays["query_files"][arrays["query_index"][3]])).name
    run("show", runs / "seed0", "--query", name, "--hits", 4, "-o", tmp_path / "x.png")
    error = run("show", runs / "seed0", "--query", name[:-5], code=2).stderr
    assert f"did you mean '{name}'" in error and error.count("\n") == 1


def test_wrong_requests_are_one_line(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    np.savez(tmp_path / "old/ranking.npz", query_index=np.arange(3), ap=np.ones(3))
    run_of = runs / "seed0"
    reference = tmp_path / "reference"
    reference.mkdir()
    for name in ("config.yml", "ranking.npz"):
        shutil.copy(run_of / name, reference)
    (reference / "metrics.json").write_text('{"reference": "chance"}')
    trained = tmp_path / "trained"
    trained.mkdir()
    (trained / "last.pth").touch()
    for args, says in (
        ([tmp_path / "old"], "test the run again (reid test)"),
        ([tmp_path], "holds no test (ranking.npz is not there): name the folder of a tested run"),
        ([trained], f"`reid test TEST.WEIGHT {trained / 'last.pth'}`"),
        ([run_of, "--hits", 51], "--hits is 51; a test keeps the first 50"),
        ([run_of, "--worst", 0], "--worst"),
        ([run_of, run_of], "ranked lists are drawn of one run, and 2 are named"),
        ([run_of, "--mechanism", "--eps", 0], "--eps must be more than 0"),
        ([run_of, "--mechanism", "-o", "x.png"], "--output must end in .json"),
        ([tmp_path / "old", "--mechanism"], "has no config.yml"),
        ([run_of, "--mechanism", "--worst", 1], "--mechanism needs queries of two people or more"),
        ([run_of, "-o", "x.jpg"], "--output must end in .png"),
        ([run_of, "--data", tmp_path], "say where the data sets are now: --data FOLDER"),
        ([tmp_path / "old", "--activations"], "has no config.yml"),
        ([reference, "--activations"], "metrics.json is of no checkpoint"),
    ):
        error = run("show", *args, code=2).stderr
        assert says in error and error.startswith("error: ") and error.count("\n") == 1


def test_activations_are_drawn_and_measured_on_drawn_people(runs: Path, maps: str) -> None:
    lines = {line.split("  ")[0]: line.split()[-3:] for line in maps.splitlines()}
    assert "3 queries, mean share" in lines
    for name in ("clean", "LFM-masked", "occluded", "attacked"):
        assert all(0 < float(value) < 100 for value in lines[name]), lines
    # The flat map says how much of the image is the person; an occluder hides some of it.
    assert float(lines["occluded"][2]) < float(lines["clean"][2]) == float(lines["attacked"][2])
    assert lines["LFM-masked"][0] != lines["clean"][0] != lines["attacked"][0]
    with Image.open(runs / "seed0/activations.png") as picture:
        assert picture.width == 12 * 64 + 11 * 6 + 3 * 12


def test_runs_are_drawn_beside_each_other_on_the_same_queries(
    runs: Path, maps: str, beside: str
) -> None:
    alone, both = (
        [re.split(r"  +", line) for line in text.splitlines()] for text in (maps, beside)
    )
    assert [line[:2] for line in both if line[0] == "clean"] == [
        ["clean", "seed0"], ["clean", "seed1"],
    ]  # fmt: skip
    # The first run's numbers are those that it has alone; the other one looks elsewhere.
    first = {line[0]: line[2:] for line in both if "seed0" in line}
    assert first == {line[0]: line[1:] for line in alone if line[0] in first}
    second = {line[0]: line[2:] for line in both if "seed1" in line}
    assert all(first[name][0] != second[name][0] for name in first)
    # The occluder is the same for both.
    assert all(first[name][2] == second[name][2] for name in first)
    with Image.open(runs / "seed0/activations_beside.png") as picture:
        assert picture.size == (12 * 64 + 11 * 6 + 3 * 12, 18 + 6 * (128 + 6 + 14) - 6)


def test_the_mechanism_is_measured_run_beside_run(runs: Path, tmp_path: Path) -> None:
    folders = [runs / "seed0", runs / "seed1"]
    said = run("show", *folders, "--mechanism", "--worst", 6, "--eps", 2).stdout
    file = runs / "seed0/mechanism.json"
    content = json.loads(file.read_text())
    assert (content["objective"], content["eps_255"], len(content["queries"])) == ("fna", 2, 6)
    first, second = content["runs"]
    assert (first["run"], second["run"]) == ("seed0", "seed1")
    for one in (first, second):
        assert len(one["channel_sd"]) == 32
        expected = np.percentile(one["channel_sd"], [10, 50, 90]).tolist()
        assert one["channel_sd_percentiles"] == pytest.approx(expected)
        assert one["gain"] > 0 and 0 < one["low_frequencies"] < 1 and 0 < one["smoothness"] < 2
        assert 0 < one["norm_on_person"] < 1 and 0 < one["grad_cam_on_person"] < 1
        shown = [one["run"], *(f"{sd:.3f}" for sd in expected), f"{one['gain']:.3f}"]
        assert re.search(r" +".join(map(re.escape, shown)), said)
    assert first["gain"] != second["gain"]
    # The same by hand from the checkpoint: the model divides pixels by INPUT.PIXEL_STD.
    state = torch.load(runs / "seed0/last.pth", weights_only=True)["model"]
    bn = "backbone.layer1.0."
    taps = state["backbone.conv1.weight"].abs().sum((2, 3)) / torch.tensor([0.229, 0.224, 0.225])
    scale = state[bn + "weight"].abs() / (state[bn + "running_var"] + 1e-5).sqrt()
    gain = (2 / 255 * taps.sum(1) * scale).mean().item()
    assert first["gain"] == pytest.approx(gain, rel=1e-5)
    # Alone, on all queries and with a small step, whose rise the gradient foretells better.
    out = tmp_path / "all.json"
    run("show", folders[0], "--mechanism", "--eps", 0.1, "-o", out)
    alone = json.loads(out.read_text())
    assert len(alone["queries"]) == len(np.load(folders[0] / "ranking.npz")["query_index"])
    assert alone["runs"][0]["smoothness"] == pytest.approx(1, abs=0.05)
    assert alone["runs"][0]["gain"] == pytest.approx(first["gain"] / 20)


def test_what_a_network_does_not_have_is_left_out_and_told(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reid.jobs.mechanism.find_stem", lambda model, images: None)
    monkeypatch.setattr("reid.jobs.mechanism.masks_of", lambda lists, queries: {})
    out = tmp_path / "x.json"
    said = run("show", runs / "seed0", "--mechanism", "--worst", 4, "-o", out).stdout
    assert "seed0: the network does not begin with a convolution on the pixels" in said
    (one,) = json.loads(out.read_text())["runs"]
    assert [one[key] for key in ("channel_sd", "gain", "norm_on_person")] == [None] * 3
    assert 0 < one["low_frequencies"] < 1
    row = next(line for line in said.splitlines() if line.strip().startswith("seed0 "))
    assert row.split().count("-") == 6


def test_runs_on_other_images_are_not_put_beside_each_other(runs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("config.yml", "ranking.npz", "metrics.json"):
        shutil.copy(runs / "seed1" / name, other)
    metrics = json.loads((other / "metrics.json").read_text())
    metrics["data"]["query"] = "0" * 16
    (other / "metrics.json").write_text(json.dumps(metrics))
    for what in ("--activations", "--mechanism"):
        error = run("show", runs / "seed0", other, what, code=2).stderr
        assert f"{other} was tested on other images than {runs / 'seed0'}" in error


def test_tensorboard_gets_lists_distances_and_settings(runs: Path) -> None:
    events = EventAccumulator(str(runs / "seed0/tensorboard"), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    assert "ranked" in tags["images"]
    assert {"distance/positive", "distance/negative"} <= set(tags["histograms"])
    assert [event.step for event in events.Histograms("distance/positive")] == [2]
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert float(events.Histograms("distance/negative")[0].histogram_value.num) > 100


class Page(HTMLParser):
    """Collects addresses, texts of cells, pictures and sections."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.pictures: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [str(given[key]) for key in ("src", "href") if key in given]
        self.ids += [str(given["id"])] if "id" in given else []
        if tag == "img":
            self.pictures.append(given)


def test_the_page_holds_everything_itself(page: Path, runs: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = Page(text)
    assert all(address.startswith(("data:", "#")) for address in found.addresses)
    assert all(one["alt"] and one["src"].startswith("data:image/") for one in found.pictures)
    assert len(found.ids) == len(set(found.ids))
    sections = ("summary", "results", "settings", "training", "robustness", "activations",
                "cameras", "queries", "made")  # fmt: skip
    assert [name for name in found.ids if name in sections] == list(sections)
    assert "<b>& others" not in text and "LFM &lt;b&gt;&amp; others" in text
    assert "url(" not in text and "@import" not in text
    for seed in (0, 1):
        metrics = json.loads((runs / f"seed{seed}/metrics.json").read_text())
        for ranking in (metrics, metrics["re_ranked"]):
            assert f'data-value="{ranking["mAP"]}">{100 * ranking["mAP"]:.1f}<' in text
        assert metrics["environment"] in text
    assert text.index("seed0 beside other runs") < text.index("<figcaption>seed0<")
    assert "mean of seed0, seed1" in text and "SEED" in text
    assert str(page.parent) not in text


def test_the_page_counts_hits_before_and_under_attack(page: Path, runs: Path) -> None:
    folder = runs / "seed0/attack"
    rows = json.loads((folder / "robustness.json").read_text())["rows"]
    with np.load(folder / "per_query.npz") as arrays:
        clean, attacked = (
            arrays[f"{i}/first_hit"] == 0
            for i in (0, next(i for i, r in enumerate(rows) if r["name"] == "pgd-sma"))
        )
    counts = [int((clean & attacked).sum()), int((clean & ~attacked).sum())]
    cells = "".join(f'<td class="number" data-value="{n}">{n}</td>' for n in counts)
    assert f'<th scope="row">pgd-sma</th><td class="number" data-value="2.0">2</td>{cells}' in (
        page.read_text(encoding="utf-8")
    )


def test_a_report_of_an_old_test_says_what_is_missing(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "seed1", tmp_path / "old", ignore=shutil.ignore_patterns("*.pth"))
    with np.load(runs / "seed1/ranking.npz") as arrays:
        old = {key: arrays[key] for key in ("query_index", "ap", "inp", "first_hit")}
    np.savez(tmp_path / "old/ranking.npz", **old)
    run("report", tmp_path / "old", "-o", tmp_path / "r.html")
    assert "test the run again (reid test)" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_wrong_reports_are_one_line(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/metrics.json").write_text('{"num_queries": 1, "num_gallery": 2, "mAP": "x"}')
    shutil.copytree(runs / "seed1", tmp_path / "worse", ignore=shutil.ignore_patterns("*.pth"))
    (tmp_path / "worse/attack").mkdir()
    (tmp_path / "worse/attack/robustness.json").write_text('{"rows": [{"kind": "clean"}]}')
    for args, says in (
        ([tmp_path / "none"], "is not a folder"),
        ([tmp_path / "bad"], "plain: 'mAP' must be a number"),
        ([tmp_path / "worse"], "row 1 has no 'name'"),
        ([runs, "-o", tmp_path / "x.pdf"], "--output must end in .html"),
    ):
        error = run("report", *args, code=2).stderr
        assert says in error and error.startswith("error: ") and error.count("\n") == 1


@pytest.fixture
def opened(browser: Any, page: Path) -> Iterator[Any]:
    """The page in a phone's window; it must say nothing to the console, and ask for nothing."""
    tab = browser.new_page(viewport={"width": 390, "height": 844})
    said: list[str] = []
    asked: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(page.as_uri())
    yield tab
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    tab.close()


def test_pictures_load_and_nothing_is_wider_than_a_phone(opened: Any) -> None:
    opened.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    opened.wait_for_function(f"{broken} === 0")
    assert opened.evaluate("document.images.length") > 50
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    opened.emulate_media(media="print")
    opened.set_viewport_size({"width": 760, "height": 1000})  # A4 at 96 pixels an inch, with edges
    assert opened.evaluate("document.documentElement.scrollWidth") <= 760
    assert not opened.locator("nav").is_visible() and opened.locator("#results").is_visible()


def test_columns_are_sorted_by_mouse_and_keys(opened: Any) -> None:
    table = opened.locator("#results table").first
    column = table.locator("thead th", has_text="mAP")

    def values() -> list[float]:
        cells = table.locator("tbody tr td:nth-child(4)")
        return [float(text.split()[0]) for text in cells.all_inner_texts()]

    before = values()
    column.locator("button").click()
    assert values() == sorted(before, reverse=True)
    assert column.get_attribute("aria-sort") == "descending"
    column.locator("button").focus()
    opened.keyboard.press("Enter")
    assert values() == sorted(before) and column.get_attribute("aria-sort") == "ascending"
    table.locator("thead button", has_text="run").click()
    names = table.locator("tbody th").all_inner_texts()
    assert names == sorted(names) and column.get_attribute("aria-sort") is None


def test_the_filter_leaves_what_holds_all_words(opened: Any) -> None:
    rows = opened.locator("#results tbody tr")
    opened.keyboard.press("/")
    opened.keyboard.type("SEED1 re-ranked")
    shown = [row.inner_text() for row in rows.all() if row.is_visible()]
    assert shown and all("seed1" in text and "re-ranked" in text for text in shown)
    assert len(shown) < rows.count()
    assert re.match(r"\d+ of \d+ rows", opened.locator("#filter-found").inner_text())
    setting = opened.locator("#made tbody tr", has_text="SOLVER.MAX_EPOCHS").first
    assert not setting.is_visible(), "it is folded"
    opened.locator("#filter").fill("max_epochs")
    assert setting.is_visible()
    opened.keyboard.press("Escape")
    assert not setting.is_visible() and all(row.is_visible() for row in rows.all())
    assert opened.locator("#filter-found").inner_text() == ""


def test_the_page_is_read_without_scripts(browser: Any, page: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.as_uri())
    assert tab.locator("#results table").first.is_visible()
    assert not tab.locator("#tools").is_visible()
    context.close()
