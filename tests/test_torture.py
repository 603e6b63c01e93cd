"""The short form of scripts/torture.py: a run that is killed and whose disk fails loses nothing."""

import subprocess
import sys

from commands import ROOT

TINY = ["IMPORTS", f"[{ROOT / 'tests/tiny_network.py'}]", "MODEL.BACKBONE.NAME", "tiny_network"]


def test_a_training_survives_kills_and_faults() -> None:
    script = [sys.executable, str(ROOT / "scripts/torture.py"), *TINY]
    options = ["--kills", "6", "--faults", "4", "--variants", "fp32"]
    done = subprocess.run(
        [*script, *options], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "survived: 6 of 6 kills, 4 of 4 faults" in done.stdout
