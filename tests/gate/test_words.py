"""Numbers and hostile texts in words."""

import math

import pytest
from gate_lab import row, to

from bayling_eval.gate import words
from bayling_eval.gate.outcomes import Sample

HOSTILE = "\x1b[31m\x00\r\n\u202e\u2066\ud800\ufffe\u200b"


@pytest.mark.parametrize(
    ("metric", "value", "score", "change"),
    [
        ("chrf++", 51.84, "51.8", "+51.84"),
        ("bleu", -0.004, "-0.0", "-0.00"),
        ("off_target_rate", 0.063, "6.3 %", "+6.3 points"),
        ("acc_norm", -0.5, "-50.0 %", "-50.0 points"),
        ("comet22", 0.8412, "0.841", "+0.8412"),
        ("bits_per_byte", 1.0, "1.000", "+1.0000"),
        ("mine.py:Mine", 3.0, "3.000", "+3.0000"),
        ("chrf++", None, "none", "none"),
        ("chrf++", math.nan, "none", "none"),
        ("empty_rate", math.inf, "none", "none"),
    ],
)
def test_a_number_is_written_in_the_units_of_its_metric(metric, value, score, change):
    assert (words.score(metric, value), words.change(metric, value)) == (score, change)


def test_intervals():
    assert words.interval("chrf++", -4.2, 3.1) == "[-4.20, +3.10]"
    assert words.interval("empty_rate", 0.0, 0.5) == "[+0.0, +50.0]"
    assert (
        words.interval("chrf++", None, 1.0) == words.interval("chrf++", math.nan, 1.0) == "[none]"
    )
    assert words.scores("empty_rate", 0.0, 0.5) == "[0.0 %, 50.0 %]"


def test_a_bound_is_said_to_be_one():
    said = row(verdict="regressed", p_adjusted=0.0039, p_is_bound=True)
    assert words.tested(said, 79) == "regressed (p <= 0.0039 after Holm over 79)"
    assert words.tested(row(p_adjusted=0.5), 2) == "no_change (p = 0.5 after Holm over 2)"


def test_hostile_characters_are_spelt_out():
    shown = words.visible(HOSTILE)
    assert shown.isprintable()
    assert shown.encode("utf-8")
    assert shown.startswith("\\x1b[31m\\x00\\r\\n\\u202e\\u2066\\ud800\\ufffe\\u200b")


def test_joiners_are_spelling():
    written = "ක\u200dෂ ക\u200c"  # Sinhala and Malayalam
    assert words.visible(written) == written


def test_a_text_is_cut_between_clusters():
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    shown = words.visible("a" * 298 + family + "b" * 10)
    assert shown == "a" * 298 + " … 15 more characters"
    assert len(words.visible("e" + "\u0301" * 5_000)) < 340


def test_a_sample_shows_what_is_empty():
    sample = Sample(
        doc_id=3, source="one\ntwo", reference=" ", candidate="", baseline=None,
        candidate_score=0.0, baseline_score=None,
    )  # fmt: skip
    assert words.sample_lines(sample) == [
        ("source", "one\\ntwo"), ("reference", "(empty)"), ("candidate", "(empty)")
    ]  # fmt: skip


def test_names():
    other = row(src_lang=None, tgt_lang=None, lang="deu_Latn", task="xcopa_de")
    assert words.name(other, 2) == "xcopa_de"
    assert words.name(to("deu_Latn"), 1) == "eng_Latn-deu_Latn"
    assert words.name(to("deu_Latn"), 2) == "flores200 eng_Latn-deu_Latn"
    assert words.listed(["a", "b", "c"], 2) == "a, b and 1 more"
