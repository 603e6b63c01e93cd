"""reid compare on fabricated runs: what it finds, what it refuses, what it writes."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT, lfm, run
from fabricated import PIDS, scores, write_attacked, write_tested

from reid.cli import compare as command
from reid.jobs.comparing.checking import check_record
from reid.jobs.comparing.measures import METRICS
from reid.jobs.comparing.question import KINDS, PAIRINGS
from reid.jobs.comparing.record import digest_of, tables_of
from reid.statistics.tables import as_csv
from reid.utils.errors import InputError

CLEAN = ("clean", "clean", 0.0)


def group(root: Path, name: str, level: float, seeds: int = 3, **facts: object) -> str:
    """Writes tested runs; returns the word that names them. Recipes differ by their folder."""
    folders = [
        write_tested(
            root / name / f"seed{seed}", scores(level, hash_of(name) + seed), seed, **facts
        )
        for seed in range(seeds)
    ]
    return f"{name}={','.join(map(str, folders))}"


def hash_of(name: str) -> int:
    return sum(map(ord, name)) * 100


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Three variants with three seeds each; b is better by 10 points, c by none."""
    for name, level in (("a", 0.3), ("b", 0.4), ("c", 0.3)):
        group(tmp_path / "study", name, level)
    return tmp_path / "study"


def lines(text: str) -> dict[str, list[str]]:
    """Cells of a printed table, by what is compared."""
    rows = [line.split("  ") for line in text.splitlines() if " − " in line]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    return {f"{row[0]}: {row[1]}": row[2:] for row in cells}


def test_the_variants_of_a_study_against_a_baseline(study: Path) -> None:
    done = run("compare", study, "--baseline", "a")
    assert done.stdout.startswith("Tested: market1501, cross_camera, 60 queries\n")
    found = lines(done.stdout)
    assert list(found) == ["clean: b − a", "clean: c − a"]
    better, equal = found["clean: b − a"], found["clean: c − a"]
    aps = {n: [scores(v, hash_of(n) + s) for s in range(3)] for n, v in (("a", 0.3), ("b", 0.4))}
    means = {name: 100 * np.mean(ap) for name, ap in aps.items()}
    assert better[0].startswith(f"{means['b']:.1f} ± ") and better[1].startswith(
        f"{means['a']:.1f} ± "
    )
    assert better[2] == f"{means['b'] - means['a']:+.1f}"
    assert better[-1] == f"b is better than a by {means['b'] - means['a']:.1f}"
    assert equal[-1].startswith("no evidence of a difference; a difference of ")
    assert "20 identities" in done.stdout and "paired by seed" in done.stdout
    assert done.stderr == ""


def test_groups_are_the_same_as_a_study(study: Path) -> None:
    words = [f"{n}={','.join(str(study / n / f'seed{s}') for s in range(3))}" for n in "bca"]
    assert run("compare", *words).stdout == run("compare", study, "--baseline", "a").stdout


def test_a_study_says_its_baseline_and_what_is_missing(study: Path) -> None:
    (study / "study.json").write_text(json.dumps({"baseline": "c"}))
    (study / "c" / "seed3").mkdir()
    (study / ".replaced" / "x").mkdir(parents=True)
    for seed in range(3):  # VARIANT/seed0/data1 is found, too
        (study / "b" / f"seed{seed}").rename(study / "b" / f"moved{seed}")
        (study / "b" / f"seed{seed}").mkdir()
        (study / "b" / f"moved{seed}").rename(study / "b" / f"seed{seed}" / "data1")
    done = run("compare", study)
    assert list(lines(done.stdout)) == ["clean: a − c", "clean: b − c"]
    assert done.stderr == f"warning: left out, no result yet: {study / 'c' / 'seed3'}\n"


def test_plain_and_re_ranked(tmp_path: Path) -> None:
    words = []
    for name, level in (("a", 0.3), ("b", 0.4)):
        folders = [
            write_tested(tmp_path / name / f"s{s}", scores(0.3, s), s, scores(level, s))
            for s in range(3)
        ]
        words.append(f"{name}={','.join(map(str, folders))}")
    found = lines(run("compare", *words).stdout)
    assert found["clean: a − b"][2] == "+0.0" and found["clean, re-ranked: a − b"][2] == "-10.0"
    only = run("compare", *words, "--ranking", "re-ranked").stdout
    assert list(lines(only)) == ["clean, re-ranked: a − b"]
    error = run("compare", *words, "--ranking", "AQE", code=2).stderr
    assert "no run has the ranking AQE; they hold plain, re-ranked" in error


@pytest.fixture
def defences(tmp_path: Path) -> list[str]:
    """Two groups, attacked; the attacks leave b more, corruptions leave both the same."""
    words = []
    for name, gain in (("a", 0.0), ("b", 0.1)):
        folders = []
        for seed in range(3):
            own = seed + hash_of(name)
            aps = {CLEAN: scores(0.5, own), ("attack", "pgd-fna", 4.0): scores(0.1 + gain, own)}
            aps |= {("attack", "fgsm-fna", 4.0): scores(0.3 + 2 * gain, own + 50)}
            aps |= {
                ("corruption", "jpeg", level): scores(0.4 - level / 20, own) for level in (1.0, 5.0)
            }
            aps |= {("corruption", "fog", 1.0): scores(0.3, own + 20)}
            folders.append(write_attacked(tmp_path / name / f"seed{seed}", aps, seed))
        words.append(f"{name}={','.join(map(str, folders))}")
    return words


def test_attacks_and_corruptions(defences: list[str]) -> None:
    text = run("compare", *defences).stdout
    found = lines(text)
    names = ["clean", "pgd-fna 4", "fgsm-fna 4", "worst case 4", "mean of all", "jpeg", "fog"]
    assert list(found) == [f"{name}: a − b" for name in names]
    assert found["worst case 4: a − b"][-1].startswith("b is better than a by ")
    assert found["jpeg: a − b"][-1].startswith("no evidence")
    assert text.index("Attacked: ") < text.index("Corrupted images: ")
    assert "at once (4)" in text and "at once (3)" in text
    own = [hash_of("a") + s for s in range(3)]
    worst = [np.minimum(scores(0.1, s), scores(0.3, s + 50)).mean() for s in own]
    assert found["worst case 4: a − b"][0].startswith(f"{100 * np.mean(worst):.1f} ± ")
    jpeg = [(scores(0.35, s) + scores(0.15, s)).mean() / 2 for s in own]
    assert found["jpeg: a − b"][0].startswith(f"{100 * np.mean(jpeg):.1f} ± ")


def test_the_success_of_the_attacker(defences: list[str]) -> None:
    found = lines(run("compare", *defences, "--metric", "success", "--only", "attack").stdout)
    own = [hash_of("a") + s for s in range(3)]
    rates = []
    for seed in own:
        hit, still = scores(0.5, seed) >= 0.5, scores(0.1, seed) >= 0.5
        rates.append((hit & ~still).sum() / hit.sum())
    assert found["pgd-fna 4: a − b"][0].startswith(f"{100 * np.mean(rates):.1f}")
    # The attacker succeeds more often against a, so that b is the better defence.
    attack = found["fgsm-fna 4: a − b"]
    assert float(attack[2]) > 0 and attack[-1].startswith("b is better than a by ")
    assert "clean: a − b" not in found


def test_the_older_name_shows_the_attacks(defences: list[str]) -> None:
    text = run("compare_attacks", *defences).stdout
    assert text == run("compare", *defences, "--only", "attack", "--only", "corruption").stdout


def test_a_report_that_failed_its_checks_is_named(defences: list[str]) -> None:
    file = Path(defences[0].partition("=")[2].split(",")[1]) / "attack/robustness.json"
    report = json.loads(file.read_text())
    report["sanity"] = {"verdict": "do not trust", "checks": [{"passed": False}]}
    file.write_text(json.dumps(report))
    done = run("compare", *defences)
    assert done.stderr == f"warning: {file.parents[1]}: do not trust\n"
    assert "passed in 0 of 6 runs, failed in 1, and were not run in 5" in done.stdout


def test_a_table_says_that_its_groups_are_of_different_machines(
    study: Path, defences: list[str]
) -> None:
    """What differs may then be the machine; threads and versions of reid do not count."""
    line = (
        "reid {}, Python 3.11.7, torch {}, numpy 2.4.6, device cpu (EPYC with AVX2, x), {} threads"
    )

    def tell(folder: Path, kind: str, environment: str) -> None:
        file = folder / kind
        file.write_text(json.dumps(json.loads(file.read_text()) | {"environment": environment}))

    for number, folder in enumerate(sorted(study.glob("*/seed*"))):
        assert "machine" not in run("compare", study, "--baseline", "a").stdout, "not known of all"
        tell(folder, "metrics.json", line.format(f"0.{number}", "2.14.1", 1 + number))
    assert "machine" not in run("compare", study, "--baseline", "a").stdout
    tell(study / "b/seed1", "metrics.json", line.format("0.1", "2.15.0", 1))
    asked = ["--baseline", "a", "--variants", "a", "b"]
    told = (
        "Not all groups were tested on the same kind of machine (a: torch 2.14.1, device cpu"
        " (EPYC with AVX2, x); b: torch 2.14.1, device cpu (EPYC with AVX2, x) and torch 2.15.0,"
        " device cpu (EPYC with AVX2, x)).\n"
    )
    assert told in run("compare", study, *asked).stdout

    for one, torch in zip(defences, ("2.14.1", "2.15.0"), strict=True):
        for folder in one.partition("=")[2].split(","):
            tell(Path(folder), "attack/robustness.json", line.format("0.1", torch, 1))
    text = run("compare", *defences).stdout
    assert text.count("same kind of machine (a: torch 2.14.1") == 2  # attacks and corruptions


def test_a_table_of_attacks_says_how_many_were_checked(defences: list[str], tmp_path: Path) -> None:
    table = tmp_path / "t.md"
    assert run("compare", *defences).stdout.count("were not run in 6") == 1  # not corruptions
    for one in defences:
        for folder in one.partition("=")[2].split(","):
            file = Path(folder) / "attack/robustness.json"
            report = json.loads(file.read_text())
            report["sanity"] = {"verdict": "passed", "checks": [{"passed": True}]}
            file.write_text(json.dumps(report))
    run("compare", *defences, "--markdown", table)
    assert table.read_text().count("The attack's own checks passed in all 6 runs.") == 1
    run("report", "--check", f"{table}.json")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dataset": "dukemtmc"}, "the data set is market1501 and dukemtmc; test both"),
        ({"protocol": "any_camera"}, "the protocol is cross_camera and any_camera"),
        ({"ids": "bbb"}, "the people and cameras is aaa and bbb"),
        ({"num_gallery": 91}, "the number of gallery images is 90 and 91"),
        ({"data": {"query": "q2", "gallery": "g1"}}, "the query images is q1 and q2"),
        ({"data": {"query": "q1", "gallery": "g2"}}, "the gallery images is g1 and g2"),
    ],
)
def test_other_data_is_refused_by_name(tmp_path: Path, change: dict, says: str) -> None:
    one, other = group(tmp_path, "a", 0.3), group(tmp_path, "b", 0.3, **change)
    error = run("compare", one, other, code=2).stderr
    start = f"error: {tmp_path}/a/seed0 and {tmp_path}/b/seed0 cannot be compared: "
    assert error.startswith(start) and says in error and error.count("\n") == 1


def test_other_queries_and_attacks_are_refused(tmp_path: Path, defences: list[str]) -> None:
    aps = {CLEAN: scores(0.5, 1), ("attack", "pgd-fna", 4.0): scores(0.1, 1)}
    for facts, says in (
        ({"surrogate": "s.pth"}, "the attacked model is a white box and seen through a surrogate"),
        ({"attack": {"ATTACK.SIDE": "gallery"}}, "ATTACK.SIDE is query and gallery; attack both"),
    ):
        other = write_attacked(tmp_path / "c" / "x", aps, 0, **facts)
        assert says in run("compare", defences[0], f"c={other}", code=2).stderr
    one = write_tested(tmp_path / "d" / "x", scores(0.3, 0), 0)
    two = write_tested(tmp_path / "e" / "x", scores(0.3, 1), 0)
    arrays = dict(np.load(two / "ranking.npz"))
    np.savez(two / "ranking.npz", **{**arrays, "query_index": arrays["query_index"] + 1})
    assert "the valid queries" in run("compare", f"d={one}", f"e={two}", code=2).stderr


def test_data_seeds_are_compared_each_within_itself(tmp_path: Path) -> None:
    words = []
    for name, gain in (("a", 0.0), ("b", 0.1)):
        folders = []
        for data in range(2):
            for seed in range(3):
                ap = scores(0.2 + 0.2 * data + gain, 10 * data + seed + hash_of(name))
                facts = {"ids": f"i{data}", "dataset": f"synthetic_seed-{data}"}
                folders.append(write_tested(tmp_path / name / f"{data}{seed}", ap, seed, **facts))
        words.append(f"{name}={','.join(map(str, folders))}")
    text = run("compare", *words[::-1]).stdout
    assert text.startswith("Tested: synthetic_seed-0, synthetic_seed-1, cross_camera, ")
    assert text.splitlines()[0].endswith(" queries each") and "on 2 query sets" in text
    assert lines(text)["clean: b − a"][-1].startswith("b is better than a")
    one_less = words[1].rpartition(",")[0].rpartition(",")[0].rpartition(",")[0]
    error = run("compare", words[0], one_less, code=2).stderr
    assert "the data set is synthetic_seed-1 and synthetic_seed-0" in error


def test_saved_features_are_compared_with_what_shows_the_same_people(tmp_path: Path) -> None:
    one = group(tmp_path, "a", 0.3, 1)
    facts = {"weight": None, "dataset": None, "data": None, "features": "x.npz"}
    same = write_tested(tmp_path / "b" / "x", scores(0.3, 1), None, **facts)
    text = run("compare", f"b={same}", one).stdout
    assert text.startswith("Tested: market1501, ") and "over one run each, not paired" in text
    other = write_tested(tmp_path / "c" / "x", scores(0.3, 1), None, **{**facts, "ids": "bbb"})
    error = run("compare", f"c={other}", one, code=2).stderr
    assert "the people and cameras is bbb and aaa" in error


def test_seeds_are_paired_if_they_are_the_same(tmp_path: Path) -> None:
    one, other = group(tmp_path, "a", 0.3), group(tmp_path, "b", 0.3, seeds=4)
    assert "not paired" in run("compare", one, other).stdout
    error = run("compare", one, other, "--seeds", "paired", code=2).stderr
    assert "the runs do not pair: seeds 0, 1, 2 and 0, 1, 2, 3" in error
    same = other.rpartition(",")[0]
    assert "paired by seed" in run("compare", one, same).stdout
    assert "not paired" in run("compare", one, same, "--seeds", "independent").stdout


def test_a_run_counts_once(tmp_path: Path) -> None:
    one, other = group(tmp_path, "a", 0.3), group(tmp_path, "b", 0.3)
    again = write_tested(tmp_path / "a" / "again", scores(0.3, 5), 1)
    error = run("compare", f"{one},{again}", other, code=2).stderr
    assert f"{tmp_path}/a/seed1 and {again} are both of seed 1" in error


def test_one_run_against_several_is_refused_and_one_against_one_is_not(tmp_path: Path) -> None:
    one, other = group(tmp_path, "a", 0.3, 1), group(tmp_path, "b", 0.4, 3)
    assert "a has one run and b has 3: " in run("compare", one, other, code=2).stderr
    text = run("compare", one, other.partition(",")[0]).stdout
    assert "new identities, for these two trained models" in text


def test_slips_are_said(tmp_path: Path) -> None:
    one = group(tmp_path, "a", 0.3, recipe_hash="same", weight="x/best.pth")
    other = group(tmp_path, "b", 0.3, recipe_hash="same")
    error = run("compare", one, other).stderr
    assert "warning: a and b are of one recipe, same\n" in error
    assert "warning: weights of several kinds are compared: best.pth, last.pth\n" in error


def test_a_folder_of_an_older_version_is_to_be_tested_again(tmp_path: Path) -> None:
    one, other = group(tmp_path, "a", 0.3), group(tmp_path, "b", 0.3)
    file = tmp_path / "a/seed0/ranking.npz"
    arrays = dict(np.load(file))
    old = {key: arrays[key] for key in ("query_index", "ap", "inp", "first_hit")}
    for arrays, says in (
        (old, "has no array 'pids'"),
        ({**old, "pids": PIDS[1:]}, "'query_index' must be (59,) integers, got (60,)"),
        ({**old, "pids": PIDS, "ap": old["ap"] + 1}, "are of two tests"),
        ({**old, "pids": PIDS, "ap": old["ap"] - 0.9}, "are of two tests"),
        ({**old, "pids": PIDS, "ap": old["ap"].astype(str)}, "'ap' must be (60,) fractions"),
        ({**old, "pids": PIDS, "inp": old["inp"] + 1}, "'inp' must hold fractions"),
    ):
        np.savez(file, **arrays)
        error = run("compare", one, other, code=2).stderr
        assert says in error or "must hold fractions" in error
        assert str(file.parent) in error
        assert error.endswith("test the run again (reid test)\n") and error.count("\n") == 1
    file.unlink()
    assert "test the run again (reid test)" in run("compare", one, other, code=2).stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a"], "a is no folder of a study, and no exported one (.json); or name groups"),
        (["a=x"], "there is one group, a; name two or more"),
        (["a=x", "a=y"], "'a=y': name each group once"),
        (["a=x", "b"], "'b': name each group once"),
        (["a=x", "b="], "names an empty folder"),
        (["a=x", "b=y"], "x holds neither metrics.json nor robustness.json; test the run first"),
        (["a=x", "b=y", "--only", "test"], "x/metrics.json does not exist"),
        (["a=x", "b=y", "--only", "attack"], "x holds no robustness.json; attack the run first"),
        (["a=x", "b=y", "--baseline", "A"], "unknown baseline 'A'; did you mean 'a'?"),
        (["a=x", "b=y", "--resamples", "1"], "--resamples must be from 100"),
        (["a=x", "b=y", "--seed", "-1"], "--seed must be at least 0"),
        (["."], "holds no tested runs in folders VARIANT/RUN"),
    ],
)
def test_what_is_typed_wrong_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    error = run("compare", *words, code=2).stderr
    assert error.startswith("error: ") and says in error and error.count("\n") == 1


def test_a_study_without_a_baseline_names_its_variants(study: Path) -> None:
    assert "--baseline is missing: name one of a, b, c" in run("compare", study, code=2).stderr


def test_a_run_without_an_attack_is_named(tmp_path: Path) -> None:
    one, other = group(tmp_path, "a", 0.3, 1), group(tmp_path, "b", 0.3, 1)
    write_attacked(
        tmp_path / "a/seed0", {CLEAN: scores(0.5, 0), ("attack", "x", 4.0): scores(0.1, 0)}, 0
    )
    error = run("compare", one, other, code=2).stderr
    assert f"{tmp_path}/a/seed0 has a report of an attack and {tmp_path}/b/seed0 has none" in error
    assert run("compare", one, other, "--only", "test").stdout.startswith("Tested: ")


def test_the_same_numbers_in_every_format(study: Path, tmp_path: Path) -> None:
    files = {style: tmp_path / f"t.{style}" for style in ("markdown", "csv", "latex")}
    options = [word for style, file in files.items() for word in (f"--{style}", file)]
    printed = lines(run("compare", study, "--baseline", "a", *options).stdout)
    cells = printed["clean: b − a"]
    row = next(line for line in files["markdown"].read_text().splitlines() if "b − a" in line)
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["clean", "b − a", *cells]
    with files["csv"].open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["first"], row["second"]) for row in rows] == [("b", "a"), ("c", "a")]
    assert f"{100 * float(rows[0]['difference']):+.1f}" == cells[2]
    assert rows[0]["verdict"] == cells[-1]
    latex = files["latex"].read_text()
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 1
    assert "clean & b $-$ a & " + cells[0].replace("±", r"$\pm$") in latex
    for style, file in files.items():
        record = json.loads(file.with_name(f"{file.name}.json").read_text())
        assert record["format"] == style and record["baseline"] == "a"
        assert [row["difference"] for row in record["tables"][0]["rows"]] == [
            pytest.approx(float(row["difference"])) for row in rows
        ]
        assert [one["recipe_hash"] for one in record["runs"]] == list("aaabbbccc")
        assert {one["commit"] for one in record["runs"]} == {"c0"}
        assert check_record(file.with_name(f"{file.name}.json")) == []


def test_a_published_table_is_checked_against_the_files(study: Path, tmp_path: Path) -> None:
    table, record = tmp_path / "t.csv", tmp_path / "t.csv.json"
    run("compare", study, "--baseline", "a", "--csv", table)
    again = json.loads(record.read_text())["command"]
    assert again[:2] == ["reid", "compare"]
    before = table.read_text()
    run(*again[1:])
    assert table.read_text() == before, "the recorded command writes the same table"
    assert "the runs give the same table" in run("report", "--check", record).stdout
    table.write_text(before.replace("b is better", "b is far better"))
    said = run("report", "--check", record, code=1).stdout
    assert said == f"{record}: {table} is missing, or was changed by hand\n"
    assert check_record(record) == [f"{table} is missing, or was changed by hand"]
    table.write_text(before)
    write_tested(study / "b" / "seed1", scores(0.45, 77), 1)
    found = check_record(record)
    assert f"{study}/b/seed1/metrics.json was written anew" in found
    assert any("the runs give another table now: clean, b − a: first_mean" in one for one in found)
    shutil.rmtree(study / "b" / "seed1")
    with pytest.raises(InputError, match=r"seed1 has none; test it"):
        check_record(record)


@pytest.fixture
def two_by_two(tmp_path: Path) -> Path:
    """a adds .1 alone and nothing on top of b, which adds .2; all are attacked, too."""
    levels = {"plain": 0.2, "a": 0.3, "b": 0.4, "ab": 0.4}
    for name, level in levels.items():
        for seed in range(3):
            folder, number = tmp_path / "study" / name / f"seed{seed}", hash_of(name) + seed
            write_tested(folder, scores(level, number), seed, scores(level / 2, number + 50))
            aps = {CLEAN: scores(level, number), ("attack", "x", 4.0): scores(0.1, number + 90)}
            write_attacked(folder, aps, seed)
    return tmp_path / "study"


def test_the_interaction_of_a_2_x_2_study(two_by_two: Path, tmp_path: Path) -> None:
    asked = ["--baseline", "plain", "--interaction", "ab", "a", "b", "--only", "test"]
    done = run("compare", two_by_two, *asked, "--ranking", "plain", "--csv", tmp_path / "t.csv")
    plain, table = done.stdout.split("Interactions. Tested: market1501")
    assert plain.count(" − plain") == 3, "the groups themselves are compared as without it"
    means = {
        name: np.mean([scores(level, hash_of(name) + seed) for seed in range(3)])
        for name, level in (("plain", 0.2), ("a", 0.3), ("b", 0.4), ("ab", 0.4))
    }
    found = means["ab"] - means["b"] - (means["a"] - means["plain"])
    row = next(line for line in table.splitlines() if line.startswith("clean"))
    assert "(ab − b) − (a − plain)" in row and f"{100 * found:+.1f}" in row
    assert f"a adds {-100 * found:.1f} less on top of b than alone" in row
    with (tmp_path / "t.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert (last["first"], last["second"]) == ("ab − b", "a − plain")
    assert float(last["first_mean"]) == pytest.approx(means["ab"] - means["b"])
    assert float(last["difference"]) == pytest.approx(found)
    assert check_record(tmp_path / "t.csv.json") == []
    again = json.loads((tmp_path / "t.csv.json").read_text())["command"]
    before = (tmp_path / "t.csv").read_text()
    run(*again[1:])
    assert (tmp_path / "t.csv").read_text() == before


def test_an_interaction_with_a_ranking_is_paired_within_each_run(two_by_two: Path) -> None:
    asked = ["--baseline", "plain", "--interaction", "b", "re-ranked", "--only", "test"]
    text = run("compare", two_by_two, *asked, "--seeds", "independent").stdout
    row = text.split("Interactions. ")[1].splitlines()[4]
    assert "(b: re-ranked − plain) − (plain: re-ranked − plain)" in row
    gains = []
    for name, level in (("b", 0.4), ("plain", 0.2)):
        numbers = [hash_of(name) + seed for seed in range(3)]
        gains.append([100 * (scores(level / 2, n + 50) - scores(level, n)).mean() for n in numbers])
    found = np.mean(gains[0]) - np.mean(gains[1])
    assert f"{np.mean(gains[0]):.1f} ± {np.std(gains[0], ddof=1):.1f}" in row
    assert f"re-ranking adds {-found:.1f} less to b than to plain" in row


def test_the_primary_comparison_stands_alone(two_by_two: Path) -> None:
    """Holm's correction counts the other rows only; without it, it counts all."""
    record = {"baseline": "plain", "interactions": [["ab", "a", "b"], ["missing", "a", "b"]]}
    record["primary"] = [{"compared": ["a"], "test": "x 4", "metric": "mAP"}]
    (two_by_two / "study.json").write_text(json.dumps(record))
    done = run("compare", two_by_two, "--ranking", "plain")
    heads = [line for line in done.stdout.splitlines() if "market1501" in line]
    assert [head.split(": market1501")[0] for head in heads] == [
        "Primary comparison. Attacked",
        "Secondary. Tested",
        "Secondary. Interactions. Tested",
        "Secondary. Attacked",
        "Secondary. Interactions. Attacked",
    ]
    first, *others = done.stdout.split("Secondary. ")
    (row,) = [line for line in first.splitlines() if line.startswith("x 4")]
    assert "a − plain" in row and "this table at once (1)" in first.replace("\n", " ")
    assert not any("x 4" in line and " a − plain" in line for line in others[2].splitlines())
    assert "rows of this table at once (2)" in others[2].replace("\n", " ")
    assert "interaction missing a b is left out: unknown group 'missing'" in done.stderr
    record["primary"][0]["test"] = "x 44"
    (two_by_two / "study.json").write_text(json.dumps(record))
    done = run("compare", two_by_two, "--only", "attack")
    assert "a primary comparison is not there: no row 'x 44'; did you mean 'x 4'?" in done.stderr
    assert done.stdout.startswith("Attacked: ")
    record["primary"][0]["test"] = "x 4"
    (two_by_two / "study.json").write_text(json.dumps(record))
    done = run("compare", two_by_two, "--only", "test")
    assert "no row 'x 4' in the tables that --only asks for; there are clean" in done.stderr


def test_some_variants_of_a_study(two_by_two: Path) -> None:
    """They are compared as if the others were not there, and so are corrected for less."""
    record = {"baseline": "plain", "interactions": [["ab", "a", "b"], ["b", "re-ranked"]]}
    record["primary"] = [{"compared": ["a"], "test": "x 4", "metric": "mAP"}]
    (two_by_two / "study.json").write_text(json.dumps(record))
    only = ["--only", "test", "--ranking", "plain"]
    done = run("compare", two_by_two, *only, "--variants", "b", "plain")
    pair = [f"{name}={two_by_two}/{name}/seed0,{two_by_two}/{name}/seed1,{two_by_two}/{name}/seed2"
            for name in ("b", "plain")]  # fmt: skip
    alone = run("compare", *pair, *only, "--interaction", "b", "re-ranked")
    assert (done.stdout, done.stderr) == (alone.stdout, "")
    assert "(1)" in done.stdout and "(b: re-ranked − plain)" in done.stdout
    ab = run("compare", two_by_two, *only, "--baseline", "a", "--variants", "a", "ab").stdout
    assert "ab − a" in ab and "plain" not in ab
    for words, says in (
        (["--variants", "b", "plan"], "unknown variant 'plan'; did you mean 'plain'?"),
        (["--variants", "a", "b"], "--variants leaves out plain, which the others are compared"),
    ):
        assert says in run("compare", two_by_two, *words, code=2).stderr
    error = run("compare", *pair, "--variants", "b", code=2).stderr
    assert "--variants goes with a study" in error


def test_two_primary_comparisons_are_corrected_together(two_by_two: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    asked = ["--baseline", "plain", "--primary", "a", "--primary", "ab,a,b", "x 4", "rank1"]
    done = run("compare", two_by_two, *asked, "--csv", table)
    assert done.stdout.startswith("Primary comparisons. Tested: market1501")
    assert "60 queries; Attacked: market1501" in done.stdout.splitlines()[0]
    with table.open() as file:
        first, other, *rest = csv.DictReader(file)
    assert [first["test"], other["test"]] == ["clean, mAP", "x 4, Rank-1"]
    assert other["second"] == "a − plain"
    p_values = sorted(float(row["p"]) for row in (first, other))
    assert float(min(first["p_holm"], other["p_holm"])) == pytest.approx(min(1, 2 * p_values[0]))
    assert {row["test"] for row in rest if row["first"] == "a"} == {"clean, re-ranked", "x 4"}
    assert check_record(tmp_path / "t.csv.json") == []
    again = json.loads((tmp_path / "t.csv.json").read_text())["command"]
    before = table.read_text()
    run(*again[1:])
    assert table.read_text() == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--interaction", "ab", "a", "bb"], "unknown group 'bb'"),
        (["--interaction", "ab", "reranked"], "'reranked' is no ranking; did you mean 're-ranked'"),
        (["--interaction", "ab", "a", "plain"], "'ab a plain' over plain names a group twice"),
        (["--interaction", *"abcde"], "name the group with both, the one and the other"),
        (["--primary", "lfm"], "unknown group 'lfm'"),
        (["--primary", "a", "clean", "map"], "write a group, its row and its metric"),
    ],
)
def test_a_wrong_interaction_is_one_line(two_by_two: Path, words: list[str], says: str) -> None:
    error = run("compare", two_by_two, "--baseline", "plain", *words, code=2).stderr
    assert says in error and error.count("\n") == 1


def test_all_tables_of_a_folder_are_checked(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records, and what Markdown files show of them; from any folder."""
    monkeypatch.chdir(tmp_path)
    few = ["--baseline", "a", "--resamples", 200]
    for name, metric in (("t", "mAP"), ("u", "rank1")):
        run("compare", "study", *few, "--metric", metric, "--markdown", f"docs/results/{name}.md")
    text = Path("docs/results/t.md").read_text()
    page = Path("docs/record.md")
    code = "```markdown\n<!-- table x.md -->\n<!-- end of table -->\n```\n"  # is no table
    page.write_text(f"# R\n\n<!-- table results/t.md -->\n{text}<!-- end of table -->\n\n{code}")
    Path("docs/results/other.csv.json").write_text('{"rows": []}')
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    said = run("report", "--check", tmp_path / "docs").stdout.splitlines()
    assert [line.rpartition("/")[2].partition(":")[0] for line in said] == [
        "t.md.json", "u.md.json", "record.md", "3 of 3 files are right",
    ]  # fmt: skip
    page = tmp_path / page
    page.write_text(page.read_text().replace("b is better", "b is far better"))
    shutil.rmtree(tmp_path / "study/c/seed1")
    said = run("report", "--check", tmp_path / "docs", code=1).stdout.splitlines()
    assert "t.md.json: cannot be computed: " in said[0]
    assert said[2].endswith("record.md: the table is not the one in results/t.md")
    assert said[3] == "0 of 3 files are right"
    error = run("report", "--check", tmp_path / "else", code=2).stderr
    assert "else holds no record of a table" in error


def test_last_digits_of_another_processor_are_no_difference(study: Path, tmp_path: Path) -> None:
    table, record = tmp_path / "t.csv", tmp_path / "t.csv.json"
    run("compare", study, "--baseline", "a", "--csv", table, "--resamples", 500)
    content = json.loads(record.read_text())
    for change, says in ((1e-7, ""), (1e-3, "another table now: clean, b − a: low was")):
        content["tables"][0]["rows"][0]["low"] += change
        text = as_csv(tables_of(content["tables"]))
        table.write_text(text)
        record.write_text(json.dumps({**content, "sha256": digest_of(text)}))
        found = check_record(record)
        assert says in found[0] if says else found == []
    text = text.replace("b is better", "b is far better")
    table.write_text(text)
    record.write_text(json.dumps({**content, "sha256": digest_of(text)}))
    assert f"{record} has other numbers than the table that it is about" in check_record(record)


def test_seed_and_resamples_decide_the_last_digits_alone(study: Path, tmp_path: Path) -> None:
    texts = []
    for seed in (0, 0, 1):
        run("compare", study, "--baseline", "a", "--csv", tmp_path / "t.csv", "--seed", seed)
        texts.append((tmp_path / "t.csv").read_text())
    assert texts[0] == texts[1] != texts[2]
    lows = [float(next(csv.DictReader(text.splitlines()))["low"]) for text in texts]
    assert lows[0] == pytest.approx(lows[2], abs=0.003)


def test_many_query_sets_are_named_by_the_first_and_the_last(tmp_path: Path) -> None:
    words = []
    for name in "ab":
        for split in range(5):
            facts = {"ids": f"i{split}", "dataset": f"viper_split-{split}"}
            write_tested(tmp_path / name / f"{split}", scores(0.3, split), 0, **facts)
        words.append(f"{name}=" + ",".join(str(tmp_path / name / f"{n}") for n in range(5)))
    head = run("compare", *words).stdout.splitlines()[0]
    assert head.startswith("Tested: viper_split-0 to viper_split-4, cross_camera, ")
    assert head.endswith(" queries each")


def test_the_choices_of_the_command_are_those_of_the_job() -> None:
    assert tuple(METRICS) == command.METRICS
    assert tuple(KINDS) == command.KINDS and PAIRINGS == command.PAIRINGS


@pytest.mark.usefixtures("narrow_resnet18")
def test_the_page_from_training_to_a_table(data: Path, tmp_path: Path) -> None:
    """The commands of the page's first section, on tiny people, with one epoch and two seeds."""
    text = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    assert (
        "reid compare lfm=outputs/lfm_0,outputs/lfm_1,outputs/lfm_2 plain=outputs/plain_0," in text
    )
    short = ["SOLVER.MAX_EPOCHS", 1, "SOLVER.EVAL_PERIOD", 0]
    for seed in range(2):
        for name, more in (("lfm", []), ("plain", ["MODEL.REGULARIZER.NAME", "none"])):
            out = tmp_path / "outputs" / f"{name}_{seed}"
            run("train", *lfm(data, out, *short, "SEED", seed, *more))
            run(
                "test",
                *lfm(data, out, "TEST.WEIGHT", out / "last.pth", "TEST.RE_RANKING", True, *more),
            )
    words = [
        f"{name}=" + ",".join(str(tmp_path / "outputs" / f"{name}_{seed}") for seed in range(2))
        for name in ("lfm", "plain")
    ]
    done = run("compare", *words, "--latex", tmp_path / "table.tex")
    assert done.stderr == "" and list(lines(done.stdout)) == [
        "clean: lfm − plain",
        "clean, re-ranked: lfm − plain",
    ]
    assert check_record(tmp_path / "table.tex.json") == []
    files = [tmp_path / "outputs" / f"{name}_0" for name in ("lfm", "plain")]
    metrics = [json.loads((file / "metrics.json").read_text()) for file in files]
    assert metrics[0]["data"] == metrics[1]["data"] and len(metrics[0]["data"]["query"]) == 16
    assert metrics[0]["recipe_hash"] != metrics[1]["recipe_hash"]
    arrays = np.load(files[0] / "ranking.npz")
    names = sorted(path.name for path in data.rglob("query/*.jpg"))
    assert arrays["pids"].tolist() == [int(names[place][:4]) for place in arrays["query_index"]]
