"""TER: sacrebleu counts the edits, the formula is evaluated for many sums at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.ter import TER

from bayling_eval import languages
from bayling_eval.metrics.base import Floats
from bayling_eval.metrics.translation import _SacrebleuMetric, tokenizer_for

# Without spaces Tercom takes a whole sentence for one word. With both options it cuts between
# ideographs, not between kana (sacrebleu 2.6.0, tokenizers/tokenizer_ter.py, _normalize_asian).
_CJK = {"normalized": True, "asian_support": True}


class Ter(_SacrebleuMetric):
    """Translation edit rate of a corpus (Snover et al. 2006), edits a word in per cent."""

    name = "ter"
    higher_is_better = False
    _known = ("asian_support", "case_sensitive", "no_punct", "normalized")

    def not_covered(self, src_lang: str, tgt_lang: str) -> str | None:
        """Say so where words are not divided by anything that Tercom knows."""
        if tokenizer_for(tgt_lang) != "char":
            return None
        name = languages.get(tgt_lang).name
        return f"TER counts edits of words, and {name} puts no space between them"

    def _scorer(self, tgt_lang: str) -> Any:
        return TER(**{**_defaults(tgt_lang), **self._options})

    def _count(
        self, scorer: Any, outputs: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Floats:
        counts = scorer._extract_corpus_statistics(outputs, references)
        return np.array(counts, dtype=np.float64).reshape(-1, 2)

    def aggregate(self, sums: Floats) -> Floats:
        """Divide the edits by the mean length of the references, for each row of sums.

        Source: sacrebleu 2.6.0 ``TER._compute_score_from_stats``.
        """
        edits, length = sums[..., 0], sums[..., 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(length > 0, edits / length, edits > 0)
        ter: Floats = 100 * rate
        return ter


def _defaults(tgt_lang: str) -> Mapping[str, bool]:
    return _CJK if tokenizer_for(tgt_lang) in ("zh", "ja-mecab") else {}
