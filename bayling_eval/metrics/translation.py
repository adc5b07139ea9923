"""BLEU, chrF and chrF++: sacrebleu's counts and scores, to the last integer and the last bit.

What it counts a segment is counted in :mod:`bayling_eval.metrics.counts`. Its formulas take one sum
at a time; a paired test needs 20,000, so here they take many.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from bayling_eval import languages
from bayling_eval.errors import UserError, unknown
from bayling_eval.metrics import counts
from bayling_eval.metrics.base import (
    Floats,
    MetricSpec,
    Segments,
    Statistics,
    named_references,
)

# Tokenizers that need no download. Those with SentencePiece models fetch them unchecked on first
# use, and wait for ever without a network.
TOKENIZERS = ("13a", "char", "intl", "ja-mecab", "ko-mecab", "none", "zh")
# 13a takes a whole unspaced sentence for one word: a Thai sentence scores 0 against itself.
_UNSPACED = frozenset({"Khmr", "Laoo", "Mymr", "Thai", "Tibt"})
_YES_NO = {"yes": True, "no": False}


def tokenizer_for(lang: str) -> str:
    """Return the BLEU tokenizer of a target language, which its script decides."""
    script = languages.get(lang).script
    by_script = {"Hans": "zh", "Hant": "zh", "Jpan": "ja-mecab", "Hang": "ko-mecab"}
    return by_script.get(script) or ("char" if script in _UNSPACED else "13a")


class _SacrebleuMetric:
    """What BLEU and chrF share: options, and counts from sacrebleu."""

    name: str
    higher_is_better: bool | None = True
    of_texts = True
    together = False
    _known: tuple[str, ...]

    def __init__(self, spec: MetricSpec) -> None:
        self._options: dict[str, Any] = {}
        for key, value in spec.options:
            if key not in self._known:
                raise unknown(f"option of {spec.name}", key, self._known)
            self._options[key] = self._value(spec, key, value)

    def _value(self, spec: MetricSpec, key: str, value: str) -> Any:
        if value not in _YES_NO:
            raise UserError(f"metric {spec}: {key} is yes or no, not {value!r}")
        return _YES_NO[value]

    def _scorer(self, tgt_lang: str) -> Any:
        """Return sacrebleu's metric for a target language; the same object each time."""
        raise NotImplementedError

    def _count(
        self, scorer: Any, outputs: counts.Texts, references: Sequence[counts.Texts]
    ) -> Floats:
        """Return what ``_extract_corpus_statistics`` of the scorer does."""
        raise NotImplementedError

    def not_covered(self, src_lang: str, tgt_lang: str) -> str | None:
        """Return none: it is defined for every language."""
        return None

    def signature(self, tgt_lang: str, references: Sequence[str]) -> str:
        """Return sacrebleu's signature, with the names of references added."""
        scorer = self._scorer(tgt_lang)
        # sacrebleu learns the number while it reads the references.
        scorer.num_refs = len(references)
        return f"{scorer.get_signature()}{named_references(references)}"

    def statistics(self, segments: Segments) -> Statistics:
        """Count as sacrebleu does; the columns are those that ``aggregate`` names."""
        references = [tuple(lines) for lines in segments.references.values()]
        scorer = self._scorer(segments.tgt_lang)
        values = self._count(scorer, tuple(segments.hypotheses), references)
        signature = self.signature(segments.tgt_lang, list(segments.references))
        return Statistics(values, signature)


class Bleu(_SacrebleuMetric):
    """Corpus BLEU (Papineni et al. 2002) with sacrebleu's exponential smoothing, 0 to 100."""

    name = "bleu"
    _known = ("lowercase", "tokenize")

    def _value(self, spec: MetricSpec, key: str, value: str) -> Any:
        if key != "tokenize":
            return super()._value(spec, key, value)
        if value not in TOKENIZERS:
            raise unknown("tokenizer of bleu", value, TOKENIZERS)
        return value

    def _scorer(self, tgt_lang: str) -> Any:
        return _bleu(
            self._options.get("tokenize") or tokenizer_for(tgt_lang),
            self._options.get("lowercase", False),
        )

    def _count(
        self, scorer: Any, outputs: counts.Texts, references: Sequence[counts.Texts]
    ) -> Floats:
        return counts.bleu(scorer, outputs, references)

    def aggregate(self, sums: Floats) -> Floats:
        """Evaluate BLEU for each row of sums: lengths of output and reference, matches, n-grams.

        Source: sacrebleu 2.6.0 ``BLEU.compute_bleu``, smooth_method ``exp``, effective_order off.
        """
        # Its lengths are integers, whatever the precision of the sums.
        length, reference = sums[..., 0].astype(np.float64), sums[..., 1].astype(np.float64)
        correct, total = sums[..., 2:6], sums[..., 6:10]
        with np.errstate(divide="ignore", invalid="ignore"):
            # The k-th order without a match counts as 1 / 2^k of a match.
            zeros = np.cumsum(correct == 0, axis=-1)
            precisions = np.where(correct == 0, 100 / np.ldexp(total, zeros), 100 * correct / total)
            penalty = np.where(length < reference, 1 - reference / length, 0.0)
        defined = (length > 0) & (correct.sum(axis=-1) > 0) & (total > 0).all(axis=-1)
        bleu = np.zeros(sums.shape[:-1])
        # Not numpy's logarithm and sum: their last bits differ, and from one machine to another.
        logs = map(math.log, precisions[defined].ravel().tolist())
        means = np.array(list(map(sum, zip(logs, logs, logs, logs, strict=True)))) / 4
        bleu[defined] = _exp(penalty[defined]) * _exp(means)
        return bleu

    def nearly(self, sums: Floats) -> Floats:
        """Evaluate BLEU with numpy's logarithm: the last bits may differ.

        Not a number where an order has no match. 40,000 sums take 0.5 ms, and 36 ms otherwise.
        """
        logs = np.zeros(sums.shape[:-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            for order in range(4):
                logs += np.log(sums[..., 2 + order] / sums[..., 6 + order]) / 4
            penalty = np.minimum(0, 1 - sums[..., 1] / sums[..., 0])
            found: Floats = np.where(np.isfinite(logs), 100 * np.exp(logs + penalty), np.nan)
        return found


def _exp(values: Floats) -> Floats:
    return np.array(list(map(math.exp, values.ravel().tolist())))


@functools.cache
def _bleu(tokenize: str, lowercase: bool) -> BLEU:
    """Return one scorer a definition: some load a dictionary, and counts are kept by scorer."""
    return BLEU(force=True, tokenize=tokenize, lowercase=lowercase)


class Chrf(_SacrebleuMetric):
    """Corpus chrF (Popović 2015), character n-grams of orders 1 to 6, beta 2, 0 to 100."""

    name = "chrf"
    _known = ("lowercase", "whitespace")
    _word_order = 0

    def _scorer(self, tgt_lang: str) -> Any:
        return CHRF(word_order=self._word_order, **self._options)

    def _count(
        self, scorer: Any, outputs: counts.Texts, references: Sequence[counts.Texts]
    ) -> Floats:
        return counts.chrf(scorer, outputs, references)

    def aggregate(self, sums: Floats) -> Floats:
        """Evaluate chrF for each row of sums; the columns are those of ``counts.chrf_score``."""
        return counts.chrf_score(sums)


class ChrfPlusPlus(Chrf):
    """Corpus chrF++ (Popović 2017): chrF with word n-grams of orders 1 and 2, 0 to 100."""

    name = "chrf++"
    _word_order = 2
