"""The site of the documents: built once, without a warning, then read and opened in a browser."""

import functools
import importlib
import json
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT, InThisProcess, run

from reid.jobs import ablate

sys.path.append(str(ROOT / "scripts"))
import check_links

pytest.importorskip("sphinx", reason="needs the extra docs, for Python 3.11 and newer")
pytestmark = [pytest.mark.early, pytest.mark.usefixtures("tiny_network")]

# What a session of a reader has: prose, tables, the reference, a folder, and the report.
OPENED = [
    "docs/index.html",
    "docs/statistics.html",
    "docs/reference/evaluation.html",
    "configs/README.html",
    "files/configs/ablations/index.html",
    "files/reid/statistics/holm.py.html",
    "search.html",
    "example/report.html",
]
# What decides in the dark are colours; the report has the same ones day and night.
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
LOOKED_AT = [
    "docs/index.html",
    "docs/data.html",
    "docs/reference/evaluation.html",
    "files/reid/statistics/holm.py.html",
]


def build(source: Path, out: Path, *more: object) -> subprocess.CompletedProcess[str]:
    """Builds a site as scripts/docs.sh does; in a process of its own, because Sphinx changes it."""
    options = ["-q", "-W", "--keep-going", "-b", "html", "-c", ROOT / "docs"]
    words = [sys.executable, "-m", "sphinx", *options, "-d", f"{out}-read", *more, source, out]
    return subprocess.run(
        list(map(str, words)), cwd=ROOT, capture_output=True, text=True, timeout=500, check=False
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the repository, without the report."""
    out = tmp_path_factory.mktemp("built") / "site"
    done = build(ROOT, out)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return out


@pytest.fixture(scope="module")
def site(built: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a report of the example's study, of a tiny network, two epochs and one seed."""
    study = tmp_path_factory.mktemp("study") / "out"
    tiny = ["IMPORTS", ROOT / "tests/tiny_network.py", "MODEL.BACKBONE.NAME", "tiny_network"]
    here = ["OUTPUT_DIR", study, "DATASETS.ROOT_DIR", data, "SOLVER.MAX_EPOCHS", 2, "SEEDS", "[0]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablate, "StepProcess", InThisProcess)
        run("ablate", ROOT / "docs/example_study.yml", *tiny, *here)
    run("show", study / "plain/seed0", study / "lfm/seed0", "--activations")
    (built / "example").mkdir()
    run("report", study, "-o", built / "example/report.html")
    return built


def test_every_document_is_in_the_contents(built: Path) -> None:
    documents = [
        path
        for path in (ROOT / "docs").rglob("*")
        if path.suffix in (".md", ".rst", ".ipynb") and path.parent.name != "results"
    ]
    documents += [*(ROOT / "configs").rglob("README.md"), ROOT / "datasets/README.md"]
    documents += [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    pages = {(built / path.relative_to(ROOT)).with_suffix(".html") for path in documents}
    pages -= {built / "docs/contents.html"}
    linked = check_links.read(built / "docs/index.html").links
    found = {(built / "docs" / address.partition("#")[0]).resolve() for address in linked}
    assert pages - found == {built / "docs/index.html"}
    assert all(page.is_file() for page in pages)


def test_the_links_lead_somewhere(site: Path) -> None:
    assert list(check_links.faults(site)) == []


def test_the_check_of_links_bites(tmp_path: Path) -> None:
    (tmp_path / "b.html").write_text('<h1 id="here">B</h1>')
    addresses = {
        "b.html": "", "b.html#here": "", "#top": "has no such anchor", "c.html": "does not exist",
        "b.html#there": "has no such anchor", "../b.html": "leaves the site", "b.html#": "",
        "https://example.org/x": "", "https:///x": "is no address", "javascript:x": "is no address",
        "mailto:a@example.org": "",
    }  # fmt: skip
    links = "".join(f'<a href="{address}">x</a>' for address in addresses)
    loads = '<img src="https://example.org/x.png"><script src="//example.org/x.js"></script>'
    (tmp_path / "a.html").write_text(links + loads)
    foreign = ["https://example.org/x.png", "//example.org/x.js"]
    assert set(check_links.faults(tmp_path)) == {
        *(f"a.html: {address} {wrong}" for address, wrong in addresses.items() if wrong),
        *(f"a.html: loads {address} from another host" for address in foreign),
        "a.html: //example.org/x.js is no address",
    }


def test_a_link_or_name_that_is_not_there_fails_the_build(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "folder").mkdir(parents=True)
    (source / "folder/lines.py").write_text("ONE = 1\n")
    (source / "index.md").write_text(
        "# A\n\n[folder](folder) [file](folder/lines.py) [heading](#a)\n\n[1](no.md) [2](no.py)"
        " [3](index.md#no) [4](folder/no)\n\n```{eval-rst}\n:func:`reid.load` :class:`reid.Nothing`"
        " :func:`reid.utils.session.session`\n```\n"
    )
    settings = {"root_doc": "index", "include_patterns": "*.md"}
    done = build(source, tmp_path / "out", *(f"-D{key}={value}" for key, value in settings.items()))
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "WARNING" in line]
    for missing in ("no.md", "no.py", "'no'", "folder/no", "reid.Nothing"):
        assert sum(missing in line for line in lines) == 1, done.stderr
    assert len(lines) == 5, done.stderr
    made = {
        path.relative_to(tmp_path / "out/files").as_posix()
        for path in (tmp_path / "out/files").rglob("*.html")
    }
    session = "reid/utils/session.py.html"
    assert made == {"folder/index.html", "folder/lines.py.html", "reid/__init__.py.html", session}


def test_files_folders_and_code_have_pages(built: Path) -> None:
    performance = check_links.read(built / "docs/performance.html").links
    assert "../files/reid/evaluation/screening.py.html" in performance
    listed = check_links.read(built / "files/configs/ablations/index.html").links
    studies = {f"{path.name}.html" for path in (ROOT / "configs/ablations").glob("*.yml")}
    assert studies and studies <= set(listed)
    # An entry leads to its line.
    (address,) = [
        address for address in check_links.read(built / "docs/reference/evaluation.html").links
        if address.startswith("../../files/reid/evaluation/rerank.py.html")
        and "re_ranking" in line_of(address)
    ]  # fmt: skip
    assert line_of(address).startswith("def re_ranking(")


def line_of(address: str) -> str:
    """The line of the repository that a link to code names."""
    file, _, number = address.removeprefix("../../files/").partition(".html#L-")
    return (ROOT / file).read_text(encoding="utf-8").splitlines()[int(number) - 1]


def inventory(site: Path) -> set[str]:
    """The names that the reference explains."""
    content = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(content).decode().splitlines()
    return {line.split()[0] for line in lines if " py:" in line}


@pytest.mark.parametrize(
    "package",
    ["reid", "reid.embedding", "reid.evaluation", "reid.evaluation.verification", "reid.losses",
     "reid.modeling", "reid.search", "reid.synthetic", "reid.weights"],
)  # fmt: skip
def test_the_reference_has_what_a_package_offers(built: Path, package: str) -> None:
    module = importlib.import_module(package)
    names = getattr(module, "__all__", ["load"])
    called = [name for name in names if getattr(getattr(module, name), "__doc__", None)]
    explained = inventory(built)
    ends = {name.rpartition(".")[2] for name in explained if name.startswith(package)}
    missing = [n for n in called if callable(getattr(module, n)) and n not in ends]
    assert missing == []


def test_the_search_knows_the_words(built: Path) -> None:
    text = (built / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    for word, page in (("viper", "docs/data"), ("softmax", "docs/reference/losses")):
        places = index["terms"][word]
        found = [
            index["docnames"][place] for place in ([places] if type(places) is int else places)
        ]
        assert page in found


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site on a port of this machine."""
    handler = functools.partial(Silent, directory=str(site))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


class Silent(SimpleHTTPRequestHandler):
    """Serves files, and writes no log."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def opened(browser: Any, address: str, width: int, scheme: str = "light") -> Iterator[Any]:
    """A window; its pages must say nothing to the console, and ask no other host for anything."""
    tab = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    said: list[str] = []
    tab.on("console", lambda message: said.append(f"{message.text} {message.location}"))
    tab.on("pageerror", lambda error: said.append(str(error)))

    def answer(route: Any) -> None:
        if route.request.url.startswith(address):
            route.continue_()
        else:
            said.append(f"asked for {route.request.url}")
            route.abort()

    tab.route("**/*", answer)
    yield tab
    tab.close()
    assert said == []


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_its_window(browser: Any, address: str, width: int) -> None:
    with opened(browser, address, width) as tab:
        for page in OPENED:
            tab.goto(address + page)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, page


def test_the_first_address_leads_to_the_first_page(browser: Any, address: str) -> None:
    with opened(browser, address, 1280) as tab:
        tab.goto(address)
        tab.wait_for_url(address + "docs/index.html")


@pytest.mark.parametrize(
    ("word", "page"),
    [("evaluate_rank", "docs/reference/evaluation.html"), ("VIPeR", "docs/results.html")],
)
def test_the_search_finds_a_word(browser: Any, address: str, word: str, page: str) -> None:
    with opened(browser, address, 1280) as tab:
        tab.goto(address + "docs/data.html")
        tab.locator("input[name=q]").fill(word)
        tab.keyboard.press("Enter")
        found = tab.locator(f"#search-results li a[href*='{page}']").first
        found.wait_for(timeout=20_000)
        found.click()
        assert tab.url.startswith(address + page)
        assert word.lower() in tab.locator("article").inner_text().lower()


def test_the_keyboard_reaches_what_is_to_be_used(browser: Any, address: str) -> None:
    focused = """() => {
        const one = document.activeElement, style = getComputedStyle(one);
        return {tag: one.tagName, name: one.name, inArticle: !!one.closest("article"),
                seen: style.outlineStyle !== "none" || style.boxShadow !== "none"};
    }"""
    with opened(browser, address, 1280) as tab:
        tab.goto(address + "docs/data.html")
        reached = []
        for _ in range(80):
            tab.keyboard.press("Tab")
            reached.append(tab.evaluate(focused))
        assert all(one["seen"] for one in reached if one["tag"] != "BODY"), reached
        assert any(one["name"] == "q" for one in reached)
        assert any(one["tag"] == "A" and one["inArticle"] for one in reached)
        assert any(one["tag"] == "PRE" for one in reached), "code that scrolls"


@pytest.mark.parametrize(
    ("scheme", "pages", "rules"),
    [("light", [*LOOKED_AT, "example/report.html"], WCAG), ("dark", LOOKED_AT, ["color-contrast"])],
)
def test_pages_are_accessible(
    browser: Any, address: str, scheme: str, pages: list[str], rules: list[str]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with opened(browser, address, 1280, scheme) as tab:
        for page in pages:
            tab.goto(address + page)
            found = axe.run(tab, options={"runOnly": rules})
            assert found.violations_count == 0, f"{page}\n{found.generate_report()}"
