#!/usr/bin/env bash
# Builds the site of the documents into outputs/docs, where outputs/docs/index.html opens it. A
# warning, such as a link to a page or a name that is not there, fails the build.
. "$(dirname "$0")/environment.sh"

if ! python -c 'import sphinx, furo, myst_nb' 2>/dev/null; then
    echo "error: the site is built with Python 3.11 to 3.13: PYTHON=python3.13 REID_VENV=.venv-docs $0" >&2
    exit 2
fi

site=outputs/docs
study=outputs/docs_example # kept: a second call runs nothing again

# -E reads all pages anew: Sphinx does not repeat the warnings of pages that it has read before.
python -m sphinx -E -q -W --keep-going -b html -c docs -d outputs/docs_read . "$site"

# The report that the site shows: docs/example_report.md has the same commands.
reid ablate docs/example_study.yml OUTPUT_DIR "$study"
reid show "$study/plain/seed0" "$study/lfm/seed0" --activations
mkdir -p "$site/example"
reid report "$study" --title "An example: two recipes on a few drawn people" -o "$site/example/report.html"

python scripts/check_links.py "$site"
