"""Segments that are shown with their texts: which ones, and how a hostile text is made visible.

Texts are never stripped or repaired; what a reader could not see is shown by name.
"""

import shutil
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import regex
from markupsafe import Markup, escape

from bayling_eval import metrics, statistics, store, tables
from bayling_eval.errors import UserError
from bayling_eval.metrics import MetricSpec
from bayling_eval.provenance import digest
from bayling_eval.records import Comparison
from bayling_eval.store import Cell, System
from bayling_eval.subsets import Subset
from bayling_eval.tables import Sample, Stored

Floats = npt.NDArray[np.float64]

METRIC = "chrf++"
"""Segments are chosen by the difference in this metric, a segment at a time."""
KINDS = ("lowest", "highest", "random")
PICKS = 3
"""Segments of each kind a direction."""
BUDGET = 4_100_000
"""Bytes of all samples of a page."""
SHOWN = 2_000
"""Characters of a text that are shown."""
# Markup around the texts of one segment, and around those of a direction, measured on real pages.
_MARKUP, _FRAME = 500, 450

# ZWJ, ZWNJ and variation selectors are part of how many scripts and emoji are written.
_HIDDEN = regex.compile(
    r"(?V1)([[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Noncharacter_Code_Point}"
    r"\p{Default_Ignorable_Code_Point}]--[\u200C\u200D\u17B4\u17B5\p{Variation_Selector}]])\1*"
)
_SHORT = {
    0x00: "NUL",
    0x08: "BS",
    0x09: "TAB",
    0x0A: "LF",
    0x0D: "CR",
    0x1B: "ESC",
    0x7F: "DEL",
    0x85: "NEL",
    0xAD: "SHY",
    0x61C: "ALM",
    0x200B: "ZWSP",
    0x200E: "LRM",
    0x200F: "RLM",
    0x2028: "LS",
    0x2029: "PS",
    0x202A: "LRE",
    0x202B: "RLE",
    0x202C: "PDF",
    0x202D: "LRO",
    0x202E: "RLO",
    0x2060: "WJ",
    0x2066: "LRI",
    0x2067: "RLI",
    0x2068: "FSI",
    0x2069: "PDI",
    0xFEFF: "BOM",
}
_BREAKS = "\n\t"
# bdi: the Latin letters of a chip must not decide the direction of the text around (dir=auto).
_CHIP = Markup('<bdi class="chip" title="{}">{}</bdi>')
_NOTE = Markup('<bdi class="none">{}</bdi>')


@dataclass(frozen=True)
class Segment:
    """One segment as it is shown; the texts are safe HTML."""

    doc_id: int
    """Number of the segment, from 0."""
    source: Markup
    """Source text."""
    references: tuple[tuple[str, Markup], ...]
    """Name and text of each reference."""
    outputs: tuple[Markup, Markup]
    """Of the candidate and the baseline."""
    scores: tuple[float, float]
    """Of the candidate and the baseline."""

    @property
    def delta(self) -> float:
        """Candidate minus baseline."""
        return self.scores[0] - self.scores[1]

    @property
    def size(self) -> int:
        """About how many bytes of the page it takes."""
        texts = (self.source, *self.outputs, *(text for _, text in self.references))
        return _MARKUP + sum(len(text.encode("utf-8", "replace")) for text in texts)


@dataclass(frozen=True)
class Shown:
    """The segments of one direction."""

    row: Comparison
    """The direction, against the deciding baseline."""
    total: int
    """Segments of the direction."""
    picks: dict[str, list[Segment]]
    """By kind."""

    @property
    def size(self) -> int:
        """About how many bytes of the page it takes."""
        return _FRAME + sum(segment.size for found in self.picks.values() for segment in found)


@dataclass(frozen=True)
class Samples:
    """All samples of a page, and what is not on it."""

    directions: tuple[Shown, ...]
    """Worst direction first."""
    picks: int
    """Segments of each kind a direction."""
    left_out: int
    """Directions whose texts are there but did not fit on the page."""
    without: tuple[str, ...]
    """Why further directions have no samples."""


def collect(pair: Sequence[System], rows: Sequence[Comparison]) -> Samples:
    """Choose and read the samples of each compared direction; ``rows`` in the order of the page.

    ``pair`` is the candidate and the deciding baseline.

    Raises:
        UserError: texts or statistics of a system are damaged or do not belong together.
    """
    rows = [row for row in rows if row.delta is not None and row.tgt_lang]
    if not rows:
        return Samples((), PICKS, 0, ())
    with ExitStack() as stack:
        sides = [_Side(system, stack) for system in pair]
        without = [side.without for side in sides if side.without]
        found = [] if without else [*_directions(rows, sides)]
    lacking = len(rows) - len(found)
    if lacking and not without:
        without.append(f"{lacking} directions have no {METRIC} statistics to choose by")
    return fit(found, tuple(without))


def fit(found: Sequence[Shown], without: tuple[str, ...] = (), budget: int = BUDGET) -> Samples:
    """Cut samples to the budget: first segments of every direction, then the last directions."""
    for picks in range(PICKS, 0, -1):
        cut = [replace(one, picks={k: v[:picks] for k, v in one.picks.items()}) for one in found]
        if sum(one.size for one in cut) <= budget:
            return Samples(tuple(cut), picks, 0, without)
    sizes = np.cumsum([one.size for one in cut])
    kept = int(np.searchsorted(sizes, budget, side="right"))
    return Samples(tuple(cut[:kept]), 1, len(cut) - kept, without)


def choose(
    delta: Floats, ids: Sequence[str], sources: Sequence[str], picks: int = PICKS
) -> dict[str, list[int]]:
    """Return the segments with the lowest and the highest difference, and some of the rest.

    Which of the rest depends on the seed and the segments' identities alone; ties go to the earlier
    segment. No segment is chosen twice, nor another one with the same source text.
    """
    upward = [int(index) for index in np.argsort(delta, kind="stable")]
    ranked = {
        "lowest": upward,
        "highest": sorted(upward, key=lambda i: (-delta[i], i)),
        "random": sorted(upward, key=lambda i: digest([statistics.SEED, ids[i]])),
    }
    used: set[str] = set()
    found: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for kind, chosen in found.items():
        for index in ranked[kind]:
            if len(chosen) < picks and sources[index] not in used:
                used.add(sources[index])
                chosen.append(index)
    return found


def visible(text: object, limit: int = SHOWN) -> Markup:
    """Return a text as safe HTML: escaped, hidden characters as named chips, cut after ``limit``.

    Hidden are control characters, bidirectional controls, zero-width and other invisible ones; not
    ZWJ, ZWNJ and variation selectors, which are spelling. A text is cut between grapheme clusters.
    """
    whole = str(text)
    shown = _cut(whole, limit)
    html, last = Markup(""), 0
    for match in _HIDDEN.finditer(shown):
        html += escape(shown[last : match.start()]) + _chip(match.group())
        last = match.end()
    html += escape(shown[last:])
    if len(shown) < len(whole):
        html += _NOTE.format(f" … {len(whole) - len(shown):,} more characters are not shown")
    return html


def output(text: str) -> Markup:
    """Return an output as safe HTML; one without anything to read says so."""
    if not text:
        return _NOTE.format("(empty)")
    if not text.strip():
        return visible(text) + _NOTE.format("(only white space)")
    return visible(text)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    end = 0
    # Overlong by one, so that a cluster that the limit cuts is seen whole unless it is endless.
    for match in regex.finditer(r"\X", text[: limit + 32]):
        if match.end() > limit:
            break
        end = match.end()
    return text[: end or limit]


def _chip(run: str) -> Markup:
    code = ord(run[0])
    short = _SHORT.get(code, f"U+{code:04X}")
    name = f"U+{code:04X} {unicodedata.name(run[0], '')}".rstrip()
    times = f" ×{len(run)}" if len(run) > 1 else ""
    return _CHIP.format(name, short + times) + (run if run[0] in _BREAKS else "")


class _Side:
    """One system's texts and per-segment statistics, read as they are asked for."""

    def __init__(self, system: System, stack: ExitStack) -> None:
        self._name = system.name
        self._cells: dict[str, Cell] = {}
        self._paths: dict[str, Path] = {}
        self._stored: dict[tuple[str, str], Stored] = {}
        self.without: str | None = None
        """Why there are no texts at all."""
        for cell in system.cells():
            if Subset.parse(cell.selection).partial:
                continue  # what is not compared is not shown
            for task in manifest.tasks if (manifest := cell.manifest()) else {}:
                self._cells.setdefault(task, cell)
        for cell in {id(cell): cell for cell in self._cells.values()}.values():
            self._open(cell, stack)

    def _open(self, cell: Cell, stack: ExitStack) -> None:
        if not (cell.folder / store.SAMPLES).is_file():
            self.without = (
                f"{self._name} has no texts here (an exported file holds them only if it was made "
                "with --with-text)"
            )
            return
        texts = cell.verified(store.SAMPLES)
        if not isinstance(texts, Path):
            # A zip file would be unpacked again for each direction.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            with texts.open("rb") as packed, (folder / store.SAMPLES).open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
            texts = folder / store.SAMPLES
        for stored in tables.read_statistics(cell.verified(store.STATISTICS), [METRIC]):
            if self._cells.get(stored.task) is cell:
                self._stored[stored.task, stored.signature] = stored
                self._paths[stored.task] = texts

    def signatures(self, task: str) -> list[str]:
        """Return under which signatures the task's segments have statistics."""
        return [signature for name, signature in self._stored if name == task]

    def scores(self, task: str, signature: str) -> Floats:
        """Return the score of each segment."""
        values = self._stored[task, signature].values
        return metrics.make(MetricSpec(METRIC)).aggregate(values)

    def samples(self, task: str) -> list[Sample]:
        """Return the texts of each segment."""
        found = tables.read_samples(self._paths[task], task)
        sizes = {len(s.values) for (name, _), s in self._stored.items() if name == task}
        if sizes != {len(found)}:
            raise UserError(
                f"{self._name}: {task}: texts and statistics have different numbers of segments: "
                "run `bayling-eval score` again"
            )
        return found


def _directions(rows: Sequence[Comparison], sides: Sequence[_Side]) -> Iterator[Shown]:
    for row in rows:
        both = [s for s in sides[0].signatures(row.task) if s in sides[1].signatures(row.task)]
        if both:
            signature = row.signature if row.signature in both else both[0]
            yield _direction(row, signature, sides)


def _direction(row: Comparison, signature: str, sides: Sequence[_Side]) -> Shown:
    ours, theirs = (side.scores(row.task, signature) for side in sides)
    mine, others = (side.samples(row.task) for side in sides)
    ids, sources = [one.request_id for one in mine], [one.source for one in mine]
    picks = choose(ours - theirs, ids, sources)
    return Shown(
        row,
        len(mine),
        {
            kind: [
                _segment(mine[i], others[i], (float(ours[i]), float(theirs[i]))) for i in indices
            ]
            for kind, indices in picks.items()
        },
    )


def _segment(mine: Sample, other: Sample, scores: tuple[float, float]) -> Segment:
    named = zip(mine.reference_names, mine.references, strict=True)
    return Segment(
        mine.doc_id,
        visible(mine.source),
        tuple((name, visible(text)) for name, text in named),
        (output(mine.output), output(other.output)),
        scores,
    )
