"""The metrics, by name; each is imported when it is used."""

from bayling_eval import registry
from bayling_eval.metrics.base import Metric, MetricSpec, Segments, Statistics

__all__ = [
    "DEFAULT",
    "HEADLINE",
    "METRICS",
    "Metric",
    "MetricSpec",
    "Segments",
    "Statistics",
    "make",
]

METRICS = {
    "bleu": "bayling_eval.metrics.translation:Bleu",
    "chrf": "bayling_eval.metrics.translation:Chrf",
    "chrf++": "bayling_eval.metrics.translation:ChrfPlusPlus",
    "empty_rate": "bayling_eval.metrics.health:EmptyRate",
    "length_ratio": "bayling_eval.metrics.health:LengthRatio",
}
DEFAULT = tuple(METRICS)
# FLORES evaluates with chrF++ first (facebookresearch/flores, flores200/README.md), and unlike BLEU
# it means the same for every target language.
HEADLINE = "chrf++"


def make(spec: MetricSpec) -> Metric:
    """Set up a metric with its options.

    Raises:
        UserError: an unknown metric, option or value; the message lists what is known.
    """
    metric: Metric = registry.load("metric", spec.name, METRICS)(spec)
    return metric
