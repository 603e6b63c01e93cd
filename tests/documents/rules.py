"""Which commands of the pages no test runs, and why. All others are run.

A command of ``reid`` in them is parsed all the same, and its config is checked.
"""

import importlib.util
import re
from typing import NamedTuple


class Rule(NamedTuple):
    """Commands that are not run.

    Attributes:
        pattern: What they begin with, or hold; a regular expression.
        because: Why, in a few words.
    """

    pattern: str
    because: str


NOT_RUN = (
    Rule(
        r"^(torchrun|srun|sbatch|scontrol|squeue|head) ",
        "many processes; tests/test_distributed.py starts them",
    ),
    Rule(
        r" --on (slurm|local) ",
        "jobs of a cluster; tests/ablation/test_cluster.py has a pretended one",
    ),
    Rule(
        r"qdrant:https?:", "a database as a server; tests/search/test_qdrant.py has one in a file"
    ),
    Rule(
        r"^(pip|git|cd|source|export|apt-get|docker|python3? -m (venv|pip)|\S*/pip) ",
        "another program",
    ),
    Rule(r"^\./scripts/\S+\.sh ", "they install, and run all tests"),
    Rule(r"^(ruff|mypy|python -m pytest|pytest|pre-commit) ", "the checks themselves"),
    Rule(r" \.\.\. .*--sanity ", "an attack of minutes, of which the page shows what it printed"),
    Rule(r"^python scripts/(bench|simulate|fuzz|torture|notebooks)", "minutes"),
)


# Packages that the tests of the oldest packages do not have -> what needs them.
EXTRAS = {"onnxruntime": r"^reid export (?!.*--to torch)|\bonnxruntime\b"}


def not_run(typed: str) -> Rule | None:
    """Returns the first rule that a command falls under."""
    return next((rule for rule in NOT_RUN if re.search(rule.pattern, f"{typed} ")), None)


def lacks_an_extra(text: str) -> bool:
    """Says whether a command or a snippet needs a package that is not installed."""
    needed = [package for package, pattern in EXTRAS.items() if re.search(pattern, text)]
    return any(importlib.util.find_spec(package) is None for package in needed)
