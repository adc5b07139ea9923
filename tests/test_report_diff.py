"""Diffs of samples: nothing is lost, no cluster is split, look-alikes are told, work is bounded."""

import difflib
import unicodedata

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st
from report_page import Page

from bayling_eval.report import diff

TEXTS = st.text(
    st.one_of(
        st.sampled_from("ab cd. ,\n\u200d\u200b\u202e<&"),
        st.sampled_from("e\u0301\u0308ﬁЖכتกาြမ်း中かカ\u3099་ཁ한\u1112\u1161\u11ab🇩🇪"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@given(TEXTS)
@example("က\u102b\u1038 \u0301x")
def test_tokens_are_the_text_and_split_no_cluster(text):
    found = diff.tokens(text)
    assert "".join(found) == text
    assert all(found)
    clusters, ends, place = regex.findall(r"\X", text), {0}, 0
    for cluster in clusters:
        place += len(cluster)
        ends.add(place)
    place = 0
    for token in found:
        place += len(token)
        assert place in ends


@given(TEXTS, TEXTS)
def test_what_is_lost_and_kept_is_the_reference_what_is_new_and_kept_the_output(reference, output):
    found = diff.compare(reference, output)
    assert "".join(piece.missing for piece in found.pieces) == reference
    assert "".join(piece.inserted for piece in found.pieces) == output
    assert 0 <= found.similarity <= 1
    for piece in found.pieces:
        same = nfc(piece.missing) == nfc(piece.inserted)
        assert same or piece.kind != "same"
        assert piece.kind != "alike" or diff.skeleton(piece.missing) == diff.skeleton(
            piece.inserted
        )


@given(TEXTS)
def test_forms_that_nfc_makes_equal_are_the_same(text):
    found = diff.compare(nfc(text), unicodedata.normalize("NFD", text))
    assert found.same
    assert found.similarity == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't pay 3.14!", ["Don't", " ", "pay", " ", "3.14", "!"]),
        ("שָׁלוֹם עולם", ["שָׁלוֹם", " ", "עולם"]),
        ("ความ ok", ["ค", "ว", "า", "ม", " ", "ok"]),
        ("東京タワーへ", ["東", "京", "タ", "ワ", "ー", "へ"]),
        # U+102C and U+1038 are clusters of their own, and never stand alone.
        ("ကား USOC", ["ကား", " ", "USOC"]),
        ("ខ្មែរ", ["ខ្មែ", "រ"]),
        ("བོད་", ["བོ", "ད", "་"]),
        ("ሰላም ነው።", ["ሰላም", " ", "ነው", "።"]),
    ],
)
def test_tokens_are_words_or_clusters_of_scripts_without_spaces(text, expected):
    assert diff.tokens(text) == expected


@pytest.mark.parametrize(
    ("reference", "output"),
    [
        (
            "\u06a9\u062a\u0627\u0628 \u062f\u06cc\u062f",
            "\u0643\u062a\u0627\u0628 \u062f\u064a\u062f",
        ),
        ("\u0219i \u021bara", "\u015fi \u0163ara"),
        ("pax Cola", "\u0440\u0430\u0445 \u0421ola"),
        ("Paris 2022", "PARIS ２０２２"),  # noqa: RUF001
        ("don’t", "don't"),
        ("re\u00adport", "report"),
        ("می\u200cشود", "میشود"),
    ],
)
def test_words_that_differ_in_look_alikes_alone_are_told(reference, output):
    found = diff.compare(reference, output)
    assert found.alike
    assert not found.same
    assert "changed" not in {piece.kind for piece in found.pieces}
    assert '<ins dir="auto" class="alike">' in diff.marked(found)


@pytest.mark.parametrize(
    ("reference", "output"), [("Straße", "Strafe"), ("كتب", "كتاب"), ("sine", "șine"), ("e", "é")]
)
def test_other_letters_are_no_look_alikes(reference, output):
    assert not diff.compare(reference, output).alike


def test_marks_have_a_direction_of_their_own_and_name_what_is_hidden():
    html = str(diff.marked(diff.compare("שלום עולם יפה", "שלום <b>\u202e יפה")))
    assert '<del dir="auto">עולם</del>' in html
    assert '<ins dir="auto">&lt;b&gt;<bdi class="chip"' in html
    assert "\u202e" not in html
    # A run of hidden characters is one chip, though each is a token.
    assert (
        "".join(Page(str(diff.marked(diff.compare("a z", "a\x00\x00\x00 z")))).text) == "aNUL ×3 z"
    )


def test_what_is_in_common_by_chance_between_changes_is_changed_too():
    found = diff.compare("甲乙的丙丁就是这样的句子", "戊己的庚辛就是这样的句子")
    assert [piece.kind for piece in found.pieces] == ["changed", "same"]
    assert found.pieces[0].inserted == "戊己的庚辛"


def test_texts_with_next_to_nothing_in_common_are_not_readable():
    assert not diff.compare("የሰው ልጅ ሁሉ ሲወለድ ነው።", "All human beings are born free.").readable
    assert diff.compare("one two three four", "one two five six").readable
    # Spaces are in every text.
    assert diff.compare("a b c d", "w x y z").similarity == 0


def test_the_nearest_reference_is_taken_and_the_first_of_equals():
    assert diff.nearest(["a b x y", "a b c y", "a b c y"], "a b c d")[0] == 1
    assert diff.nearest(["x", "y"], "z")[0] == 0


@pytest.mark.parametrize("text", ["之" * 2_000, "ha " * 700, "ab " * 3 + "的" * 1_900])
def test_difflib_is_never_handed_more_pairs_than_the_cap(monkeypatch, text):
    class Counting(difflib.SequenceMatcher):
        def __init__(self, junk, a, b, autojunk):
            pairs = sum(a.count(key) * b.count(key) for key in {*b} if not key.isspace())
            assert pairs <= diff.PAIRS
            super().__init__(junk, a, b, autojunk)

    monkeypatch.setattr(difflib, "SequenceMatcher", Counting)
    assert diff.compare(text, text) is None
    assert diff.compare("ab 的 x", text) is not None
