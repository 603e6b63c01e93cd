"""A camera's view of a jointed figure: collects strips given in the axes of the body.

Body axes: left (the person's own), up, front; metres, origin between the feet on the ground.
"""

from typing import NamedTuple

import numpy as np

from reid.synthetic.people import Person
from reid.synthetic.raster import Floats, Strip, Texture, capsule, profile

Point = tuple[float, float, float]  # left, up, front


class Pose(NamedTuple):
    """How the person stands and moves. Angles in radians.

    Attributes:
        yaw: 0 faces the camera, pi/2 walks to the right of the image.
        phase: Phase of the walk, 0 to 2 pi.
        stride: Largest angle of a thigh; 0 stands.
        lean: Angle of the trunk, to the front.
        elbows: Bend of the left and of the right elbow.
    """

    yaw: float
    phase: float
    stride: float
    lean: float
    elbows: tuple[float, float]


class View(NamedTuple):
    """Where the camera puts the body.

    Attributes:
        x: Pixel column of the point between the feet.
        y: Pixel row of it.
        scale: Pixels per metre.
        pitch: Angle by which the camera looks down, radians.
    """

    x: float
    y: float
    scale: float
    pitch: float


class Builder:
    """Collects the strips of one body.

    Args:
        person: Build and clothes.
        pose: Angles of the limbs.
        view: Position, scale and pitch of the body in the image.
    """

    def __init__(self, person: Person, pose: Pose, view: View) -> None:
        self.person = person
        self.pose = pose
        # Numbers of Python's own: arithmetic on single numbers of numpy takes several times longer.
        self.view = View(*(float(value) for value in view))
        self.sin, self.cos = float(np.sin(pose.yaw)), float(np.cos(pose.yaw))
        self.down, self.level = float(np.sin(view.pitch)), float(np.cos(view.pitch))
        self.strips: list[Strip] = []

    def project(self, point: Point) -> tuple[float, float, float]:
        """Returns column, row and nearness of a point of the body."""
        left, up, front = point
        near = front * self.cos - left * self.sin
        row = up * self.level - near * self.down
        column = left * self.cos + front * self.sin
        scale = self.view.scale
        return self.view.x + scale * column, self.view.y - scale * row, near

    def add(self, a: Point, b: Point, widths: Floats, texture: Texture, lift: float = 0.0) -> None:
        """Adds a strip from (x, y, z) point a to point b.

        Args:
            a: (3,) metres.
            b: (3,) metres.
            widths: (N,) half-widths in metres, at equal steps from a to b.
            texture: Texture of the strip.
            lift: Distance in metres by which it is moved towards the viewer.
        """
        (ax, ay, az), (bx, by, bz) = self.project(a), self.project(b)
        depth = 0.5 * (az + bz) + lift
        scaled = widths * np.float32(self.view.scale)
        self.strips.append(Strip((ax, ay), (bx, by), scaled, texture, depth, self.pose.yaw))

    def limb(
        self, a: Point, b: Point, radii: tuple[float, ...], texture: Texture, lift: float = 0.0
    ) -> None:
        """Adds a strip with round ends from (x, y, z) point a to point b.

        Args:
            a: (3,) metres.
            b: (3,) metres.
            radii: Half-widths in metres, at equal steps from a to b.
            texture: Texture of the strip.
            lift: Distance in metres by which it is moved towards the viewer.
        """
        (ax, ay, az), (bx, by, bz) = self.project(a), self.project(b)
        scaled = [r * self.view.scale for r in radii]
        start, end, widths = capsule((ax, ay), (bx, by), *scaled)
        self.strips.append(
            Strip(start, end, widths, texture, 0.5 * (az + bz) + lift, self.pose.yaw)
        )

    def silhouette(self, wide: list[float], deep: list[float]) -> Floats:
        """Returns the half-widths, (N,), of an oval body from those seen from the front and from
        the side.

        Args:
            wide: (N,) half-widths from the front.
            deep: (N,) half-widths from the side.
        """
        both = np.hypot(np.array(wide) * self.cos, np.array(deep) * self.sin)
        return profile(*both.tolist())
