"""Lists the config keys: default and meaning, from the tables of the components.

reid keys                       all of them
reid keys MODEL.REGULARIZER     those of a section
reid keys --schema my.json IMPORTS ./parts/circle.py
a JSON Schema for editors, with your own parts
reid keys --write configs       writes README.md's table and schema.json, in a clone
"""

import argparse

from reid.cli._arguments import path
from reid.utils.errors import InputError, suggest

HELP = "list the config keys, or write their table and a JSON Schema for editors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "section", nargs="*", metavar="SECTION | IMPORTS PARTS", help="a section, or own parts"
    )
    parser.add_argument("--schema", type=path, metavar="JSON", help="write a JSON Schema")
    parser.add_argument(
        "--write",
        type=path,
        metavar="FOLDER",
        help="bring a folder's README.md and schema.json up to date",
    )


def run(args: argparse.Namespace) -> None:
    """Prints or writes the keys."""
    from reid.config import known_settings, load_cfg
    from reid.config.reference import as_text, json_schema, write_reference
    from reid.utils.logs import write_text

    wanted = args.section
    if len(wanted) == 2 and wanted[0] == "IMPORTS":
        load_cfg(None, wanted)
        wanted = []
    settings = known_settings()
    if args.write:
        write_reference(args.write, settings)
        print(f"written: {args.write}/README.md, {args.write}/schema.json")
    if args.schema:
        write_text(args.schema, json_schema(settings))
        print(f"written: {args.schema}")
    if args.write or args.schema:
        return
    prefix = f"{wanted[0].upper()}." if wanted else ""
    found = {key: s for key, s in settings.items() if f"{key}.".startswith(prefix)}
    if not found:
        sections = {key.rpartition(".")[0] for key in settings} - {""}
        mend = suggest(wanted[0], sections) or "; sections: " + ", ".join(sorted(sections))
        raise InputError(f"no key or section {wanted[0]}{mend}")
    print(as_text(found))
