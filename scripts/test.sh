#!/usr/bin/env bash
# Installs what is missing and runs every check: format, lint, types, tests.
# Arguments go to pytest: scripts/test.sh tests/data -x
. "$(dirname "$0")/environment.sh"

ruff format --check .
ruff check .
mypy
python -m pytest -m "not slow and not gpu and not data" "$@"
