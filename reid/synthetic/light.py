"""Light, contrast and colour cast in a wide range: of a camera, and of each image.

The numbers were set by trial: a network that was trained for minutes is to keep much of its mAP
under the least brightness and contrast of reid/robustness/corruptions, and still to learn.
"""

import numpy as np

from reid.synthetic.cameras import Camera
from reid.synthetic.raster import Floats

Rng = np.random.Generator
VEILED = 0.35  # share of the images under a veil of light, as of fog or of the sun in the lens
THICKEST = 0.25  # of the contrast is left


def tuned(rng: Rng, camera: Camera) -> Camera:
    """Returns a camera with a colour cast, gamma and contrast of its own.

    Args:
        rng: Generator of the camera.
        camera: Camera that is varied.
    """
    cast = np.exp(rng.normal(0, 0.05, 3))
    gamma = float(np.exp(rng.normal(0, 0.10)))
    return _scaled(camera, cast, gamma, float(rng.uniform(0.90, 1.10)))


def lit(rng: Rng, camera: Camera) -> Camera:
    """Returns a camera as it is for one image: exposure, colour cast, and often a veil of light.

    Args:
        rng: Generator of the image.
        camera: Camera that is varied.
    """
    exposure = np.exp(rng.normal(0, 0.12))
    cast = np.exp(rng.normal(0, 0.03, 3))
    contrast = float(rng.uniform(0.85, 1.15))
    if rng.random() < VEILED:
        contrast = float(np.exp(rng.uniform(np.log(THICKEST), 0)))
    varied = _scaled(camera, exposure * cast, 1.0, contrast)
    return varied._replace(middle=float(rng.uniform(0.3, 0.6)))


def _scaled(camera: Camera, gains: Floats, gamma: float, contrast: float) -> Camera:
    """Returns a camera whose gains, gamma, contrast and noise are multiplied.

    Contrast is set behind the sensor, so that it scales the sensor's noise, too.

    Args:
        camera: Camera that is varied.
        gains: (3,) factors of red, green and blue.
        gamma: Factor of the exponent.
        contrast: Factor of contrast and noise.
    """
    red, green, blue = (old * float(new) for old, new in zip(camera.gains, gains, strict=True))
    return camera._replace(
        gains=(red, green, blue),
        gamma=camera.gamma * gamma,
        contrast=camera.contrast * contrast,
        noise=camera.noise * contrast,
    )
