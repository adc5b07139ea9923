"""Flags of outputs: each is said of what has the fault, and of nothing else."""

import numpy as np
import pytest

from bayling_eval.report import flags
from bayling_eval.tables import Sample

SOURCE = "The committee will meet again on Thursday to discuss the new budget."
REFERENCE = "Der Ausschuss trifft sich am Donnerstag wieder, um über den Haushalt zu sprechen."


def said(
    output, source=SOURCE, references=(REFERENCE,), tgt="deu_Latn", judged=None, src="eng_Latn"
):
    names = tuple(f"r{i}" for i in range(len(references)))
    sample = Sample("t", 0, "id", None, source, names, tuple(references), output)
    return flags.of(flags.Outputs(src, tgt, [sample], judged or {}))[0]


def test_a_good_output_has_no_flags():
    assert (
        said("Der Ausschuss kommt am Donnerstag wieder zusammen, um den Haushalt zu beraten.") == []
    )
    assert said(REFERENCE) == []


@pytest.mark.parametrize(
    ("flag", "output"),
    [
        ("empty", "  \n"),
        (
            "wrong language",
            "Le comité se réunira de nouveau jeudi pour discuter du nouveau budget.",
        ),
        ("wrong script", "Комитет соберётся в четверг, чтобы обсудить новый бюджет на год."),
        ("copy of source", SOURCE),
        ("runs on", "Der Ausschuss trifft sich wieder und wieder" + " und wieder" * 40),
        ("preamble", f"Sure, here is the translation:\n{REFERENCE}"),
        ("length 0.16", "Der Ausschuss"),
        ("length 2.06", REFERENCE.replace(".", ",") + " und " + REFERENCE),
        ("not NFC", REFERENCE.replace("ü", "u\u0308")),
        ("bidi control", f"{REFERENCE}\u202e"),
        ("markup", f"<b>{REFERENCE}</b>"),
        ("markup", f"{REFERENCE}<|im_end|>"),
        ("markup", f"```\n{REFERENCE}"),
    ],
)
def test_a_fault_is_flagged(flag, output):
    assert flag in said(output)


@pytest.mark.parametrize(
    ("flag", "case"),
    [
        (
            "copy of source",
            {"output": "BBC News", "source": "BBC News", "references": ("BBC News",)},
        ),
        ("copy of source", {"output": SOURCE, "tgt": "eng_Latn"}),
        # The benchmark's own spelling is no news.
        ("not NFC", {"output": "u\u0308ber", "references": ("u\u0308ber",)}),
        ("markup", {"output": "<b>x</b>", "source": "<b>y</b>"}),
        ("markup", {"output": "5 < 6 & 7 > 3"}),
        (
            "preamble",
            {"output": REFERENCE, "source": f"Sure, here is the translation: {REFERENCE}"},
        ),
    ],
)
def test_what_only_looks_like_a_fault_is_not_flagged(flag, case):
    assert flag not in said(**case)


def test_a_short_reference_says_nothing_about_length():
    assert not said("Ja, sehr gerne doch.", references=("Ja",))


def test_what_was_scored_decides_and_only_that_knows_what_was_cut_off():
    def scored(name, flag):
        return {name: np.array([[flag, 1.0]])}

    assert said(REFERENCE, judged=scored("truncated_rate", 1.0)) == ["truncated"]
    assert said(REFERENCE, judged=scored("truncated_rate", 0.0)) == []
    assert "copy of source" not in said(SOURCE, judged=scored("copy_rate", 0.0))


def test_languages_that_no_table_has_are_judged_by_what_needs_none():
    found = said(f"<b>{SOURCE}</b>", tgt="xyz_Zzzz")
    assert found == ["markup"]
    assert said(SOURCE, src="") == []


def test_every_flag_has_a_meaning():
    assert {*flags.RATES.values()} <= flags.MEANINGS.keys()
