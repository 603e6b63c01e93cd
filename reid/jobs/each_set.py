"""Tests on several data sets, one after the other, with one table: DATASETS.TESTS [a, b]."""

import json
from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate
from yacs.config import CfgNode

from reid import builders
from reid.builders.common import output_dir
from reid.evaluation.evaluator import HEADERS, TestResult
from reid.evaluation.places import FOLDER
from reid.utils import distributed
from reid.utils.logs import get_logger, write_text

FILE = "tests.json"  # in OUTPUT_DIR


def each_set(
    cfg: CfgNode, test: Callable[[CfgNode], TestResult], source: str = ""
) -> dict[str, TestResult]:
    """Runs a test on each data set that is tested on; returns the results by name.

    Of several data sets each has its results and its log in a folder of its own, such as
    OUTPUT_DIR/test/market1501_cross_camera, and OUTPUT_DIR/tests.json has the table.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        test: Tests what a config says, on one data set.
        source: Name of a reference, which the names of the folders begin with.
    """
    names = builders.tested_names(cfg)
    if len(names) == 1:
        return {names[0]: test(cfg)}
    results = {name: test(_of_one(cfg, name, source)) for name in names}
    if distributed.is_main():
        _report(cfg, results)
    return results


def _of_one(cfg: CfgNode, name: str, source: str) -> CfgNode:
    """Returns the config of the test on one data set."""
    one: CfgNode = cfg.clone()
    one.defrost()
    one.DATASETS.NAMES = (name,)
    one.DATASETS.TESTS = ()
    folder = "_".join(filter(None, (source, name, cfg.TEST.PROTOCOL)))
    one.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR) / FOLDER / folder)
    one.freeze()
    return one


def _report(cfg: CfgNode, results: dict[str, TestResult]) -> None:
    """Logs one table of all data sets, and writes it."""
    logger = get_logger(output_dir(cfg), "test")
    rows = [[name, *row] for name, result in results.items() for row in result.rows()]
    logger.info(
        f"{len(results)} data sets, protocol {cfg.TEST.PROTOCOL}\n"
        + tabulate(rows, ("data set", *HEADERS), floatfmt=".1f")
    )
    found = {
        name: {title: ranking.summary() for title, ranking in result.rankings.items()}
        for name, result in results.items()
    }
    facts = {"protocol": cfg.TEST.PROTOCOL, "tests": found}
    file = Path(cfg.OUTPUT_DIR) / FILE
    write_text(file, json.dumps(facts, indent=2) + "\n")
    logger.info(f"written: {file}")
