"""Light, contrast and colour cast in a wide range: of a camera, of a time, and of an image."""

import numpy as np

from reid.synthetic.cameras import Camera

Rng = np.random.Generator


def tuned(rng: Rng, camera: Camera) -> Camera:
    """Returns a camera with a colour cast, gamma and contrast of its own.

    Args:
        rng: Generator of the camera.
        camera: Camera that is varied.
    """
    return _scaled(
        camera,
        np.exp(rng.normal(0, 0.05, 3)),
        gamma=float(np.exp(rng.normal(0, 0.10))),
        contrast=float(rng.uniform(0.90, 1.10)),
    )


def lit(rng: Rng, camera: Camera) -> Camera:
    """Returns a camera as it is for one image: exposure, colour cast, and often a veil of light.

    Args:
        rng: Generator of the image.
        camera: Camera that is varied.
    """
    exposure = np.exp(rng.normal(0, 0.12))
    cast = np.exp(rng.normal(0, 0.03, 3))
    contrast = float(rng.uniform(0.85, 1.15))
    if rng.random() < 0.5:
        contrast = float(np.exp(rng.uniform(np.log(0.25), 0)))
    varied = _scaled(camera, exposure * cast, 1.0, contrast)
    return varied._replace(middle=float(rng.uniform(0.3, 0.6)))


def _scaled(camera: Camera, gains: np.ndarray, gamma: float, contrast: float) -> Camera:
    """Returns a camera whose gains, gamma and contrast are multiplied."""
    red, green, blue = (a * float(b) for a, b in zip(camera.gains, gains, strict=True))
    return camera._replace(
        gains=(red, green, blue),
        gamma=camera.gamma * gamma,
        contrast=camera.contrast * contrast,
        noise=camera.noise * contrast,
    )
