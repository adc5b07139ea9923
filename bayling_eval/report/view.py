"""What the page says, as plain values; the template only prints."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bayling_eval import languages, metrics
from bayling_eval.aggregate import Line, differing
from bayling_eval.compare import MARKS
from bayling_eval.errors import UserError
from bayling_eval.records import Comparison, Score, Verdict

WORDS: Mapping[Verdict, str] = {
    "regressed": "regressed",
    "leans_down": "leans down",
    "below_minimum_effect": "real but small",
    "no_change": "no change detected",
    "leans_up": "leans up",
    "improved": "improved",
    "incomparable": "not comparable",
    "missing": "missing",
}
_TITLES = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "chrf++": "chrF++",
    "empty_rate": "Empty outputs",
    "truncated_rate": "Truncated outputs",
    "copy_rate": "Copies of the source",
    "wrong_script_rate": "Wrong script",
    "off_target_rate": "Wrong language",
    "runaway_rate": "Runaway outputs",
    "preamble_rate": "Preambles",
    "length_ratio": "Length ratio",
    "acc": "Accuracy",
    "acc_norm": "Accuracy, by characters",
    "acc_bytes": "Accuracy, by bytes",
}
_PERCENT = frozenset(
    {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"}
    | {name for name in _TITLES if name.endswith("_rate")}
)
PIVOTS = {"eng_Latn": "English", "zho_Hans": "Chinese (Simplified)"}
# Tints deepen at these multiples of the metric's minimum effect.
_DEEPER = (3, 8)


@dataclass(frozen=True)
class Tongue:
    """A language as it is shown."""

    key: str
    """Our key."""
    name: str
    """English name."""
    autonym: str = ""
    """Its own name."""
    lang: str = ""
    """HTML ``lang``; empty is HTML for unknown."""
    direction: str = "auto"
    """HTML ``dir`` of the autonym."""
    family: str | None = None
    """Language family."""
    script: str | None = None
    """ISO 15924."""


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


@dataclass(frozen=True)
class Row:
    """One row of the per-direction table."""

    line: Line
    """What it shows."""
    source: Tongue | None
    """Source language; none where the task is no translation."""
    target: Tongue
    """Target language, or the language of the task."""
    cells: tuple[Cell, ...]
    """After the languages."""


def title(metric: str) -> str:
    """Return how a metric is written."""
    return _TITLES.get(metric, metric)


def sign(metric: str) -> int:
    """Return 1 where a higher score is better, else -1."""
    return -1 if metrics.make(metrics.MetricSpec(metric)).higher_is_better is False else 1


def better(metric: str) -> str:
    """Return whether ``higher`` or ``lower`` is better; empty where neither is."""
    found = metrics.make(metrics.MetricSpec(metric)).higher_is_better
    return "" if found is None else "higher" if found else "lower"


def noun(metric: str) -> str:
    """Return what a row under a metric is: a ``direction``, or any other ``task``."""
    return "direction" if metrics.make(metrics.MetricSpec(metric)).of_texts else "task"


def effect(metric: str, size: float) -> str:
    """Return the smallest difference that is called regressed or improved: ``0.5 chrF++``."""
    return f"{100 * size:g} pp" if metric in _PERCENT else f"{size:g} {title(metric)}"


def number(value: float | None, metric: str, *, signed: bool = False) -> str:
    """Return a score or a difference; ``–`` where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    unit = ""
    if metric in _PERCENT:
        value, unit = 100 * value, " pp" if signed else " %"
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    if float(text) == 0:
        text = "0.00"
    return text.replace("-", "\N{MINUS SIGN}") + unit


def interval(low: float | None, high: float | None, metric: str) -> str:
    """Return the interval of a difference; empty where there is none."""
    if low is None or high is None:
        return ""
    ends = [number(end, metric, signed=True).removesuffix(" pp") for end in (low, high)]
    return f"[{', '.join(ends)}]{' pp' if metric in _PERCENT else ''}"


def p_text(row: Comparison) -> str:
    """Return the adjusted p-value; where no trial reached the difference it is only a bound."""
    if row.p_adjusted is None or row.p_value is None:
        return "–"
    text = f"{row.p_adjusted:.2f}" if row.p_adjusted >= 0.1 else f"{row.p_adjusted:.2g}"
    return f"≤ {text}" if row.p_is_bound else text


def tongue(key: str | None) -> Tongue | None:
    """Return a language by its key; one that the table does not have is shown by its key."""
    if key is None:
        return None
    try:
        found = languages.get(key)
    except UserError:
        return Tongue(key, key)
    return Tongue(
        key, found.name, found.autonym, found.bcp47, found.direction, found.family, found.script
    )


def name_of(row: Comparison) -> str:
    """Return a direction in English: ``English → Czech``."""
    source, target = tongue(row.src_lang), tongue(row.tgt_lang or row.lang)
    if source and target:
        return f"{source.name} → {target.name}"
    return f"{row.family}, {target.name}" if target else row.task


def columns(found: Sequence[Line], names: Sequence[str], metric: str) -> list[Column]:
    """Return the columns after those of the two languages; ``names`` of candidate and baselines."""
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
    return [*columns, Column("Family", kind="text"), Column("Script", kind="text")]


def rows(found: Sequence[Line], metric: str) -> list[Row]:
    """Return the rows of the per-direction table, worst first as they came."""
    others = [(name, _spread(found, name)) for name in secondary(found, metric)]
    own = _spread(found, metric)
    made = []
    for line in found:
        row = line.row
        source, target = tongue(row.src_lang), tongue(row.tgt_lang or row.lang)
        cells = [
            _delta(row),
            _verdict(row),
            Cell(p_text(row), row.p_adjusted) if row.p_adjusted is not None else _no(row),
            _size(line, own),
            *_levels(line, metric),
            *(_other(line, name, spread) for name, spread in others),
            *_about(row, source, target),
        ]
        made.append(Row(line, source, target or Tongue(row.task, row.task), tuple(cells)))
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


def _about(row: Comparison, source: Tongue | None, target: Tongue | None) -> tuple[Cell, Cell]:
    """Return family and script of the language that is not the pivot of the direction."""
    about = source if row.tgt_lang in PIVOTS and row.src_lang != "eng_Latn" else target
    family, script = (about.family, about.script) if about else (None, None)
    return (
        Cell(family or "unknown", family, style="about", absent=not family),
        Cell(script or "unknown", script, style="about", absent=not script),
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
    text = number(row.delta, row.metric, signed=True)
    small = interval(row.ci_low, row.ci_high, row.metric)
    return Cell(text, row.delta, row.verdict, _reason(small), style=_tint(row))


def _verdict(row: Comparison) -> Cell:
    rank = None if row.delta is None else list(WORDS).index(row.verdict)
    small = _reason(row.reason)
    if row.verdict in ("no_change", "leans_up", "leans_down") and row.detectable_effect:
        small = (f"finds ≥ {number(row.detectable_effect, row.metric)}",)
    style = f"{_tint(row)} word".strip()
    return Cell(WORDS[row.verdict], rank, row.verdict, small, style=style)


def _tint(row: Comparison) -> str:
    if row.verdict not in ("regressed", "improved") or row.delta is None:
        return ""
    size = abs(row.delta) / (row.minimum_effect or math.inf)
    depth = 1 + sum(size >= limit for limit in _DEEPER)
    return f"{'down' if row.verdict == 'regressed' else 'up'}{depth}"


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
