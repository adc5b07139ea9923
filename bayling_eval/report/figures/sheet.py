"""A page of paper: texts, tables and axes from top to bottom, nothing over anything else."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Annotation

from bayling_eval.gate.words import visible
from bayling_eval.graphemes import cut
from bayling_eval.report.figures import marks, placing
from bayling_eval.report.figures.drawn import short
from bayling_eval.report.figures.svg import COLOURS, panel, spelt

WIDTH, HEIGHT = 595.276, 841.89
"""Points of A4 (ISO 216), which are the pixels of a drawing."""
MARGIN = 40.0
ROOM = WIDTH - 2 * MARGIN
"""Points that a line of text has."""
BOTTOM = HEIGHT - 48
"""Where the last line of a page ends; the footer is under it."""
SMALL = 7.0
"""Points of a text in tables and plots."""
_LEADING = 1.35
# Of DejaVu Sans' bold letters and digits the widest is so much wider than the regular one.
_BOLD = 1.3
_LONGEST = 1_000


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    width: float
    """Points, with the gap to the next column."""
    right: bool = False
    """Whether it is flush right."""
    lines: int = 1
    """Most lines of a cell."""


@dataclass(frozen=True)
class Piece:
    """The text of a cell."""

    text: str
    role: str = "fg"
    """Colour."""
    bold: bool = False


class Sheet:
    """One page; ``y`` is how far from its top the next line begins, in points."""

    def __init__(self, drawing: Canvas) -> None:
        self.drawing = drawing
        self.y = MARGIN
        self._axes = panel(drawing, (0, 0, WIDTH, HEIGHT), "sheet")
        self._axes.set_axis_off()
        self._axes.set_xlim(0, WIDTH)
        self._axes.set_ylim(HEIGHT, 0)

    def write(
        self,
        text: str,
        size: float = 8.0,
        role: str = "fg",
        *,
        bold: bool = False,
        most: int = 1,
        indent: float = 0.0,
    ) -> None:
        """Write a text in at most so many lines, and go on under it."""
        for line in wrapped(text, size, ROOM - indent, most, bold=bold):
            self._put(MARGIN + indent, self.y, Piece(line, role, bold), size)
            self.y += size * _LEADING

    def footer(self, left: str, right: str) -> None:
        """Write what stands at the foot of every page."""
        room = ROOM - placing.width(right, SMALL) - 12
        self._put(MARGIN, HEIGHT - 34, Piece(fit(left, SMALL, room), "mut"), SMALL)
        self._put(WIDTH - MARGIN, HEIGHT - 34, Piece(right, "mut"), SMALL, right=True)

    def rule(self, role: str = "line", width: float = 0.6) -> None:
        """Draw a line across the page."""
        ends = [MARGIN, WIDTH - MARGIN]
        self._axes.plot(ends, [self.y, self.y], color=COLOURS[role], linewidth=width)
        self.y += 2

    def table(
        self, columns: Sequence[Column], rows: Sequence[Sequence[Piece]], bottom: float = BOTTOM
    ) -> list[float]:
        """Write the rows that end above ``bottom``; return the middle of each, from the top."""
        self._row([Piece(column.title, "mut") for column in columns], columns, SMALL - 0.5)
        self.rule()
        middles = []
        for row in rows:
            lines = [
                wrapped(piece.text, SMALL, column.width - 6, column.lines, bold=piece.bold)
                for piece, column in zip(row, columns, strict=True)
            ]
            height = max(map(len, lines)) * SMALL * _LEADING + 2
            if self.y + height > bottom:
                break
            middles.append(self.y + SMALL * _LEADING / 2)
            self._lines(lines, row, columns)
            self.y += height
        return middles

    def axes(self, left: float, top: float, width: float, height: float, gid: str) -> Axes:
        """Return axes at a place of the page, in points from its upper left corner."""
        return panel(self.drawing, (left, top, width, height), gid)

    def label(
        self, text: str, x: float, middle: float, size: float = SMALL, *, right: bool = True
    ) -> None:
        """Write a text whose end and middle are given."""
        self._put(x, middle - size * _LEADING / 2, Piece(text), size, right=right)

    def _row(self, row: Sequence[Piece], columns: Sequence[Column], size: float) -> None:
        lines = [
            [fit(piece.text, size, c.width - 6)] for piece, c in zip(row, columns, strict=True)
        ]
        self._lines(lines, row, columns, size)
        self.y += size * _LEADING + 1

    def _lines(
        self,
        lines: Sequence[Sequence[str]],
        row: Sequence[Piece],
        columns: Sequence[Column],
        size: float = SMALL,
    ) -> None:
        left = MARGIN
        for own, piece, column in zip(lines, row, columns, strict=True):
            x = left + column.width - 6 if column.right else left
            for at, line in enumerate(own):
                said = Piece(line, piece.role, piece.bold)
                self._put(x, self.y + at * size * _LEADING, said, size, right=column.right)
            left += column.width

    def _put(self, x: float, y: float, piece: Piece, size: float, *, right: bool = False) -> None:
        if piece.text:
            self._axes.text(
                x,
                y + size,
                piece.text,
                fontsize=size,
                color=COLOURS[piece.role],
                weight="bold" if piece.bold else "normal",
                ha="right" if right else "left",
                va="baseline",
            )


def clean(text: object, limit: int = _LONGEST) -> str:
    """Return a text as one harmless line that the font has all characters of."""
    return spelt(visible(short(text, limit), 10 * limit))


def fit(text: str, size: float, room: float) -> str:
    """Return as much of a text as there is room for, made harmless."""
    return _fit(clean(text, 200), size, room)


def wrapped(text: str, size: float, room: float, most: int, *, bold: bool = False) -> list[str]:
    """Return a text in at most so many lines; a word that is wider than a line is cut."""
    size *= _BOLD if bold else 1
    rest = clean(text)
    lines: list[str] = []
    while rest and len(lines) < most - 1:
        line = cut(rest, max(_longest(rest, size, room), 1))
        if len(line) < len(rest) and " " in line.strip():
            line = line[: line.rindex(" ")]
        lines.append(line.rstrip())
        rest = rest[len(line) :].lstrip()
    return [*lines, _fit(rest, size, room)] if rest else lines


def _longest(text: str, size: float, room: float) -> int:
    """Return how many characters there is room for."""
    ends = range(1, min(len(text), _LONGEST) + 1)
    return bisect_right(ends, room, key=lambda n: placing.width(text[:n], size))


def _fit(text: str, size: float, room: float) -> str:
    kept = _longest(text, size, room)
    if kept == len(text):
        return text
    return f"{cut(text, _longest(text, size, room - placing.width('…', size))).rstrip()}…"


def differences(axes: Axes, metric: str, limits: marks.Scale) -> None:
    """Make a narrow axis of differences, with half of the usual labels where they are many."""
    marks.difference_axis(axes, metric, limits)
    ticks = list(axes.get_xticks())
    zero = min(range(len(ticks)), key=lambda at: abs(ticks[at])) if ticks else 0
    if len(ticks) > 4:
        axes.set_xticks(ticks[zero % 2 :: 2])
    axes.tick_params(labelsize=SMALL - 1, pad=2)
    for hint in axes.texts:
        if isinstance(hint, Annotation):
            hint.xyann = (0, -18)


def shrink(axes: Axes) -> None:
    """Make every text beside marks as small as the page's."""
    for text in axes.texts:
        text.set_fontsize(SMALL - 0.5)
