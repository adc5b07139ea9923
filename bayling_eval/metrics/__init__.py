"""The metrics, by name; each is imported when it is used."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bayling_eval import registry
from bayling_eval.metrics.base import Metric, MetricSpec, OfFile, Segments, Statistics, Together

__all__ = [
    "DEFAULT",
    "HEADLINE",
    "METRICS",
    "Metric",
    "MetricSpec",
    "Segments",
    "Statistics",
    "Together",
    "make",
    "make_together",
]

METRICS = {
    "bleu": "bayling_eval.metrics.translation:Bleu",
    "chrf": "bayling_eval.metrics.translation:Chrf",
    "chrf++": "bayling_eval.metrics.translation:ChrfPlusPlus",
    "spbleu-flores101": "bayling_eval.metrics.spm:SpBleu",
    "spbleu-flores200": "bayling_eval.metrics.spm:SpBleu",
    "ter": "bayling_eval.metrics.ter:Ter",
    "empty_rate": "bayling_eval.metrics.health:EmptyRate",
    "truncated_rate": "bayling_eval.metrics.health:TruncatedRate",
    "copy_rate": "bayling_eval.metrics.health:CopyRate",
    "wrong_script_rate": "bayling_eval.metrics.scripts:WrongScriptRate",
    "off_target_rate": "bayling_eval.metrics.langid:OffTargetRate",
    "runaway_rate": "bayling_eval.metrics.health:RunawayRate",
    "preamble_rate": "bayling_eval.metrics.health:PreambleRate",
    "length_ratio": "bayling_eval.metrics.health:LengthRatio",
    "comet22": "bayling_eval.metrics.comet:Comet",
    "cometkiwi22": "bayling_eval.metrics.comet:Comet",
    "xcomet-xl": "bayling_eval.metrics.comet:Comet",
    "comet": "bayling_eval.metrics.comet:Comet",
    "acc": "bayling_eval.metrics.accuracy:SampleMean",
    "acc_norm": "bayling_eval.metrics.accuracy:SampleMean",
    "acc_bytes": "bayling_eval.metrics.accuracy:SampleMean",
    "acc_mutual_info": "bayling_eval.metrics.accuracy:SampleMean",
    "exact_match": "bayling_eval.metrics.accuracy:SampleMean",
    "acc_chance_corrected": "bayling_eval.metrics.accuracy:ChanceCorrected",
    "bits_per_byte": "bayling_eval.metrics.accuracy:BitsPerByte",
}
# Not off_target_rate: it takes 0.2 ms a segment, five times what the other rates take together.
DEFAULT = (
    *("bleu", "chrf", "chrf++", "empty_rate", "truncated_rate", "copy_rate", "wrong_script_rate"),
    *("runaway_rate", "preamble_rate", "length_ratio"),
)
"""Metrics of translations unless others are asked for; other tasks have their own."""
# FLORES evaluates with chrF++ first (facebookresearch/flores, flores200/README.md), and unlike BLEU
# it means the same for every target language.
HEADLINE = "chrf++"
ANY_TASK = {
    "acc_chance_corrected": ("multiple_choice",),
    "bits_per_byte": ("multiple_choice", "loglikelihood"),
}
"""Metrics that tasks of these output types have whether or not they name them."""
_USERS = "bayling_eval.metrics.user:UserMetric"


def parse(texts: Iterable[str]) -> dict[str, Metric]:
    """Set up metrics as written (``bleu:tokenize=char``), each once, by what was written.

    Raises:
        UserError: an unknown metric, option or value.
    """
    return {str(spec): make(spec) for spec in map(MetricSpec.parse, texts)}


def fits(metric: Metric, tgt_lang: str | None, signature: str | None) -> bool:
    """Return whether a stored signature is what a metric computes, by whatever version of it."""
    if signature is None or metric.of_texts != (tgt_lang is not None):
        return False
    refs = signature.partition("|refs:")[2]
    count = next((p[6:] for p in signature.split("|") if p.startswith("nrefs:")), "1")
    names = refs.split(",") if refs else ["ref"] * int(count)
    left_out = ("version:", *getattr(metric, "left_open", ()))
    own = metric.signature(tgt_lang or "", names)
    return _without(own, left_out) == _without(signature, left_out)


def _without(signature: str, left_out: tuple[str, ...]) -> list[str]:
    return [part for part in signature.split("|") if not part.startswith(left_out)]


def make(spec: MetricSpec) -> Metric:
    """Set up a metric with its options; with ``strip=`` it judges texts without what that takes.

    Raises:
        UserError: an unknown metric, option or value; the message lists what is known.
    """
    bare = replace(spec, options=tuple(o for o in spec.options if o[0] != "strip"))
    table = {spec.name: _USERS} if spec.file else METRICS
    hint = f"Known: {', '.join(sorted(METRICS))}"
    metric: Metric = registry.load("metric", spec.name, table, hint)(bare)
    if bare == spec:
        return metric
    from bayling_eval.metrics.postprocess import stripped

    return stripped(metric, spec)


def ready(spec: MetricSpec) -> Path | None:
    """Load the file that a metric needs from outside the package; none where it needs none.

    Raises:
        UserError: the file is missing, or not what it should be.
    """
    metric = make(spec)
    return metric.ready() if isinstance(metric, OfFile) else None


def pinned(spec: MetricSpec) -> MetricSpec:
    """Return a metric as it is stored: with the digest of the model that it counts with.

    Raises:
        UserError: the model is missing, or not what it should be.
    """
    metric = make(spec)
    return metric.pinned() if isinstance(metric, OfFile) else spec


def stands(spec: MetricSpec, signature: str) -> bool:
    """Return whether stored statistics are what a metric would count now; no user's code runs.

    Raises:
        UserError: the file of a user's own metric is gone.
    """
    metric = make(spec)
    return metric.stands(signature) if isinstance(metric, OfFile) else True


def make_together(spec: MetricSpec) -> Together:
    """Set up a metric that has an engine of its own.

    Raises:
        UserError: an unknown metric, option or value, or its engine is not installed.
    """
    metric: Any = make(spec)
    together: Together = metric
    return together
