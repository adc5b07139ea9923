"""What sacrebleu counts a segment, for a whole direction at once: BLEU, chrF and chrF++.

sacrebleu tokenises, :mod:`bayling_eval.metrics.ngrams` counts. The few segments that do not fit
there are counted by sacrebleu, against which tests hold all the others.
"""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_char import TokenizerChar

from bayling_eval.metrics import ngrams
from bayling_eval.metrics.base import Floats
from bayling_eval.metrics.ngrams import Index, Ints, Symbols

Texts = tuple[str, ...]
Reading = Callable[[str], Symbols]
"""How a line becomes characters or words; equal ones give the same."""

# References are prepared once for all systems and metrics that follow each other. What is kept is
# bounded: eight sets of at most so many characters (FLORES-200 has 150,000, WMT22 300,000).
_SETS = 8
_OUTPUTS = 4  # chrF++ counts the same characters as chrF, of up to four references
_CHARACTERS = 1_000_000
_WORDS = 1 << 16  # as many as sacrebleu keeps lines
# What 13a takes apart or unescapes: ASCII punctuation but the apostrophe. Other words stay whole.
_APART = re.compile(r"[!-&(-/:-@\[-`{-~]").search


@dataclass(frozen=True)
class Characters:
    """The characters that chrF counts."""

    lowercase: bool
    whitespace: bool

    def __call__(self, line: str) -> str:
        """Return the characters of a line (sacrebleu 2.6.0 ``extract_all_char_ngrams``)."""
        line = line.lower() if self.lowercase else line
        return line if self.whitespace else "".join(line.split())


@dataclass(frozen=True)
class Words:
    """The words that chrF++ counts."""

    lowercase: bool

    def __call__(self, line: str) -> list[str]:
        """Return the words of a line, punctuation at their ends apart."""
        line = line.lower() if self.lowercase else line
        return list(chain.from_iterable(map(_parted, line.split())))


@dataclass(frozen=True)
class Tokens:
    """The words that BLEU counts."""

    scorer: Any
    """sacrebleu's metric, which is equal to itself alone."""

    def __call__(self, line: str) -> Symbols:
        """Return the tokens of a line."""
        tokenizer = type(self.scorer.tokenizer)
        # 13a looks no further than a space on either side of a character, so it may take word for
        # word; it joins words only over a line feed.
        if tokenizer is Tokenizer13a and "\n" not in line:
            line = line.lower() if self.scorer.lowercase else line
            return list(chain.from_iterable(map(_tokens_13a, line.split())))
        if tokenizer is TokenizerChar:
            return Characters(self.scorer.lowercase, whitespace=False)(line)
        tokens: list[str] = self.scorer._preprocess_segment(line).split()
        return tokens


def bleu(scorer: Any, outputs: Texts, references: Sequence[Texts]) -> Floats:
    """Return what ``BLEU._extract_corpus_statistics`` does, shape (segments, 2 + 2 orders)."""
    reading, order = Tokens(scorer), scorer.max_ngram_order
    found = _prepared(reading, tuple(references), order)
    lengths, matches = _matched(reading, outputs, found)
    closest = _closest(lengths, found.lengths)
    totals = ngrams.totals(lengths, order)
    counts = np.column_stack([lengths, closest, matches, totals]).astype(np.float64)
    return _mended(counts, found.fits, scorer, outputs, references)


def chrf(scorer: Any, outputs: Texts, references: Sequence[Texts]) -> Floats:
    """Return what ``CHRF._extract_corpus_statistics`` does, shape (segments, 3 orders)."""
    readings: list[tuple[Reading, int]] = [
        (Characters(scorer.lowercase, scorer.whitespace), scorer.char_order)
    ]
    if scorer.word_order:
        readings.append((Words(scorer.lowercase), scorer.word_order))
    found, fits = [], np.ones(len(outputs), dtype=np.bool_)
    for lines in references:
        parts = []
        for reading, order in readings:
            prepared = _prepared(reading, (lines,), order)
            parts.append(_triples(*_matched(reading, outputs, prepared), prepared))
            fits &= prepared.fits
        found.append(np.concatenate(parts, axis=1).astype(np.float64))
    # The first of those references that score best.
    stacked = np.stack(found).reshape(len(found), len(outputs), 3 * scorer.order)
    best = chrf_score(stacked).argmax(axis=0)
    counts = stacked[best, np.arange(len(outputs))]
    return _mended(counts, fits, scorer, outputs, references)


def chrf_score(sums: Floats) -> Floats:
    """Return chrF of sums of shape (..., 3 orders), to sacrebleu's last bit.

    Columns: for each order n-grams of the output, n-grams of the reference, matches. F of the mean
    precision and the mean recall, over the orders that both have.
    Source: sacrebleu 2.6.0 ``CHRF._compute_f_score``, beta 2; additions are in its order.
    """
    orders = sums.reshape(*sums.shape[:-1], sums.shape[-1] // 3, 3)
    precision = recall = count = np.zeros(sums.shape[:-1], dtype=sums.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        for order in range(orders.shape[-2]):
            output, reference, match = (orders[..., order, column] for column in range(3))
            effective = (output > 0) & (reference > 0)
            precision = precision + np.where(effective, match / output, 0.0)
            recall = recall + np.where(effective, match / reference, 0.0)
            count = count + effective
        precision, recall = precision / np.maximum(count, 1), recall / np.maximum(count, 1)
        score = 100 * (5 * precision * recall / (4 * precision + recall))
    chrf: Floats = np.where(precision + recall > 0, score, 0.0)
    return chrf


def _triples(lengths: Ints, matches: Ints, found: Index) -> Ints:
    """Return n-grams of output and reference, and matches; shape (segments, order, 3)."""
    references = ngrams.totals(found.lengths[0], found.order)
    # sacrebleu counts none of the output where the reference has none.
    outputs = np.where(references > 0, ngrams.totals(lengths, found.order), 0)
    return np.stack([outputs, references, matches], axis=-1)


def _closest(lengths: Ints, references: Ints) -> Ints:
    """Return the reference length closest to each output's; of two the smaller one."""
    best: Ints = references[0]
    for other in references[1:]:
        further = np.abs(lengths - best) - np.abs(lengths - other)
        best = np.where((further > 0) | ((further == 0) & (other < best)), other, best)
    return best


def _mended(
    counts: Floats, fits: Any, scorer: Any, outputs: Texts, references: Sequence[Texts]
) -> Floats:
    """Let sacrebleu count the segments that do not fit."""
    for row in np.flatnonzero(~fits):
        one = slice(row, row + 1)
        found = scorer._extract_corpus_statistics(
            outputs[one], [lines[one] for lines in references]
        )
        counts[row] = found[0]
    return counts


def _prepared(reading: Reading, references: tuple[Texts, ...], order: int) -> Index:
    size = sum(len(line) for lines in references for line in lines)
    prepare = _kept if size <= _CHARACTERS else _kept.__wrapped__
    return prepare(reading, references, order)


@functools.lru_cache(maxsize=_SETS)
def _kept(reading: Reading, references: tuple[Texts, ...], order: int) -> Index:
    return ngrams.index([list(map(reading, lines)) for lines in references], order)


@functools.lru_cache(maxsize=_OUTPUTS)
def _matched(reading: Reading, outputs: Texts, found: Index) -> tuple[Ints, Ints]:
    """Return the lengths of the outputs and their matches."""
    texts = list(map(reading, outputs))
    return np.array(list(map(len, texts)), dtype=np.int64), ngrams.matches(found, texts)


@functools.lru_cache(maxsize=_WORDS)
def _tokens_13a(word: str) -> tuple[str, ...]:
    if not _APART(word):
        return (word,)
    return tuple(Tokenizer13a.__call__.__wrapped__(_13A, word).split())


@functools.lru_cache(maxsize=_WORDS)
def _parted(word: str) -> tuple[str, ...]:
    return tuple(_CHRF._remove_punctuation(word))


_13A: Any = Tokenizer13a()  # type: ignore[no-untyped-call]
_CHRF = CHRF()
