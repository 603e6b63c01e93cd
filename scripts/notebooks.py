"""Runs the notebooks of docs/notebooks, and writes what they print and draw into them.

python scripts/notebooks.py --execute                     # all of them, at full settings: minutes
python scripts/notebooks.py --execute first_steps

The site shows the outputs that are committed. The tests run the same cells with tiny settings:
:func:`run` puts them in the place of the cell that is tagged ``parameters``.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
TAG = "parameters"
LARGEST = 200_000  # bytes of a notebook with its pictures
PATIENCE = 7200  # seconds that a cell may take


def read(path: Path) -> NotebookNode:
    """Reads a notebook."""
    return nbformat.read(path, as_version=4)


def settings_cell(notebook: NotebookNode) -> NotebookNode:
    """Returns the cell with the settings; there is one."""
    (cell,) = [cell for cell in notebook.cells if TAG in cell.metadata.get("tags", ())]
    return cell


def run(notebook: NotebookNode, folder: Path, settings: str | None = None) -> None:
    """Runs all cells in a process of their own, in a folder; their outputs go into the notebook.

    Args:
        notebook: The notebook.
        folder: Where it writes its files.
        settings: Stands in the place of the settings while it runs; None leaves them as they are.

    Raises:
        CellExecutionError: A cell failed.
    """
    cell = settings_cell(notebook)
    written = cell.source
    cell.source = written if settings is None else settings
    try:
        resources = {"metadata": {"path": str(folder)}}
        client = NotebookClient(
            notebook, timeout=PATIENCE, kernel_name="python3", resources=resources
        )
        client.execute()
    finally:
        cell.source = written


def execute(path: Path) -> None:
    """Runs a notebook at full settings in an empty folder, and writes it with its outputs."""
    notebook = read(path)
    with tempfile.TemporaryDirectory() as folder:
        run(notebook, Path(folder))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran differs from run to run
    notebook.metadata["language_info"] = {"name": "python"}
    text = nbformat.writes(notebook)
    path.write_text(text + "\n", encoding="utf-8")
    size = path.stat().st_size
    if size > LARGEST:
        sys.exit(f"error: {path.name} has {size} bytes with its pictures, and at most {LARGEST} are"
                 " shipped: draw smaller pictures")  # fmt: skip


def main() -> None:
    """Reads the arguments and runs the notebooks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(known)}; default all")
    parser.add_argument("--execute", action="store_true", required=True, help="run and write them")
    args = parser.parse_args()
    for name in args.names or known:
        if name not in known:
            sys.exit(f"error: there is no notebook {name}; there are {', '.join(known)}")
        execute(FOLDER / f"{name}.ipynb")
        print(f"written: docs/notebooks/{name}.ipynb")


if __name__ == "__main__":
    main()
