"""What is odd about single outputs, as the rates of health and a look at the characters say."""

import functools
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import regex

from bayling_eval import languages, metrics
from bayling_eval.hooks import clean
from bayling_eval.metrics import MetricSpec, Segments
from bayling_eval.tables import Floats, Sample

RATES = {
    "empty_rate": "empty",
    "off_target_rate": "wrong language",
    "wrong_script_rate": "wrong script",
    "copy_rate": "copy of source",
    "runaway_rate": "runs on",
    "preamble_rate": "preamble",
    "truncated_rate": "truncated",
}
"""Rates that judge outputs one by one, and what is said of one that has the fault."""
SHORT, LONG, LENGTH = 0.5, 2.0, 20
"""Characters over those of the reference that are odd, of references with so many or more.

On WMT22's five pairs at most 0.5 % of the outputs of GPT-4 and Google Translate are outside, of
some weak systems a fifth.
"""
MEANINGS = {
    "empty": "nothing but white space",
    "wrong language": "a language identifier takes it for another language",
    "wrong script": "over two thirds of its letters are of scripts of other languages",
    "copy of source": "it is its source, or nearly",
    "runs on": "it ends in a loop, or mostly says again what it said",
    "preamble": "it announces the translation",
    "truncated": "it ended at the limit of tokens",
    "length": f"under {SHORT:g} or over {LONG:g} times the characters of its reference",
    "not NFC": "its characters are composed in another way than Unicode’s NFC, its reference’s not",
    "bidi control": "it has characters that turn the direction of writing",
    "markup": "it has tags, entities, code fences or a model’s special tokens that its source "
    "and reference have not",
    "look-alike characters": "some words differ from the reference’s in characters that look the "
    "same, in invisible ones, in width or in case only",
}
"""What each flag says."""

_BIDI = regex.compile(r"\p{Bidi_Control}")
_MARKUP = regex.compile(
    r"</?[a-z][a-z0-9]*(?:\s[^<>]{0,200})?/?>|&(?:[a-z]{2,8}|\#[0-9]{1,6});|```|\*\*\S"
    r"|<\|[^|<>]{1,40}\|>|\[/?INST\]|^\#{1,6}\s",
    regex.IGNORECASE | regex.MULTILINE,
)


@dataclass(frozen=True)
class Outputs:
    """Some outputs of one system in one direction, with what is known of them."""

    src_lang: str
    """Key of the source language."""
    tgt_lang: str
    """Key of the target language."""
    samples: Sequence[Sample]
    """The outputs with their texts."""
    judged: Mapping[str, Floats]
    """By rate: flagged, judged; one row an output, as it was scored."""


def of(outputs: Outputs) -> list[list[str]]:
    """Return what is to be said of each output; nothing that a check does not say."""
    rates = [(word, _rate(name, outputs)) for name, word in RATES.items()]
    return [
        [*(word for word, flagged in rates if flagged[place]), *_of_text(sample)]
        for place, sample in enumerate(outputs.samples)
    ]


def _rate(name: str, outputs: Outputs) -> Sequence[bool]:
    """Say of each output whether it has the fault: as it was scored, else as it would be."""
    if name in outputs.judged:
        return [bool(flagged) for flagged in outputs.judged[name][:, 0]]
    metric: Any = metrics.make(MetricSpec(name))
    src, tgt = outputs.src_lang, outputs.tgt_lang
    known = {src, tgt} <= languages.table().keys()
    if not known or metric.not_covered(src, tgt):
        return [False] * len(outputs.samples)
    return [flag is True for flag in metric.flags(_segments(outputs))]


def _segments(outputs: Outputs) -> Segments:
    raw = [sample.output for sample in outputs.samples]
    return Segments(
        outputs.tgt_lang,
        [clean(output) for output in raw],
        {},
        src_lang=outputs.src_lang,
        sources=[sample.source for sample in outputs.samples],
        raw=raw,
    )


def _of_text(sample: Sample) -> Iterator[str]:
    output, others = sample.output, (sample.source, *sample.references)
    if length := _length(sample):
        yield f"length {length:.2f}"
    if not _composed(output) and all(map(_composed, sample.references)):
        yield "not NFC"
    if _BIDI.search(output):
        yield "bidi control"
    if _MARKUP.search(output) and not any(map(_MARKUP.search, others)):
        yield "markup"


def _length(sample: Sample) -> float | None:
    """Return characters over the references' mean, as ``length_ratio`` counts; none if not odd."""
    expected = float(np.mean([len(text) for text in sample.references] or [0]))
    output = clean(sample.output)
    if expected < LENGTH or not output:
        return None
    ratio = len(output) / expected
    return None if SHORT <= ratio <= LONG else ratio


_composed = functools.partial(unicodedata.is_normalized, "NFC")
