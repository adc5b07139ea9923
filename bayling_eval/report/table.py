"""The table of directions: its columns, rows and cells as plain values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import regex

from bayling_eval import metrics
from bayling_eval.aggregate import Line, differing
from bayling_eval.compare import MARKS
from bayling_eval.macro import language_of
from bayling_eval.records import Comparison, Score, Verdict
from bayling_eval.report.view import (
    WORDS,
    Tongue,
    delta_text,
    interval,
    noun,
    number,
    p_text,
    sign,
    size,
    tint,
    title,
    tongue,
)

_UNSEEN = regex.compile(r"\p{C}+")


@dataclass(frozen=True)
class Cell:
    """One cell of the per-direction table."""

    text: str
    """What stands in it first."""
    sort: float | str | None = None
    """What it is sorted by; none sorts last both ways."""
    verdict: Verdict | None = None
    """Whose mark stands before the text."""
    small: tuple[str, ...] = ()
    """Lines under it."""
    signatures: tuple[tuple[str, str, str], ...] = ()
    """Short text, metric and signature of each score, where the column has several signatures."""
    style: str = ""
    """Classes; only what is confirmed is tinted."""
    absent: bool = False
    """Whether the text says why there is no value."""


@dataclass(frozen=True)
class Column:
    """One column of the per-direction table."""

    title: str
    """Heading."""
    small: str = ""
    """Line under it."""
    kind: str = "number"
    """``text``, ``number``, or ``rank``: a word that is sorted by a number."""
    sorted: str = ""
    """``aria-sort`` at first."""
    style: str = ""
    """Classes."""


@dataclass(frozen=True)
class Extra:
    """A column that is not of the comparison, after the scores."""

    column: Column
    """Its heading."""
    cell: Callable[[Line], Cell]
    """What stands in it."""


@dataclass(frozen=True)
class Row:
    """One row of the per-direction table."""

    line: Line
    """What it shows."""
    source: Tongue | None
    """Source language; none where the task is no translation."""
    target: Tongue
    """Target language, or the language of the task."""
    about: Tongue | None
    """Language beside the pivot, that family, script and speakers are of."""
    cells: tuple[Cell, ...]
    """After the languages."""

    @property
    def search(self) -> str:
        """What the row is found by: names, autonyms and codes of its languages, and its task."""
        both = [one for one in (self.source, self.target) if one]
        own = [t for one in both for t in (one.name, one.key, one.autonym, one.lang, one.searched)]
        # Whoever types cannot see a control character either.
        text = " ".join(dict.fromkeys([*filter(None, own), self.line.row.task]))
        return str(_UNSEEN.sub(" ", text))


def columns(
    found: Sequence[Line], names: Sequence[str], metric: str, extra: Sequence[Extra] = ()
) -> list[Column]:
    """Return the columns after those of the two languages; ``names`` of candidate and baselines.

    ``extra`` columns stand between the scores and what is said of the language.
    """
    head, order = title(metric), "ascending" if sign(metric) > 0 else "descending"
    columns = [
        Column(f"Δ {head}", f"against {names[1]}", sorted=order),
        Column("Verdict", f"against {names[1]}", "rank"),
        Column("p", "Holm-adjusted"),
        Column("n", "segments" if noun(metric) == "direction" else "questions"),
        Column(names[0], f"{head}, candidate"),
        *(Column(name, f"{head}, baseline") for name in names[1:]),
    ]
    for other in secondary(found, metric):
        parts = _spread(found, other)
        used = " ".join(parts.values()).split()
        tokenizers = {part.removeprefix("tok:") for part in used if part.startswith("tok:")}
        by = f"; tokenizer by language: {', '.join(sorted(tokenizers))}" if tokenizers else ""
        columns.append(Column(title(other), f"candidate, {names[1]}{by}"))
    about = {"Family": "text", "Script": "text", "Speakers": "rank"}
    columns += [one.column for one in extra]
    return [*columns, *(Column(head, kind=kind, style="about") for head, kind in about.items())]


def rows(found: Sequence[Line], metric: str, extra: Sequence[Extra] = ()) -> list[Row]:
    """Return the rows of the per-direction table, worst first as they came.

    ``extra`` are the same as those of ``columns``.
    """
    others = [(name, _spread(found, name)) for name in secondary(found, metric)]
    own = _spread(found, metric)
    made = []
    for line in found:
        row = line.row
        source, target = tongue(row.src_lang), tongue(row.tgt_lang or row.lang)
        about = tongue(language_of(row))
        cells = [
            _delta(row),
            _verdict(row),
            Cell(p_text(row), row.p_adjusted) if row.p_adjusted is not None else _no(row),
            _size(line, own),
            *_levels(line, metric),
            *(_other(line, name, spread) for name, spread in others),
            *(one.cell(line) for one in extra),
            *_about(about),
        ]
        made.append(Row(line, source, target or Tongue(row.task, row.task), about, tuple(cells)))
    return made


def secondary(found: Sequence[Line], metric: str) -> list[str]:
    """Return the other metrics that the candidate or a baseline has scores of.

    One that covers none of the rows, as the rate of truncated outputs of imported systems, is none.
    """
    sides = [side for line in found for side in line.scores]
    scored = {n for side in sides for n, row in side.items() if n and row.status != "not_covered"}
    known = [name for name in ("chrf", "bleu", *metrics.METRICS) if name in scored]
    return [n for n in dict.fromkeys([*known, *sorted(scored)]) if n != metric]


def _spread(found: Sequence[Line], metric: str) -> dict[str, str]:
    """Return the parts in which the signatures of a column differ."""
    return differing(
        side[metric].signature for line in found for side in line.scores if metric in side
    )


def _size(line: Line, spread: Mapping[str, str]) -> Cell:
    """Return the number of segments, and what the headline was computed with where that differs."""
    n = line.row.n
    if n is None:
        n = next((score.n for side in line.scores for score in side.values()), None)
    signature = line.row.signature or ""
    # The names of the references say how many there are.
    parts = spread.get(signature, "").split()
    named = any(part.startswith("refs:") for part in parts)
    short = " ".join(part for part in parts if not (named and part.startswith("nrefs:")))
    linked = ((short, line.row.metric, signature),) if short else ()
    text = "unknown" if n is None else f"{n:,}"
    whole = (f"in {line.row.clusters:,} documents",) if line.row.clusters else ()
    return Cell(text, n, small=whole, signatures=linked, absent=n is None)


def _about(about: Tongue | None) -> tuple[Cell, ...]:
    """Return family, script and speakers of a language."""
    own = about or Tongue("", "")
    said = ((own.family, own.family), (own.script, own.script), (own.band, own.speakers))
    return tuple(
        Cell(text or "unknown", sort, style="about", absent=not text) for text, sort in said
    )


def _levels(line: Line, metric: str) -> list[Cell]:
    """Return the score of each system; a further baseline has its own difference under it."""
    made = []
    for index, side in enumerate(line.scores):
        cell = _values(side, metric)
        other = line.others[index - 2] if index > 1 else None
        if other and other.delta is not None:
            cell = replace(cell, small=(_change(other),))
        made.append(cell)
    return made


def _values(side: Mapping[str | None, Score], metric: str) -> Cell:
    """Return the score of one system as a cell, or why there is none."""
    own = side.get(metric)
    if own and own.value is not None:
        return Cell(number(own.value, metric), own.value)
    why = own or next((score for score in side.values() if score.value is None), None)
    if why:
        return Cell(why.status.replace("_", " "), small=_reason(why.reason), absent=True)
    return Cell("not scored" if side else "not planned", absent=True)


def _reason(reason: str | None) -> tuple[str, ...]:
    return (reason,) if reason else ()


def _no(row: Comparison) -> Cell:
    return Cell(WORDS[row.verdict], absent=True)


def _delta(row: Comparison) -> Cell:
    if row.delta is None:
        return _no(row)
    text = delta_text(row)
    small = interval(row.ci_low, row.ci_high, row.metric)
    return Cell(text, row.delta, row.verdict, _reason(small), style=tint(row))


def _verdict(row: Comparison) -> Cell:
    rank = None if row.delta is None else list(WORDS).index(row.verdict)
    small = _reason(row.reason)
    if row.verdict in ("no_change", "leans_up", "leans_down") and row.detectable_effect:
        small = (f"finds ≥ {size(row.detectable_effect, row.metric)}",)
    style = f"{tint(row)} word".strip()
    return Cell(WORDS[row.verdict], rank, row.verdict, small, style=style)


def _other(line: Line, metric: str, spread: Mapping[str, str]) -> Cell:
    """Return another metric: the candidate's score, under it the baseline's and the change."""
    cell, below = (_values(side, metric) for side in line.scores[:2])
    change = line.compared.get(metric)
    under = below.text if below.absent or not change else f"{below.text} {_change(change)}".rstrip()
    scores = [side[metric] for side in line.scores[:2] if metric in side]
    used = dict.fromkeys(s.signature for s in scores if spread.get(s.signature or ""))
    parts = ((_own(spread[text]), metric, text) for text in used if text)
    return replace(cell, small=(under,), signatures=tuple(part for part in parts if part[0]))


def _change(row: Comparison) -> str:
    if row.delta is None:
        return ""
    return f"{MARKS[row.verdict]} {number(row.delta, row.metric, signed=True)}"


def _own(parts: str) -> str:
    """Return what tells a signature apart but the references, which the direction has."""
    kept = [part for part in parts.split() if not part.startswith(("nrefs:", "refs:"))]
    return " ".join(kept).removeprefix("tok:")
