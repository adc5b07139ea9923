"""Segments that are shown with their texts: which ones, and where the page has room for them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from markupsafe import Markup

from bayling_eval import statistics
from bayling_eval.graphemes import cut
from bayling_eval.provenance import digest
from bayling_eval.records import Comparison
from bayling_eval.report import chunks, diff, flags, view
from bayling_eval.report.chunks import Chunk
from bayling_eval.report.stored import Side
from bayling_eval.report.texts import SHOWN, direction, ids, not_shown, output, paragraphs, visible
from bayling_eval.store import System
from bayling_eval.tables import Floats, Sample

METRIC = "chrf++"
"""Segments of translations are chosen by the difference in this metric, a segment at a time."""
KINDS = ("lowest", "highest", "random")
PICKS = 3
"""Segments of each kind a direction."""
BUDGET = 3_000_000
"""Bytes of all samples on a page; without them it has 5 MB at most."""
# Markup around a segment, a text of it, and the segments of a direction, measured on real pages.
_SEGMENT, _TEXT, _FRAME = 300, 70, 700

Fragment = Callable[["Shown"], str]


@dataclass(frozen=True)
class Output:
    """One system's output of a segment as it is shown."""

    text: Markup
    """Safe HTML; with marks where it differs from a reference."""
    score: float
    """Its score."""
    direction: str = "auto"
    """HTML ``dir``. Parts with a direction of their own do not count for ``auto``, so of a text
    with marks it is said."""
    note: str = ""
    """What the marks are against, or why there are none."""
    flags: tuple[str, ...] = ()
    """What is odd about it."""


@dataclass(frozen=True)
class Segment:
    """One segment as it is shown; the texts are safe HTML."""

    doc_id: int
    """Number of the segment, from 0."""
    source: Markup
    """Source text."""
    references: tuple[tuple[str, Markup], ...]
    """Name and text of each reference."""
    outputs: tuple[Output, Output]
    """Of the candidate and the baseline."""

    @property
    def scores(self) -> tuple[float, float]:
        """Of the candidate and the baseline."""
        return self.outputs[0].score, self.outputs[1].score

    @property
    def delta(self) -> float:
        """Candidate minus baseline."""
        return self.scores[0] - self.scores[1]

    @property
    def size(self) -> int:
        """About how many bytes of the page it takes."""
        texts = [self.source, *(one.text for one in self.outputs)]
        texts += [text for _, text in self.references]
        words = sum(len(one.note) + 90 * len(one.flags) for one in self.outputs)
        return (
            _SEGMENT + words + sum(_TEXT + len(text.encode("utf-8", "replace")) for text in texts)
        )


Picks = Mapping[str, Sequence[Segment]]


@dataclass(frozen=True)
class Shown:
    """The segments of one direction, or of one set of questions."""

    row: Comparison
    """The direction, against the deciding baseline."""
    total: int
    """Segments of the direction."""
    picks: Picks
    """By kind."""
    key: str = ""
    """Its name in anchors and file names."""
    metric: str = METRIC
    """What the segments were chosen by."""
    on_page: Picks = field(default_factory=dict)
    """What of them the page itself has; all of them where there is no chunk."""
    chunk: Chunk | None = None
    """The file that has the rest."""

    @property
    def size(self) -> int:
        """About how many bytes of the page it takes."""
        return _FRAME + sum(segment.size for found in self.picks.values() for segment in found)

    @property
    def exact(self) -> bool:
        """Return whether each answer is right or wrong, with nothing between."""
        segments = [segment for found in self.picks.values() for segment in found]
        return not self.row.tgt_lang and all({*s.scores} <= {0.0, 1.0} for s in segments)

    @property
    def worst(self) -> str:
        """Return the kind whose first segment lost most."""
        return next((kind for kind in KINDS if self.picks.get(kind)), KINDS[0])

    @property
    def lost(self) -> bool:
        """Return whether it is a confirmed loss."""
        return self.row.verdict == "regressed"


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
    chunks: Mapping[str, bytes] = field(default_factory=dict)
    """Files of the folder ``samples`` by name; none where everything is on the page."""


def collect(
    pair: Sequence[System],
    rows: Sequence[Comparison],
    *,
    fragment: Fragment,
    single_file: bool = False,
) -> Samples:
    """Choose and read the samples of each compared task; ``rows`` in the order of the page.

    ``pair`` is the candidate and the deciding baseline. What does not fit on the page goes into
    files, as the HTML that ``fragment`` makes of it; in a single file it is left out.

    Raises:
        UserError: texts or statistics of a system are damaged or do not belong together.
    """
    rows = [row for row in rows if row.delta is not None]
    if not rows:
        return Samples((), PICKS, 0, ())
    sides = [Side(system) for system in pair]
    without = [side.without for side in sides if side.without]
    made = [] if without else [_direction(row, sides) for row in rows]
    found = [one for one in made if isinstance(one, Shown)]
    reasons = Counter(one for one in made if isinstance(one, str))
    without += [f"{count} {why}" for why, count in reasons.items()]
    keys = [one.removeprefix("-") for one in ids("", [one.row.task for one in found])]
    found = [replace(one, key=key) for one, key in zip(found, keys, strict=True)]
    if single_file or sum(one.size for one in found) <= BUDGET:
        return fit(found, tuple(without), budget=BUDGET)
    return split(found, fragment, tuple(without), budget=BUDGET)


def fit(found: Sequence[Shown], without: tuple[str, ...] = (), *, budget: int) -> Samples:
    """Cut samples to a budget in bytes: segments of every direction, then the last directions.

    Confirmed losses stay with the segment that lost most, whatever the budget.
    """
    for picks in range(PICKS, 0, -1):
        cut = [_kept(one, dict.fromkeys(KINDS, picks)) for one in found]
        if sum(one.size for one in cut) <= budget:
            return Samples(tuple(cut), picks, 0, without)
    lost = sum(one.size for one in cut if one.lost)
    if lost > budget:
        cut = [_kept(one, {one.worst: 1}) for one in cut if one.lost]
        return Samples(tuple(cut), 1, len(found) - len(cut), without)
    sizes = np.cumsum([0 if one.lost else one.size for one in cut])
    kept = [one for one, size in zip(cut, sizes, strict=True) if one.lost or lost + size <= budget]
    return Samples(tuple(kept), 1, len(cut) - len(kept), without)


def split(
    found: Sequence[Shown],
    fragment: Fragment,
    without: tuple[str, ...] = (),
    *,
    budget: int,
) -> Samples:
    """Put samples into files, one a direction.

    Of confirmed losses the segment that lost most is on the page, as far as the budget goes.
    """
    shown, files = [], {}
    left = budget - _FRAME * len(found)
    for one in found:
        first = [*one.picks.get(one.worst, ())][: int(one.lost)]
        first = first if sum(segment.size for segment in first) <= left else []
        left -= sum(segment.size for segment in first)
        later = {k: [s for s in v if s not in first] for k, v in one.picks.items()}
        chunk = chunks.pack(one.key, fragment(replace(one, on_page=later)))
        files[chunk.name] = chunk.content
        shown.append(replace(one, on_page={one.worst: first} if first else {}, chunk=chunk))
    return Samples(tuple(shown), PICKS, 0, without, files)


def _kept(one: Shown, picks: Mapping[str, int]) -> Shown:
    kept = {kind: one.picks[kind][:n] for kind, n in picks.items() if kind in one.picks}
    return replace(one, picks=kept, on_page=kept)


def choose(
    delta: Floats, ids: Sequence[str], sources: Sequence[str], picks: int = PICKS
) -> dict[str, list[int]]:
    """Return the segments that lost and that won most, and some of the rest.

    Which of the rest depends on the seed and the segments' identities alone; ties go to the earlier
    segment. No segment is chosen twice, nor another one with the same source text.
    """
    upward = [int(index) for index in np.argsort(delta, kind="stable")]
    ranked = {
        "lowest": [i for i in upward if delta[i] < 0],
        "highest": sorted((i for i in upward if delta[i] > 0), key=lambda i: (-delta[i], i)),
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


def _direction(row: Comparison, sides: Sequence[Side]) -> Shown | str:
    """Return the samples of one task, or what those are that have none as this one."""
    metric = METRIC if row.tgt_lang else row.metric
    ours, theirs = (side.signatures(row.task, metric) for side in sides)
    both = [signature for signature in ours if signature in theirs]
    if not both:
        return f"tasks have no {metric} statistics to choose by"
    signature = row.signature if row.signature in both else both[0]
    scores = [side.scores(row.task, metric, signature) for side in sides]
    texts = [side.samples(row.task) for side in sides]
    if not row.tgt_lang and not any(one.output for own in texts for one in own):
        return "tasks ask for likelihoods alone: no system wrote or chose a text"
    delta = view.sign(metric) * (scores[0] - scores[1])
    request_ids, sources = zip(*((one.request_id, one.source) for one in texts[0]), strict=True)
    picks = choose(delta, request_ids, sources)
    made = _segments(row, [i for found in picks.values() for i in found], sides, texts, scores)
    found = {kind: [made[i] for i in indices] for kind, indices in picks.items()}
    return Shown(row, len(texts[0]), found, row.task, metric, found)


def _segments(
    row: Comparison,
    chosen: Sequence[int],
    sides: Sequence[Side],
    texts: Sequence[Sequence[Sample]],
    scores: Sequence[Floats],
) -> dict[int, Segment]:
    """Return the chosen segments by their number."""
    odd = [_odd(row, chosen, *both) for both in zip(sides, texts, strict=True)]
    found = {}
    for place, index in enumerate(chosen):
        mine = texts[0][index]
        ours, theirs = (
            _output(own[index], float(values[index]), said[place], translated=bool(row.tgt_lang))
            for own, values, said in zip(texts, scores, odd, strict=True)
        )
        named = zip(mine.reference_names, mine.references, strict=True)
        references = tuple((name, visible(text)) for name, text in named)
        source = visible(mine.source) if row.tgt_lang else paragraphs(mine.source)
        found[index] = Segment(mine.doc_id, source, references, (ours, theirs))
    return found


def _odd(
    row: Comparison, chosen: Sequence[int], side: Side, texts: Sequence[Sample]
) -> list[list[str]]:
    if not row.tgt_lang:
        return [[] for _ in chosen]
    rates = {name: side.judged(row.task, name) for name in flags.RATES}
    judged = {name: values[[*chosen]] for name, values in rates.items() if values is not None}
    outputs = [texts[index] for index in chosen]
    return flags.of(flags.Outputs(row.src_lang or "", row.tgt_lang, outputs, judged))


def _output(sample: Sample, score: float, odd: Sequence[str], *, translated: bool) -> Output:
    text = sample.output
    if not translated or not text.strip() or not sample.references:
        return Output(output(text), score, flags=tuple(odd))
    shown = cut(text, SHOWN)
    best, found = diff.nearest([cut(one, SHOWN) for one in sample.references], shown)
    name = sample.reference_names[best]
    against = "the reference" if name == "ref" else f"reference {name}"
    if found is None or not found.readable:
        why = "Too different from" if found else "Too repetitive to be compared with"
        return Output(output(text), score, note=f"{why} {against}: no marks", flags=tuple(odd))
    said = [*odd, *(["look-alike characters"] if found.alike else [])]
    note = f"The same as {against}" if found.same else ""
    if not found.same and len(sample.references) > 1:
        note = f"Marks are against {against}, the nearest"
    html = diff.marked(found) + not_shown(len(text) - len(shown))
    return Output(html, score, direction(text), note, tuple(said))
