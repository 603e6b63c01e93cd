"""Attacks a model: ``tools/attack.py --config-file FILE TEST.WEIGHT last.pth [KEY VALUE ...]``.

Clean and attacked retrieval in one table, curves, JSON and CSV in OUTPUT_DIR/attack.
"""

from pathlib import Path

from reid.config import load_cfg
from reid.jobs.attack import attack
from reid.utils import cli
from reid.utils.errors import InputError


def main() -> None:
    """Reads the command line and attacks TEST.WEIGHT."""
    parser = cli.config_parser("Attack a person re-ID model and report what is left of it.")
    parser.add_argument(
        "--sanity", action="store_true", help="check the attack and the model's gradients as well"
    )
    parser.add_argument(
        "--surrogate-weight",
        type=Path,
        metavar="PTH",
        help="make the adversarial images on this model instead (black box by transfer)",
    )
    parser.add_argument(
        "--surrogate-config", metavar="YML", help="its config; --config-file unless given"
    )
    args = parser.parse_intermixed_args()
    cfg = load_cfg(args.config_file, args.overrides)
    if not cfg.TEST.WEIGHT:
        raise InputError("TEST.WEIGHT is empty: name the checkpoint, e.g. outputs/x/last.pth")
    surrogate = None
    if args.surrogate_weight is not None:
        shared = ["MODEL.DEVICE", cfg.MODEL.DEVICE, "ATTACK.PRECISION", cfg.ATTACK.PRECISION]
        seen = load_cfg(args.surrogate_config, shared) if args.surrogate_config else cfg
        surrogate = (seen, args.surrogate_weight)
    elif args.surrogate_config is not None:
        raise InputError("--surrogate-config goes with --surrogate-weight, which is missing")
    attack(cfg, Path(cfg.TEST.WEIGHT), args.sanity, surrogate)


if __name__ == "__main__":
    cli.run(main)
