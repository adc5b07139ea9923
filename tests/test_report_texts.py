"""Hostile texts on the page: hidden characters have names, and nothing is cut within a cluster."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_page import Page

from bayling_eval.report import texts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("क्षि नी\u200dम \u200cx", "क्षि नी\u200dम \u200cx"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("a\u2066b\u2069\u200e", "aLRIbPDILRM"),
        ("a\u00adb\u2060c\U000e0041", "aSHYbWJcU+E0041"),
        ("one\ntwo\tx\x1b[0m", "oneLF\ntwoTAB\txESC[0m"),
        ("\x00" * 500 + "z", "NUL ×500z"),
    ],
)
def test_hidden_characters_have_names_and_spelling_is_left_alone(text, shown):
    assert "".join(Page(str(texts.visible(text))).text) == shown


def test_a_text_is_cut_between_clusters_unless_one_never_ends():
    assert str(texts.visible("e\u0301" * 10, limit=5)).startswith("e\u0301" * 2 + "<bdi")
    assert texts.visible("a" + "\u0301" * 5_000).startswith("a\u0301")
    assert len(texts.visible("a" + "\u0301" * 5_000)) < 2_200


def test_a_chip_does_not_decide_the_direction_of_its_text():
    assert texts.visible("\u202e\u05e9\u05dc").startswith('<bdi class="chip"')


@given(st.text(st.sampled_from("a1 .\u05e9\u0627\u202e\u200f\u4e2d")))
def test_the_first_strong_character_gives_a_text_its_direction(text):
    strong = [one for one in text if unicodedata.bidirectional(one) in ("L", "R", "AL")]
    rightward = not strong or unicodedata.bidirectional(strong[0]) == "L"
    assert texts.direction(text) == ("ltr" if rightward else "rtl")


def test_ids_are_safe_and_each_stands_there_once():
    found = texts.ids("s", ["a b", "a?b", "a_b", "é" * 200])
    assert found == ["s-a_b", "s-a_b-2", "s-a_b-3", "s-" + "_" * 100]
