"""Reads each image file, and keeps what is known of it instead of the image."""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from reid.data.images import UPRIGHT, WITH_ALPHA, ImageError, opened, resize
from reid.data.reading import in_parallel
from reid.data.records import ImageRecord

RGB_LOSES_NOTHING = {"1", "L", "P", "RGB"}
CHUNK = 1 << 20  # bytes that are hashed at once


@dataclass(frozen=True)
class Picture:
    """What is known of one image file.

    Attributes:
        split: "train", "query" or "gallery".
        record: Path, pid and camid.
        problem: Why the file cannot be decoded; "" if it can. Then what follows is unknown, too.
        size: (height, width) in pixels, as the image is looked at: an EXIF turn is done.
        mode: Pillow's name of the pixel format, such as "RGB" or "I;16".
        orientation: EXIF orientation, 1 to 8; 1 is upright.
        transparent: Whether some pixel is not opaque.
        file_digest: SHA-256 of the bytes of the file, in hex.
        pixel_digest: SHA-256 of size and pixels, in hex. It is the same for two encodings without
            loss of the same picture.
    """

    split: str
    record: ImageRecord
    problem: str = ""
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    orientation: int = 1
    transparent: bool = False
    file_digest: str = ""
    pixel_digest: str = ""


def read_pictures(records: Sequence[tuple[str, ImageRecord]], threads: int) -> Iterator[Picture]:
    """Yields what is known of each image, in order.

    Each thread holds one image at a time; none is kept.

    Args:
        records: Pairs (split, record).
        threads: Number of threads that decode.
    """
    with warnings.catch_warnings():
        # Pillow warns of large images and of damaged EXIF data; the findings say what matters.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        found = in_parallel(lambda pair: read_picture(*pair), records, threads, "checking images")
        yield from found


def read_picture(split: str, record: ImageRecord) -> Picture:
    """Decodes one image; a file that cannot be decoded gives a Picture with a problem.

    Args:
        split: What the record is part of.
        record: The image.
    """
    try:
        with opened(record.path) as image:
            return _look(split, record, image)
    except ImageError as error:
        problem = str(error).removeprefix(f"{record.path}: ")
        return Picture(split, record, problem.replace(str(record.path), record.path.name))


def _look(split: str, record: ImageRecord, image: Image.Image) -> Picture:
    image.load()
    mode, orientation = image.mode, _orientation(image)
    if mode not in RGB_LOSES_NOTHING:
        resize(image, (image.height, image.width))  # raises what it would raise in training
    plain = _comparable(image)
    if orientation != 1:
        plain = plain.transpose(UPRIGHT[orientation])
    size = (plain.height, plain.width)
    transparent = plain.mode == "RGBA"
    digest = hashlib.sha256(f"{plain.mode} {size}".encode())
    digest.update(plain.tobytes())
    file, pixels = _file_digest(record.path), digest.hexdigest()
    return Picture(split, record, "", size, mode, orientation, transparent, file, pixels)


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 to 8; 1 (upright) where EXIF data is missing or damaged."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF data can raise anything, and the picture may be well
        return 1
    return found if isinstance(found, int) and found in UPRIGHT else 1


def _comparable(image: Image.Image) -> Image.Image:
    """Brings formats that can hold the same picture to one; no picture loses anything.

    Returns:
        RGB; RGBA if some pixel is not opaque; I (32-bit) for 16-bit images; else unchanged.
    """
    if image.mode.startswith("I"):
        return image.convert("I")
    if image.mode in WITH_ALPHA or (
        image.mode in RGB_LOSES_NOTHING and "transparency" in image.info
    ):
        image = image.convert("RGBA")
        lowest, _ = image.getchannel("A").getextrema()
        return image.convert("RGB") if lowest == 255 else image
    if image.mode in RGB_LOSES_NOTHING:
        return image.convert("RGB")
    return image


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
