"""What the page says, as plain values; the template only prints."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bayling_eval import languages, metrics
from bayling_eval.digits import decided, p_decided
from bayling_eval.errors import UserError
from bayling_eval.macro import band
from bayling_eval.records import Comparison, Verdict

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
    "ter": "TER",
    "spbleu-flores101": "spBLEU (Flores-101)",
    "spbleu-flores200": "spBLEU (FLORES-200)",
    "comet22": "COMET-22",
    "cometkiwi22": "CometKiwi-22",
    "xcomet-xl": "XCOMET-XL",
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
    "acc_chance_corrected": "Accuracy above chance",
    "bits_per_byte": "Bits per byte",
}
_PERCENT = frozenset(
    {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "acc_chance_corrected"}
    | {name for name in _TITLES if name.endswith("_rate")}
)
PIVOTS = {"eng_Latn": "English", "zho_Hans": "Chinese (Simplified)"}
# Tints deepen at these multiples of the metric's minimum effect.
_DEEPER = (3, 8)


class _Task(Protocol):
    """What a name is made of: a comparison, a score, or a curve of one task."""

    @property
    def task(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def src_lang(self) -> str | None: ...
    @property
    def tgt_lang(self) -> str | None: ...
    @property
    def lang(self) -> str | None: ...


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
    speakers: int | None = None
    """Speakers of the language."""
    searched: str = ""
    """What it is also found by."""

    @property
    def band(self) -> str | None:
        """Band of its number of speakers."""
        return None if self.speakers is None else band(self.speakers)


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


def number(
    value: float | None, metric: str, *, signed: bool = False, limits: Sequence[float] = ()
) -> str:
    """Return a score or a difference; ``–`` where there is none.

    Near one of the ``limits`` it has as many digits as say on which side it is; a difference always
    says on which side of 0.
    """
    if value is None or not math.isfinite(value):
        return "–"
    scale, unit = 1, ""
    if metric in _PERCENT:
        scale, unit = 100, " pp" if signed else " %"
    limits = [scale * limit for limit in (*limits, *([0.0] if signed else []))]
    text = decided(scale * value, 2, *limits, plus=signed)
    return text.replace("-", "\N{MINUS SIGN}") + unit


def size(value: float, metric: str) -> str:
    """Return the size of a difference, in points where it is one of shares."""
    return number(abs(value), metric, signed=True).removeprefix("+")


def minus(text: str) -> str:
    """Return a sentence whose negative numbers have a minus sign."""
    return re.sub(r"(?<![\w-])-(?=\d)", "\N{MINUS SIGN}", text)


def delta_text(row: Comparison) -> str:
    """Return a difference; at its minimum effect with the digits that say whether it is under."""
    effect = row.minimum_effect or 0.0
    return number(row.delta, row.metric, signed=True, limits=(-effect, effect))


def interval(low: float | None, high: float | None, metric: str) -> str:
    """Return the interval of a difference; empty where there is none."""
    if low is None or high is None:
        return ""
    ends = (number(end, metric, signed=True) for end in (low, high))
    text = ", ".join(end.removesuffix(" pp") for end in ends)
    return f"[{text}]{' pp' if metric in _PERCENT else ''}"


def p_text(row: Comparison) -> str:
    """Return the adjusted p-value; where no trial reached the difference it is only a bound."""
    if not row.p_adjusted or row.p_value is None:
        return "–"
    return f"{'≤ ' if row.p_is_bound else ''}{p_decided(row.p_adjusted)}"


def tongue(key: str | None) -> Tongue | None:
    """Return a language by its key; one that the table does not have is shown by its key."""
    if key is None:
        return None
    try:
        found = languages.get(key)
    except UserError:
        return Tongue(key, key)
    shown = (found.name, found.autonym, found.bcp47, found.direction)
    return Tongue(key, *shown, found.family or None, found.script, found.speakers, found.name_zh)


def name_of(row: _Task) -> str:
    """Return a direction in English: ``English → Czech``."""
    source, target = tongue(row.src_lang), tongue(row.tgt_lang or row.lang)
    if source and target:
        return f"{source.name} → {target.name}"
    return f"{row.family}, {target.name}" if target else row.task


def tint(row: Comparison) -> str:
    """Return the class of a confirmed difference by its size; empty for any other."""
    if row.verdict not in ("regressed", "improved") or row.delta is None:
        return ""
    size = abs(row.delta) / (row.minimum_effect or math.inf)
    depth = 1 + sum(size >= limit for limit in _DEEPER)
    return f"{'down' if row.verdict == 'regressed' else 'up'}{depth}"
