#!/usr/bin/env bash
# Runs the tests with the oldest supported packages, which oldest.txt pins, on Python 3.10. It checks
# no types: the old packages lack annotations. Arguments go to pytest.
root="$(cd "$(dirname "$0")/.." && pwd)"
export PYTHON="${PYTHON:-python3.10}" REID_VENV="${REID_VENV:-$root/.venv-oldest}"
export PIP_CONSTRAINT="$root/scripts/oldest.txt"
. "$root/scripts/environment.sh"

python -m pytest -n auto --dist loadfile -m "not slow and not gpu and not data" "$@"
