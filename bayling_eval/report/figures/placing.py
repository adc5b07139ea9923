"""Labels beside points: found a free place in a fixed order, or left out and said so."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from matplotlib.font_manager import findfont, get_font

from bayling_eval.graphemes import cut

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""
_RINGS = (9.0, 18.0, 30.0, 44.0, 60.0)
# Right, left, above and below first: they need no line to the point.
_ANGLES = (0, 180, 90, 270, 45, 135, 315, 225)
_MEASURED = 100.0


@dataclass(frozen=True)
class Placed:
    """Where a label stands: its left end and middle, and whether a line leads to the point."""

    index: int
    x: float
    y: float
    far: bool


@cache
def width(text: str, size: float) -> float:
    """Return the pixels of a text in DejaVu Sans, which is wider than the fonts of browsers."""
    font = get_font(findfont("DejaVu Sans"))
    # Glyphs of small sizes are hinted to whole pixels, and up to a tenth narrower than in a PDF.
    font.set_size(_MEASURED, 72)
    font.set_text(text, 0.0)
    return float(font.get_width_height()[0] / 64) * size / _MEASURED


def fit(text: str, size: float, room: float) -> str:
    """Return a text, or as much of its start as there is room for in pixels and an ellipsis."""
    if width(text, size) <= room:
        return text
    kept = next((n for n in range(len(text), 0, -1) if width(f"{text[:n]}…", size) <= room), 0)
    return f"{cut(text, kept)}…"


def place(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    size: float,
    room: Box,
    radius: float,
) -> tuple[list[Placed], list[int]]:
    """Place the text of each of the first points; return the places, and texts without one.

    ``points`` are in pixels; those after the texts are only stepped around, ``radius`` about each.
    Labels overlap neither each other nor points, and stay in ``room``.
    """
    taken: list[Box] = [(x - radius, y - radius, x + radius, y + radius) for x, y in points]
    placed, without = [], []
    for index, text in enumerate(texts):
        wide, high = width(text, size) + 2, size + 2
        for ring in _RINGS:
            found = _on_ring(points[index], ring, (wide, high), room, taken)
            if found:
                break
        if found is None:
            without.append(index)
            continue
        taken.append(found)
        placed.append(Placed(index, found[0] + 1, (found[1] + found[3]) / 2, ring > _RINGS[0]))
    return placed, without


def _on_ring(
    point: tuple[float, float],
    ring: float,
    size: tuple[float, float],
    room: Box,
    taken: Sequence[Box],
) -> Box | None:
    for angle in _ANGLES:
        x = point[0] + ring * math.cos(math.radians(angle))
        y = point[1] - ring * math.sin(math.radians(angle))
        across = math.cos(math.radians(angle))
        left = x if across > 0.1 else x - size[0] if across < -0.1 else x - size[0] / 2
        box = (left, y - size[1] / 2, left + size[0], y + size[1] / 2)
        inside = box[0] >= room[0] and box[1] >= room[1] and box[2] <= room[2] and box[3] <= room[3]
        if inside and not any(_overlap(box, other) for other in taken):
            return box
    return None


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
