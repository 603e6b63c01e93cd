"""Maps of heat, laid over the image that they are of."""

import numpy as np

COLORS = "viridis"  # its brightness rises evenly, so that it is read without colours, too
OPACITY = 0.6


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lays a map over an image in gray; returns (H, W, 3) uint8.

    Args:
        image: (H, W, 3) uint8.
        heat: (H, W), not negative; its largest value gets the brightest colour.
    """
    import matplotlib

    largest = float(heat.max())
    scaled = heat / largest if largest > 0 else np.zeros_like(heat)
    colors = matplotlib.colormaps[COLORS](scaled)[..., :3]
    gray = image.mean(2, keepdims=True) / 255
    return (255 * (OPACITY * colors + (1 - OPACITY) * gray)).round().astype(np.uint8)
