"""Other people's weights become a checkpoint with its config: what ``reid convert`` runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reid.builders.weights import Converted, as_checkpoint, convert
from reid.config import dump, leaves
from reid.config.defaults import as_cfg
from reid.engine import checkpoint as ckpt
from reid.engine.tensors_file import ENDING, save_tensors_file
from reid.utils.archives import damage_of, write_archive
from reid.utils.errors import InputError
from reid.utils.logs import make_dir, sync_folder, temporary_of, write_text
from reid.weights import Options

ENDINGS = (".pth", ".pt", ENDING)


def convert_file(
    source: Path,
    output: Path,
    overrides: Sequence[str] = (),
    family: str = "",
    options: Options | None = None,
    ordered: bool = False,
) -> str:
    """Writes a checkpoint of ours, and beside it the config that belongs to it.

    A checkpoint of ours is written in the form that the name of the output asks for.

    Args:
        source: The file.
        output: The checkpoint; its name ends in one of :data:`ENDINGS`. The config has the same
            name with the ending ``.yml``.
        overrides: ``[KEY, VALUE, ...]`` that go before what the family says.
        family: Name of the family; "" recognizes it.
        options: What the user says of the file.
        ordered: The names are foreign: tensors are paired with the network's one after another.

    Returns:
        What was mapped, skipped and missing, and what was written, as text.

    Raises:
        InputError: The file is of no known network, or an output exists.
    """
    config = _check_output(source, output)
    if not (family or ordered or options):
        try:
            return _again(source, output, config, overrides)
        except ckpt.ForeignError:
            pass
    done = convert(str(source), overrides, family, options, ordered)
    _write(output, as_checkpoint(done, source.name))
    write_text(config, _config_text(done, source.name, output))
    return "\n".join([*_lines(done), f"written: {output}, {config}"])


def _check_output(source: Path, output: Path) -> Path:
    """Returns the path of the config; raises InputError where something would be overwritten."""
    if output.suffix not in ENDINGS:
        raise InputError(f"-o {output}: its name must end in {', '.join(ENDINGS)}")
    if not source.is_file():
        raise InputError(f"{source} is no file")
    config = output.with_suffix(".yml")
    for path in (output, config):
        if path.exists():
            raise InputError(f"{path} exists; choose another name for -o, or remove it")
    make_dir(output.parent)
    return config


def _again(source: Path, output: Path, config: Path, overrides: Sequence[str]) -> str:
    """Writes a checkpoint of ours in another form, without what only its run needs."""
    checkpoint = ckpt.load(source)
    if overrides:
        raise InputError(
            f"{source} is a checkpoint of ours and has its config; {overrides[0]} cannot be"
            " changed in it"
        )
    left_out = _write(output, checkpoint)
    write_text(config, checkpoint["config"])
    what = f"without {', '.join(left_out)}" if left_out else "with all that it holds"
    return (
        f"{len(checkpoint['model'])} tensors of a checkpoint of ours, epoch {checkpoint['epoch']},"
        f" {what}\nwritten: {output}, {config}"
    )


def _write(output: Path, checkpoint: dict[str, Any]) -> list[str]:
    """Writes a checkpoint; returns what of it is left out."""
    if output.suffix == ENDING:
        return save_tensors_file(output, checkpoint)
    with temporary_of(output) as temporary:
        write_archive(temporary, checkpoint)
        problem = damage_of(temporary)
        if problem:
            raise OSError(f"what was written is not what is read: {problem}")
        temporary.replace(output)
    sync_folder(output.parent)
    return []


def _config_text(done: Converted, source: str, output: Path) -> str:
    """Returns the settings that the weights need as YAML, and the start of a fine-tuning."""
    start = {"MODEL.PRETRAIN_CHOICE": "path", "MODEL.PRETRAIN_PATH": str(output)}
    values = dict(leaves(done.cfg))
    kept = {key: start.get(key, values[key]) for key in {**done.settings, **start}}
    head = f"# Belongs to the weights of {source}, a file of {done.family}; by reid convert.\n"
    return head + dump(as_cfg(kept))


def _lines(done: Converted) -> list[str]:
    """Lists each name of the file and of the model, and what was assumed."""
    conversion = done.conversion
    lines = [f"mapped   {origin} -> {name}" for name, origin in conversion.origin.items()]
    lines += [f"skipped  {name}: {why}" for name, why in conversion.skipped.items()]
    lines += [f"missing  {name}: {kept}" for name, kept in done.missing.items()]
    settings = [f"  {key} {value}" for key, value in sorted(done.settings.items())]
    return [
        *lines,
        f"family {done.family}: {len(conversion.origin)} mapped, {len(conversion.skipped)}"
        f" skipped, {len(done.missing)} missing",
        "settings that belong to it:",
        *settings,
        *(f"note: {remark}" for remark in conversion.remarks),
    ]
