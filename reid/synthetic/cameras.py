"""The cameras: view, light and optics."""

from typing import NamedTuple

import numpy as np


class Camera(NamedTuple):
    """A fixed camera.

    Attributes:
        ground: pavement, tiles, asphalt, grass, cobbles or gravel.
        wall: bricks, concrete, shops, hedge, fence, plaster, planks or shutters.
        horizon: Row at which the ground begins, as a fraction of the crop.
        yaw: Usual direction of walking, radians; 0 towards the camera.
        spread: Standard deviation of the direction; both ways along it are walked.
        pitch: Angle by which the camera looks down, radians.
        gains: Factors of red, green and blue.
        gamma: Exponent on [0, 1]; above 1 is darker.
        contrast: Factor about ``middle``.
        saturation: Factor about the gray of the same brightness.
        blur: Standard deviation in pixels of the final image.
        noise: Standard deviation of the sensor's noise in [0, 1].
        light: Strength from the right (negative: from the left), and from the front.
        quality: Lowest and highest JPEG quality.
        middle: Level in [0, 1] that the contrast leaves as it is; a veil of light has a high one.
    """

    ground: str
    wall: str
    horizon: float
    yaw: float
    spread: float
    pitch: float
    gains: tuple[float, float, float]
    gamma: float
    contrast: float
    saturation: float
    blur: float
    noise: float
    light: tuple[float, float]
    quality: tuple[int, int]
    middle: float = 0.5


CAMERAS = (
    Camera("pavement", "shops", 0.42, 0.2, 0.5, 0.20, (1.05, 1.00, 0.91), 0.95, 1.00, 0.95,
           0.40, 0.012, (0.20, 0.45), (82, 95)),
    Camera("grass", "hedge", 0.32, 2.9, 0.5, 0.26, (0.95, 1.03, 0.95), 1.08, 0.95, 0.95,
           0.50, 0.016, (-0.18, 0.40), (75, 92)),
    Camera("tiles", "concrete", 0.50, 1.5, 0.45, 0.12, (0.93, 0.99, 1.10), 1.00, 0.90, 0.88,
           0.60, 0.014, (0.10, 0.50), (70, 90)),
    Camera("asphalt", "fence", 0.30, 0.8, 0.7, 0.30, (1.02, 0.98, 0.97), 0.85, 1.05, 0.92,
           0.45, 0.022, (-0.25, 0.48), (78, 93)),
    Camera("tiles", "bricks", 0.44, 2.3, 0.7, 0.16, (1.09, 0.99, 0.89), 1.18, 1.00, 0.90,
           0.60, 0.026, (0.22, 0.50), (65, 88)),
    Camera("pavement", "concrete", 0.26, 1.3, 1.2, 0.34, (0.98, 1.01, 1.03), 1.04, 0.85, 0.82,
           0.80, 0.016, (0.0, 0.40), (60, 85)),
)  # fmt: skip


# In other places, from other sides.
OTHER_CAMERAS = (
    Camera("cobbles", "plaster", 0.38, 0.5, 0.6, 0.24, (1.07, 1.01, 0.93), 1.10, 0.95, 0.92,
           0.55, 0.015, (-0.22, 0.45), (78, 94)),
    Camera("gravel", "planks", 0.28, 2.5, 0.6, 0.32, (0.97, 1.02, 0.99), 0.92, 1.00, 0.95,
           0.45, 0.020, (0.15, 0.42), (72, 92)),
    Camera("asphalt", "plaster", 0.47, 1.8, 0.5, 0.14, (0.92, 1.00, 1.08), 1.02, 0.88, 0.86,
           0.70, 0.018, (0.24, 0.48), (66, 88)),
    Camera("cobbles", "hedge", 0.34, 1.1, 0.8, 0.28, (1.00, 1.02, 0.94), 1.15, 1.02, 0.93,
           0.40, 0.013, (-0.12, 0.50), (80, 95)),
    Camera("gravel", "shutters", 0.41, 0.0, 0.7, 0.18, (1.03, 0.98, 1.00), 0.88, 0.92, 0.90,
           0.60, 0.024, (0.05, 0.40), (70, 90)),
    Camera("grass", "planks", 0.24, 2.1, 1.0, 0.36, (0.96, 1.00, 1.06), 1.06, 0.90, 0.84,
           0.75, 0.017, (-0.20, 0.44), (62, 86)),
)  # fmt: skip


def get_camera(rng: np.random.Generator, place: int) -> Camera:
    """Returns the camera of a place, varied a little by ``rng``.

    Args:
        rng: Generator of the variation.
        place: Number of the place, 0-based: first those of CAMERAS, then those of OTHER_CAMERAS.
    """
    camera = (*CAMERAS, *OTHER_CAMERAS)[place]
    red, green, blue = (g * rng.uniform(0.97, 1.03) for g in camera.gains)
    return camera._replace(
        gains=(red, green, blue),
        gamma=camera.gamma * rng.uniform(0.94, 1.06),
        yaw=camera.yaw + rng.normal(0, 0.15),
        horizon=camera.horizon + rng.uniform(-0.04, 0.04),
    )
