# Sourced by the other scripts: makes .venv once, installs into it, and puts it first on PATH.
# PYTHON=python3.12 chooses another interpreter; REID_VENV=/path another place for the environment.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

reid_venv="${REID_VENV:-$PWD/.venv}"
reid_python="${PYTHON:-python3}"

if ! "$reid_python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "error: '$reid_python' is not Python >= 3.10; install one, or name it: PYTHON=python3.12 $0" >&2
    exit 2
fi

# The stamp is written last: an installation that was cut off is done again.
reid_stamp="$reid_venv/reid-installed"
reid_wanted="$(cksum <setup.py) $PWD"
if [ "$(cat "$reid_stamp" 2>/dev/null)" != "$reid_wanted" ]; then
    echo "installing into $reid_venv (torch is large: the first time takes minutes)"
    if ! "$reid_python" -m venv "$reid_venv"; then
        echo "error: no virtual environment could be made; on Debian: apt install python3-venv" >&2
        exit 2
    fi
    "$reid_venv/bin/python" -m pip install --quiet --disable-pip-version-check -e ".[dev]"
    echo "$reid_wanted" >"$reid_stamp"
fi
export PATH="$reid_venv/bin:$PATH"
