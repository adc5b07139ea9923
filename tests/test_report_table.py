"""The table of directions as plain values: further columns, and what a row is found by."""

import pytest
from report_lab import Invention, invent

from bayling_eval import aggregate
from bayling_eval.report import table
from bayling_eval.rows import status_rows

STRANGE = "no\u202esuch\x00"


@pytest.fixture
def lines(tmp_path):
    """Return lines of directions into some languages, one of which no table has."""
    keys = ("deu_Latn", "amh_Ethi", "epo_Latn", STRANGE)
    what = Invention(("new", "old"), [("eng_Latn", key) for key in keys], task="t {1}")
    report = invent(tmp_path, what)
    scores = [status_rows(system.cells()[0]) for system in report.systems]
    return aggregate.lines("chrf++", [pair.rows for pair in report.found], scores)


def rows(lines):
    return {row.line.row.tgt_lang: row for row in table.rows(lines, "chrf++")}


def test_further_columns_stand_between_the_scores_and_the_language(lines):
    extra = [
        table.Extra(table.Column("A"), lambda line: table.Cell(line.row.tgt_lang)),
        table.Extra(table.Column("B"), lambda line: table.Cell("none", absent=True)),
    ]
    titles = [one.title for one in table.columns(lines, ("new", "old"), "chrf++", extra)]
    assert titles[-6:] == ["Length ratio", "A", "B", "Family", "Script", "Speakers"]
    for row in table.rows(lines, "chrf++", extra):
        assert len(row.cells) == len(titles)
        assert [cell.text for cell in row.cells[-5:-3]] == [row.line.row.tgt_lang, "none"]


def test_a_row_is_found_by_what_can_be_typed(lines):
    words = rows(lines)["amh_Ethi"].search.split()
    assert {"English", "eng_Latn", "Amharic", "amh_Ethi", "አማርኛ", "am", "阿姆哈拉语"} <= {*words}
    assert rows(lines)[STRANGE].search.split()[4:] == ["no", "such", "t", "no", "such"]


def test_speakers_are_sorted_by_number_and_unknown_has_none(lines):
    known, unknown = rows(lines)["deu_Latn"], rows(lines)[STRANGE]
    assert known.about.band == known.cells[-1].text
    assert known.cells[-1].sort == known.about.speakers > 10**7
    assert (unknown.about.band, unknown.cells[-1].sort) == (None, None)
    assert unknown.cells[-1].absent
