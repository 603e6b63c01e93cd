"""Evaluates what needs no training: ``tools/reference.py --reference chance --config-file FILE``.

``color_histogram`` matches people by colour alone, ``chance`` at random. A trained model that does
not beat the first by far has learned little.
"""

from reid.config import load_cfg
from reid.evaluation.references import Chance, ColorHistogram
from reid.jobs.test import test_reference
from reid.utils import cli


def main() -> None:
    """Reads the command line and evaluates the reference."""
    parser = cli.config_parser("Evaluate a reference that needs no training.")
    parser.add_argument("--reference", required=True, choices=("color_histogram", "chance"))
    args = parser.parse_intermixed_args()
    cfg = load_cfg(args.config_file, args.overrides)
    embed = Chance(cfg.SEED) if args.reference == "chance" else ColorHistogram()
    test_reference(cfg, args.reference, embed)


if __name__ == "__main__":
    cli.run(main)
