"""Accuracies, which are means of what lm-eval says of each sample, and bits per byte."""

import importlib.metadata
import math
from collections.abc import Sequence

import numpy as np

from bayling_eval.errors import UserError, unknown
from bayling_eval.metrics.base import Floats, MetricSpec, Segments, Statistics

# How lm-eval's multiple-choice metrics divide the log-likelihood of a choice before choosing
# (lm_eval/api/task.py, ConfigurableTask.process_results, 0.4.13).
_NORMS = {
    "acc": "none",
    "acc_norm": "char",
    "acc_bytes": "byte",
    "acc_mutual_info": "unconditional",
}


class SampleMean:
    """Mean of a per-sample metric of lm-eval, 0 to 1."""

    higher_is_better = True
    of_texts = False
    together = False
    _known: tuple[str, ...] = ("filter",)

    def __init__(self, spec: MetricSpec) -> None:
        """Set up; ``filter`` names one of the task's filter pipelines.

        Raises:
            UserError: another option.
        """
        for key, _ in spec.options:
            if key not in self._known:
                raise unknown(f"option of {spec.name}", key, self._known)
        self.name = spec.name
        self.filter = dict(spec.options).get("filter", "none")
        # Without a filter named it is of the task's first one, whatever it is called.
        self.left_open = ("filter:",) if self.filter == "none" else ()
        # As the answers' values are named, however the filter was written.
        self._value = spec.name + ("" if self.filter == "none" else f":filter={self.filter}")

    def not_covered(self, src_lang: str, tgt_lang: str) -> str | None:
        """Return none: it is defined for every language."""
        return None

    def signature(self, tgt_lang: str, references: Sequence[str]) -> str:
        """Say what was averaged, and which lm-eval said it."""
        norm = f"|norm:{_NORMS[self.name]}" if self.name in _NORMS else ""
        version = importlib.metadata.version("lm-eval")
        return f"agg:mean|filter:{self.filter}{norm}|version:lm-eval-{version}"

    def statistics(self, segments: Segments) -> Statistics:
        """Columns: value, 1.

        Raises:
            UserError: the task does not give the value, or not for each document.
        """
        given, n = segments.values.get(self._value, ()), len(segments.hypotheses)
        if len(given) != n:
            # Rows are paired by document: without some of them nothing fits together.
            raise UserError(
                f"{self._value}: the task gives a number for {len(given)} of {n} documents: mend "
                "its process_results, or take the metric out of its metric_list"
            )
        values = np.array(given, dtype=np.float64)
        columns = np.column_stack([values, np.ones_like(values)])
        return Statistics(columns, self.signature("", ()))

    def aggregate(self, sums: Floats) -> Floats:
        """Divide the sum of the values by their number."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: Floats = sums[..., 0] / sums[..., 1]
        return mean


class ChanceCorrected(SampleMean):
    """Accuracy above chance: 0 is guessing, 1 is all right, and less than 0 is worse than guessing.

    (acc - 1/k) / (1 - 1/k) of each question with k choices, so that tasks with other numbers of
    choices can be averaged (the form of Cohen's kappa, 1960, with chance known).
    """

    _known = ()

    def __init__(self, spec: MetricSpec) -> None:
        """Set up.

        Raises:
            UserError: there are options.
        """
        super().__init__(spec)
        self._value = "acc"

    def signature(self, tgt_lang: str, references: Sequence[str]) -> str:
        """Say what was corrected, and by what chance."""
        own = super().signature(tgt_lang, references)
        return own.replace("|version:", "|of:acc|chance:1/choices|version:")

    def statistics(self, segments: Segments) -> Statistics:
        """Columns: corrected value, 1.

        Raises:
            UserError: the task gives no ``acc``, or a question has fewer than two choices.
        """
        plain = super().statistics(segments)
        k = np.array(segments.choices, dtype=np.float64)
        if len(k) != len(plain.values) or (k < 2).any():
            raise UserError(
                f"{self.name}: a question has fewer than two choices: chance is not known; mend "
                "the task's doc_to_choice, or take another metric"
            )
        columns = plain.values.copy()
        columns[:, 0] = (columns[:, 0] - 1 / k) / (1 - 1 / k)
        return Statistics(columns, self.signature("", ()))


class BitsPerByte:
    """Bits that a model needs for a byte of the right answer: smooth where accuracy is chance.

    The right answer is the choice that is right, of several the first, or the target of a task of
    log-likelihoods. Its bytes are those of the choice or target as the task gives it, without the
    delimiter put before a choice, as for lm-eval's ``acc_bytes`` (lm_eval/api/task.py 0.4.13,
    ``ConfigurableTask.process_results``); its log-likelihood includes the delimiter's.
    """

    name = "bits_per_byte"
    higher_is_better = False
    of_texts = False
    together = False

    def __init__(self, spec: MetricSpec) -> None:
        """Set up.

        Raises:
            UserError: there are options.
        """
        if spec.options:
            raise UserError(f"metric {spec}: {spec.name} has no options")

    def not_covered(self, src_lang: str, tgt_lang: str) -> str | None:
        """Return none: it is defined for every language."""
        return None

    def signature(self, tgt_lang: str, references: Sequence[str]) -> str:
        """Say what is divided, whose bytes count, and which lm-eval says what is right."""
        version = importlib.metadata.version("lm-eval")
        return f"agg:ratio|gold:first|delimiter:no|version:lm-eval-{version}"

    def statistics(self, segments: Segments) -> Statistics:
        """Columns: bits, bytes.

        Raises:
            UserError: a document has no right answer, or the task asks for no log-likelihoods.
        """
        given, n = [one for one in segments.gold if one is not None], len(segments.hypotheses)
        if len(given) != n:
            raise UserError(
                f"{self.name}: the task has a right answer with a log-likelihood for "
                f"{len(given)} of {n} documents: mend its doc_to_target, or take another metric"
            )
        rows = [(-nats / math.log(2), size) for nats, size in given]
        return Statistics(np.array(rows, dtype=np.float64).reshape(-1, 2), self.signature("", ()))

    def aggregate(self, sums: Floats) -> Floats:
        """Divide the bits of all answers by their bytes."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio: Floats = sums[..., 0] / sums[..., 1]
        return ratio
