"""Examples of prompt sets: which ones a prompt may show, and where they are read."""

import unicodedata

import pytest
from conftest import sentences, write_lines
from hypothesis import given
from hypothesis import strategies as st

from bayling_eval import prompt_sets, sources
from bayling_eval.errors import UserError
from bayling_eval.sources import Parallel

TABLE = prompt_sets.table()


def parallel(source, target, src="eng_Latn", tgt="deu_Latn") -> Parallel:
    refs = {"ref": tuple(target)}
    return Parallel("flores200", src, tgt, tuple(source), refs, None, ())


@pytest.mark.parametrize(
    "planted",
    [
        "Größe über alles",
        " Größe  über\talles ",
        unicodedata.normalize("NFD", "Größe über alles"),
        "Größe\u00a0über alles",
        "„Größe über alles.“",
        "GRÖSSE über Alles",
        "Größe über al\u200bles",
    ],
    ids=["same", "spaces", "decomposed", "no-break space", "marks", "case", "zero width"],
)
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_row_with_an_evaluated_text_is_left_out_however_it_is_spaced(side, planted):
    rows = [["a", "b", "c"], ["d", "e", "f"]]
    rows[side == "target"][1] = planted
    evaluated = [("x", "Größe über alles"), ("y", "z")]
    for columns in (evaluated, evaluated[::-1]):
        found = prompt_sets.examples(parallel(*rows), columns)
        assert found.rows == (("a", "d"), ("c", "f"))
        left_out = {lang: set(rows) for lang, rows in found.left_out.items()}
        left = {"eng_Latn": {1} if side == "source" else set()}
        assert left_out == {**left, "deu_Latn": {1} - left["eng_Latn"]}


def test_vowel_signs_and_digits_tell_texts_apart():
    # Devanagari ka with the signs of i and u, 7 and 8.
    rows = parallel(["कि", "7", "½"], ["a", "b", "c"])
    assert prompt_sets.examples(rows, [["कु", "8", "1/2"]]).rows == (("कि", "a"), ("7", "b"))


texts = st.text(alphabet=" \tabcAé\u0301.“\u200b", max_size=4)


@given(st.lists(st.tuples(texts, texts), max_size=12), st.lists(texts, max_size=12))
def test_no_example_is_an_evaluated_text_and_no_other_row_is_lost(rows, evaluated):
    def plain(text):
        kept = [c for c in unicodedata.normalize("NFC", text) if c not in " \t.“\u200b"]
        return unicodedata.normalize("NFC", "".join(kept).casefold())

    source, target = [s for s, _ in rows], [t for _, t in rows]
    found = prompt_sets.examples(parallel(source, target), [evaluated])
    seen = {plain(text) for text in evaluated}
    assert list(found.rows) == [row for row in rows if not seen & {plain(row[0]), plain(row[1])}]
    assert len(found.rows) == len(rows) - len(frozenset().union(*found.left_out.values()))


def test_examples_are_read_from_flores_dev_in_the_data_folder(tmp_path):
    for lang in ("eng_Latn", "deu_Latn"):
        path = tmp_path / "flores200" / "flores200_dataset" / "dev" / f"{lang}.dev"
        write_lines(path, sentences(lang, seed=3, n=7))
    found = prompt_sets.dev(TABLE["sentence"], "deu_Latn", "eng_Latn", tmp_path)
    assert found.sources == tuple(sentences("deu_Latn", seed=3, n=7))
    assert found.references == {"ref": tuple(sentences("eng_Latn", seed=3, n=7))}
    names = [
        "flores200/flores200_dataset/dev/deu_Latn.dev",
        "flores200/flores200_dataset/dev/eng_Latn.dev",
    ]
    for shots, files in ((5, names), (0, [])):
        taken = prompt_sets.files(TABLE["sentence"], "deu_Latn", "eng_Latn", shots, tmp_path)
        assert [file.path for file in taken] == files
    assert prompt_sets.files(TABLE["bayling-zh"], "deu_Latn", "eng_Latn", 5, tmp_path) == ()


def test_a_missing_file_of_examples_is_named_with_its_place(tmp_path):
    path = tmp_path / "flores200" / "flores200_dataset" / "dev" / "deu_Latn.dev"
    with pytest.raises(UserError) as caught:
        prompt_sets.dev(TABLE["sentence"], "deu_Latn", "eng_Latn", tmp_path)
    said = f"{path} is missing: put it there as it is published"
    assert str(caught.value) == f"examples of prompt set sentence: {said}"


def test_files_of_examples_that_differ_in_length_are_refused(tmp_path):
    for lang, n in (("eng_Latn", 3), ("deu_Latn", 4)):
        path = tmp_path / "flores200" / "flores200_dataset" / "dev" / f"{lang}.dev"
        write_lines(path, sentences(lang, n=n))
    with pytest.raises(UserError, match=r"eng_Latn\.dev has 3 lines but .*deu_Latn\.dev has 4"):
        sources.dev("deu_Latn", "eng_Latn", tmp_path)


def test_without_a_data_folder_examples_are_asked_of_the_hub(monkeypatch):
    monkeypatch.delenv("BAYLING_DATA", raising=False)
    asked = []

    def column(*words):
        asked.append(words)
        raise UserError("no hub here")

    monkeypatch.setattr(sources.hub, "column", column)
    with pytest.raises(UserError, match="examples of prompt set sentence: no hub here"):
        prompt_sets.dev(TABLE["sentence"], "deu_Latn", "eng_Latn", None)
    assert asked == [("flores200", "deu_Latn", "dev")]
