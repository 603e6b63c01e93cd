"""From a drawing to the file that a camera stores: light, colour, blur, noise, JPEG."""

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
    sharp = _to_picture(_expose(shrink(canvas) * light, camera))
    blurred = sharp.filter(ImageFilter.GaussianBlur(camera.blur * float(rng.uniform(0.6, 1.4))))
    noise = camera.noise * rng.standard_normal((HEIGHT, WIDTH, 3), np.float32)
    picture = _to_picture(np.asarray(blurred, np.float32) / 255 + noise)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(rng.integers(camera.quality[0], camera.quality[1] + 1)))
    return file.getvalue()


def shrink(canvas: Floats) -> Floats:
    """Averages blocks of SUPER x SUPER pixels; many times faster than a mean over two axes."""
    total = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    # A pixel as one value of 12 bytes is copied in half the time of three values of 4.
    pixels = np.ascontiguousarray(canvas, np.float32).view("V12")[..., 0]
    for i, j in itertools.product(range(SUPER), repeat=2):
        total += pixels[i::SUPER, j::SUPER].copy().view(np.float32).reshape(total.shape)
    return total / np.float32(SUPER**2)


def _expose(image: Floats, camera: Camera) -> Floats:
    """Applies the camera's saturation, colour cast, gamma and contrast, in this order."""
    gray = image.mean(2, keepdims=True)
    image = gray + camera.saturation * (image - gray)
    image = np.clip(image * np.asarray(camera.gains, np.float32), 0, 1) ** np.float32(camera.gamma)
    return camera.middle + camera.contrast * (image - camera.middle)


def _illumination(rng: Rng) -> Floats:
    """Returns a factor for each pixel, (HEIGHT, WIDTH, 1): a ramp and at times a hard shadow."""
    y, x = np.ogrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    a = rng.uniform(0, 2 * np.pi)
    ramp = 1 + rng.uniform(0, 0.18) * (np.cos(a) * x + np.sin(a) * y)
    if rng.random() < 0.15:
        b = rng.normal(0, 0.8)
        ramp = ramp * np.where(np.cos(b) * y + np.sin(b) * x > rng.uniform(-0.6, 0.6), 0.62, 1.0)
    return np.asarray(ramp[..., None], np.float32)


def _to_picture(image: Floats) -> Image.Image:
    """Rounds (H, W, 3) in [0, 1] to an 8-bit picture."""
    return Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))
