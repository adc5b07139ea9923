"""Numbers, rows and hostile texts in words, the same on the terminal, in XML and in Markdown."""

import math
from collections.abc import Iterable, Sequence

from bayling_eval.gate.outcomes import Sample
from bayling_eval.graphemes import cut
from bayling_eval.method import minimum_effect
from bayling_eval.records import Comparison

SHOWN = 300
"""Characters of a text that are shown."""
_ACCURACIES = frozenset({"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"})
# Both are spelling in many scripts, though nothing to see.
_JOINERS = "\u200c\u200d"


def visible(text: object, limit: int = SHOWN) -> str:
    """Return a text as one harmless line: what cannot be seen is spelt out, the rest is cut.

    Control characters, line ends, bidirectional controls and lone surrogates are written as Python
    writes them; a text is cut between grapheme clusters.
    """
    whole = str(text)
    shown = cut(whole, limit)
    line = "".join(c if c.isprintable() or c in _JOINERS else repr(c)[1:-1] for c in shown)
    more = len(whole) - len(shown)
    return f"{line} … {more:,} more characters" if more else line


def name(row: Comparison, families: int) -> str:
    """Return what a row is called among ``families`` families: its direction, or its task."""
    if not (row.src_lang and row.tgt_lang):
        return visible(row.task)
    direction = f"{row.src_lang}-{row.tgt_lang}"
    return visible(direction if families == 1 else f"{row.family} {direction}")


def finite(*numbers: float | None) -> bool:
    """Return whether all numbers are there, and are numbers."""
    return all(number is not None and math.isfinite(number) for number in numbers)


def number(value: float | None) -> float | None:
    """Return a number for JSON, which has no NaN."""
    return value if value is not None and math.isfinite(value) else None


def score(metric: str, value: float | None) -> str:
    """Return a score: shares in percent, what goes from 0 to 100 with one digit."""
    if value is None or not math.isfinite(value):
        return "none"
    if _share(metric):
        return f"{100 * value:.1f} %"
    return f"{value:.1f}" if minimum_effect(metric) >= 0.1 else f"{value:.3f}"


def change(metric: str, value: float | None) -> str:
    """Return a difference with its sign; those of shares are in points."""
    if value is None or not math.isfinite(value):
        return "none"
    return f"{_signed(metric, value)} points" if _share(metric) else _signed(metric, value)


def size(metric: str, value: float) -> str:
    """Return the size of a difference, without a sign."""
    return change(metric, abs(value)).removeprefix("+")


def interval(metric: str, low: float | None, high: float | None) -> str:
    """Return an interval of differences."""
    if not finite(low, high):
        return "[none]"
    return f"[{_signed(metric, low or 0.0)}, {_signed(metric, high or 0.0)}]"


def scores(metric: str, low: float | None, high: float | None) -> str:
    """Return an interval of scores."""
    return f"[{score(metric, low)}, {score(metric, high)}]"


def measured(row: Comparison) -> str:
    """Return the scores of both sides, and their difference."""
    sides = f"{score(row.metric, row.baseline_value)} -> {score(row.metric, row.candidate_value)}"
    return f"{row.metric} {sides}, {change(row.metric, row.delta)}"


def tested(row: Comparison, tests: int) -> str:
    """Return the verdict of a row, and how sure it is."""
    bound = "<=" if row.p_is_bound else "="
    sure = f" (p {bound} {row.p_adjusted:.2g} after Holm over {tests})" if row.p_adjusted else ""
    return f"{row.verdict}{sure}"


def listed(names: Sequence[str], limit: int) -> str:
    """Return some names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def sample_lines(sample: Sample) -> list[tuple[str, str]]:
    """Return what a sample shows, each text cut and made harmless, with what it is."""
    texts = {
        "source": sample.source,
        "reference": sample.reference,
        "candidate": sample.candidate,
        "baseline": sample.baseline,
    }
    return [
        (what, visible(text) if text.strip() else "(empty)")
        for what, text in texts.items()
        if text is not None
    ]


def known(what: Iterable[str], limit: int = 12) -> str:
    """Return what there is, sorted, for a message."""
    return listed(sorted(what), limit) or "none"


def _share(metric: str) -> bool:
    return metric in _ACCURACIES or metric.endswith("_rate")


def _signed(metric: str, value: float) -> str:
    if _share(metric):
        return f"{100 * value:+.1f}"
    return f"{value:+.2f}" if minimum_effect(metric) >= 0.1 else f"{value:+.4f}"
