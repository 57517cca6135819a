"""Words on a map that do not overlap: each takes the first free place beside its point, or none."""

import numpy as np

#: Mean width of a letter, in units of the font's size: sans serif, mixed case.
LETTER, BOLD_LETTER = 0.56, 0.62
GAP = 2.0


class Labels:
    """What is taken of a drawing of `width` by `height`."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.placed: list[str] = []
        self._taken = np.empty((0, 4))

    def block(self, x: float, y: float, radius: float) -> None:
        """Keep a point free of words."""
        self.fill(x - radius, y - radius, x + radius, y + radius)

    def fill(self, left: float, top: float, right: float, bottom: float) -> None:
        """Keep a box free of words."""
        self._taken = np.vstack([self._taken, (left, top, right, bottom)])

    def place(
        self, words: str, x: float, y: float, size: float, *, bold: bool = False, dot: float = 3.5
    ) -> tuple[float, float] | None:
        """Where the words begin (left end of the base line), or None where nothing beside (x, y) is free.

        Tried in the order map-makers prefer: right, left, above, below, and then the corners.
        """
        long = len(words) * size * (BOLD_LETTER if bold else LETTER)
        up = 0.75 * size
        near = dot + GAP
        for left, base in (
            (x + near, y + up / 2),
            (x - near - long, y + up / 2),
            (x - long / 2, y - near),
            (x - long / 2, y + near + up),
            (x + near, y - near),
            (x + near, y + near + up),
            (x - near - long, y - near),
            (x - near - long, y + near + up),
        ):
            box = (left - GAP, base - up - 1, left + long + GAP, base + 0.25 * size)
            if self._is_free(*box):
                self.fill(*box)
                self.placed.append(words)
                return left, base
        return None

    def centre(self, words: str, x: float, y: float, size: float, spacing: float = 0.0) -> tuple[float, float] | None:
        """Where words centred on (x, y) begin, or None where they would cover something."""
        long = len(words) * (size * BOLD_LETTER + spacing)
        left, base = x - long / 2, y + 0.375 * size
        box = (left - GAP, base - size, left + long + GAP, base + 0.25 * size)
        if not self._is_free(*box):
            return None
        self.fill(*box)
        self.placed.append(words)
        return left, base

    def _is_free(self, left: float, top: float, right: float, bottom: float) -> bool:
        if left < 0 or top < 0 or right > self.width or bottom > self.height:
            return False
        t = self._taken
        return not bool(np.any((t[:, 0] < right) & (t[:, 2] > left) & (t[:, 1] < bottom) & (t[:, 3] > top)))
