"""From a drawing to the file that a camera stores: light, colour, blur, noise, JPEG."""

import functools
import io
import itertools

import numpy as np
from PIL import Image, ImageFilter

from reid.synthetic.cameras import Camera
from reid.synthetic.raster import Floats
from reid.synthetic.scenes import HEIGHT, SUPER, WIDTH

Rng = np.random.Generator


def develop(rng: Rng, canvas: Floats, camera: Camera, sunlight: float) -> bytes:
    """Returns the JPEG file of a drawing.

    Args:
        rng: Generator of what differs from image to image.
        canvas: (ROWS, COLS, 3), RGB in [0, 1].
        camera: Camera with its colour cast, exposure, blur, noise and quality.
        sunlight: Factor of the light.
    """
    light = np.float32(sunlight * np.exp(rng.normal(0, 0.05))) * _illumination(rng)
    sharp = _to_picture(_expose(_shrunk(canvas) * light, camera).transpose(1, 2, 0))
    blurred = sharp.filter(ImageFilter.GaussianBlur(camera.blur * float(rng.uniform(0.6, 1.4))))
    noise = rng.standard_normal((HEIGHT, WIDTH, 3), np.float32)
    noise *= np.float32(camera.noise)
    noise += np.asarray(blurred, np.float32) / 255
    picture = _to_picture(noise)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(rng.integers(camera.quality[0], camera.quality[1] + 1)))
    return file.getvalue()


def shrink(canvas: Floats) -> Floats:
    """Averages blocks of SUPER x SUPER pixels, (ROWS, COLS, 3) to (HEIGHT, WIDTH, 3)."""
    return np.ascontiguousarray(_shrunk(canvas).transpose(1, 2, 0))


def _shrunk(canvas: Floats) -> Floats:
    """Returns the same as three planes, (3, HEIGHT, WIDTH): numpy is slow on axes of length 3."""
    planes = np.asarray(canvas, np.float32).transpose(2, 0, 1)
    total = np.zeros((3, HEIGHT, WIDTH), np.float32)
    for i, j in itertools.product(range(SUPER), repeat=2):
        total += planes[:, i::SUPER, j::SUPER]
    total /= SUPER**2
    return total


def _expose(planes: Floats, camera: Camera) -> Floats:
    """Applies the camera's saturation, colour cast, gamma and contrast, in this order.

    Args:
        planes: (3, HEIGHT, WIDTH) red, green and blue; changed.
        camera: The camera.
    """
    red, green, blue = planes
    gray = (red + green + blue) / 3  # to the bit np.mean over colours, which takes far longer
    planes -= gray
    planes *= np.float32(camera.saturation)
    planes += gray
    planes *= np.asarray(camera.gains, np.float32)[:, None, None]
    np.clip(planes, 0, 1, out=planes)
    # In float64, and rounded then: numpy rounds a power in float32 in its own way with AVX-512, and
    # other processors would draw other bytes.
    gamma = float(np.float32(camera.gamma))
    np.power(planes, gamma, out=planes, dtype=np.float64, casting="same_kind")
    planes -= np.float32(camera.middle)
    planes *= np.float32(camera.contrast)
    planes += np.float32(camera.middle)
    return planes


def _illumination(rng: Rng) -> Floats:
    """Returns a factor for each pixel, (HEIGHT, WIDTH): a ramp and at times a hard shadow."""
    y, x = _grid()
    a = rng.uniform(0, 2 * np.pi)
    ramp = 1 + rng.uniform(0, 0.18) * (np.cos(a) * x + np.sin(a) * y)
    if rng.random() < 0.15:
        b = rng.normal(0, 0.8)
        ramp = ramp * np.where(np.cos(b) * y + np.sin(b) * x > rng.uniform(-0.6, 0.6), 0.62, 1.0)
    return np.asarray(ramp, np.float32)


@functools.cache
def _grid() -> tuple[Floats, Floats]:
    """Returns the rows, (HEIGHT, 1), and columns, (1, WIDTH), of an image from -1 to 1."""
    y, x = np.ogrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    return y, x


def _to_picture(image: Floats) -> Image.Image:
    """Rounds (H, W, 3) in [0, 1] to an 8-bit picture."""
    levels = np.clip(image, 0, 1)
    levels *= 255
    levels += np.float32(0.5)
    # A transposed image is put in order here, where it has a quarter of the bytes.
    return Image.fromarray(np.ascontiguousarray(levels.astype(np.uint8)))
