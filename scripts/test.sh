#!/usr/bin/env bash
# Installs what is missing and runs every check: format, lint, types, tests.
# Arguments go to pytest: scripts/test.sh tests/data -x
. "$(dirname "$0")/environment.sh"

ruff format --check .
ruff check .
# numpy for Python 3.10 says less about its types than mypy --strict asks for.
if python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then mypy; fi
# A process for each core, a file of tests to one of them: its fixtures are made once.
python -m pytest -n auto --dist loadfile -m "not slow and not gpu and not data" "$@"
