"""Body coordinates and film pixels, and shapes drawn from one to the other."""

import cv2
import numpy as np

FRACTION_BITS = 4  # OpenCV draws at 1/16 pixel


class Frame:
    """Body coordinates to film pixels, and shapes drawn at that place.

    Parameters
    ----------
    size : side of the film, pixels.
    matrix : (2, 3), body units to pixels.
    """

    def __init__(self, size: int, matrix: np.ndarray):
        self.size = size
        self.matrix = matrix
        self.scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))  # pixels a body unit

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Film pixels (..., 2), float, of body points (..., 2)."""
        return np.asarray(points, float) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def resized(self, size: int) -> "Frame":
        """The same frame on a grid of another size."""
        return Frame(size, self.matrix * (size / self.size))

    def body_grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Body coordinates x, y of every pixel, two float32 arrays (size, size)."""
        inverse = np.linalg.inv(np.vstack([self.matrix, [0, 0, 1]])).astype(np.float32)
        ramp = np.arange(self.size, dtype=np.float32)
        x = inverse[0, 0] * ramp[None] + inverse[0, 1] * ramp[:, None] + inverse[0, 2]
        y = inverse[1, 0] * ramp[None] + inverse[1, 1] * ramp[:, None] + inverse[1, 2]
        return x, y

    def _fixed(self, points):
        return np.rint(self.pixels(points) * 2**FRACTION_BITS).astype(np.int32)

    def _all_fixed(self, shapes):
        return self._fixed(shapes) if isinstance(shapes, np.ndarray) else [self._fixed(shape) for shape in shapes]

    def fill(
        self, polygons: list[np.ndarray] | np.ndarray, canvas: np.ndarray | None = None, value: float = 255
    ) -> np.ndarray:
        """uint8 (size, size) with polygons, a list of (n, 2) or one (polygons, n, 2), filled; edges are smoothed."""
        canvas = np.zeros((self.size, self.size), np.uint8) if canvas is None else canvas
        for polygon in self._all_fixed(polygons):
            cv2.fillPoly(canvas, [polygon], value, cv2.LINE_AA, FRACTION_BITS)
        return canvas

    def stroke(
        self, lines: list[np.ndarray] | np.ndarray, width: float, canvas: np.ndarray | None = None, value: float = 255
    ) -> np.ndarray:
        """uint8 (size, size) with open lines of a width in body units; below a pixel the value fades instead.

        lines : list of (n, 2), or one array (lines, n, 2).
        """
        canvas = np.zeros((self.size, self.size), np.uint8) if canvas is None else canvas
        pixels = width * self.scale
        value = value * min(1.0, pixels)
        cv2.polylines(canvas, self._all_fixed(lines), False, value, max(1, round(pixels)), cv2.LINE_AA, FRACTION_BITS)
        return canvas

    def box(self, mask: np.ndarray) -> tuple[float, float, float, float] | None:
        """(x, y, w, h) in pixels around what is set in a mask of any resolution over this film, None if nothing is."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return None
        step = self.size / mask.shape[0]
        x, y = columns[0] * step, rows[0] * step
        return (float(x), float(y), float((columns[-1] + 1) * step - x), float((rows[-1] + 1) * step - y))


def rounded(points: np.ndarray, rounds: int = 2) -> np.ndarray:
    """Closed polygon with its corners cut twice (Chaikin 1974), (4 n, 2)."""
    for _ in range(rounds):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1).reshape(-1, 2)
    return points


def band(line: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """Polygons (..., 2 n, 2) around lines (..., n, 2); width in body units, a number or (n,)."""
    along = np.empty_like(line)
    along[..., 1:-1, :] = line[..., 2:, :] - line[..., :-2, :]
    along[..., 0, :], along[..., -1, :] = line[..., 1, :] - line[..., 0, :], line[..., -1, :] - line[..., -2, :]
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    across *= (0.5 * width / np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-9))[..., None]
    return np.concatenate([line + across, (line - across)[..., ::-1, :]], axis=-2)
