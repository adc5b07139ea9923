"""Tables: which scores belong to a line, and files that no spreadsheet takes for formulas."""

import csv
import io
import json
import math

import pandas as pd

from bayling_eval import aggregate
from bayling_eval.records import Comparison, Score

BLANK = {"family": "wmt22", "src_lang": "ces_Latn", "tgt_lang": "eng_Latn", "lang": None}


def score(system="new", task="a", metric="chrf++", signature="nrefs:1|refs:A", value=50.0, **other):
    fields = {
        **BLANK,
        "system": system,
        "model": "12345678",
        "settings": "87654321",
        "task": task,
        "selection": "all",
        "num_fewshot": None,
        "metric": metric,
        "signature": signature,
        "value": value,
        "higher_is_better": True,
        "n": 10,
        "documents_digest": None,
        "settings_digest": "0",
        "status": "ok",
        **other,
    }
    return Score.model_validate(fields)


def row(task="a", metric="chrf++", signature="nrefs:1|refs:A", delta=-1.0, **other):
    fields = {
        **BLANK,
        "task": task,
        "metric": metric,
        "signature": signature,
        "candidate": "new",
        "baseline": "old",
        "delta": delta,
        "n": 10,
        "verdict": "regressed",
        "settings_diff": [],
        **other,
    }
    return Comparison.model_validate(fields)


def read(table):
    return list(csv.DictReader(io.StringIO(aggregate.csv_bytes(table).decode())))


def test_a_line_takes_the_scores_that_were_compared():
    signatures = ("nrefs:1|refs:A", "nrefs:2|refs:A,B")
    scores = [
        score(metric=metric, signature=f"{s}|tok:13a" if metric == "bleu" else s, value=value)
        for metric, base in (("chrf++", 50.0), ("bleu", 20.0))
        for s, value in zip(signatures, (base, base + 1), strict=True)
    ]
    scores.append(score(metric="empty_rate", signature="empty:strip", value=0.0))
    compared = [
        row(signature=signatures[1]),
        row(metric="bleu", signature=f"{signatures[1]}|tok:13a"),
    ]
    (line,) = aggregate.lines("chrf++", [compared], [scores, scores])
    own = {metric: one.value for metric, one in line.scores[0].items()}
    assert own == {"chrf++": 51.0, "bleu": 21.0, "empty_rate": 0.0}


def test_lines_keep_the_order_of_the_deciding_rows_and_find_the_others():
    deciding = [row("b", delta=-2.0), row("a"), row("a", metric="bleu", signature="nrefs:1|refs:A")]
    other = [row("a", baseline="third", delta=3.0)]
    found = aggregate.lines("chrf++", [deciding, other], [[score()], [], []])
    assert [line.row.task for line in found] == ["b", "a"]
    assert [line.others[0] and line.others[0].delta for line in found] == [None, 3.0]
    assert {name: r.task for name, r in found[1].compared.items()} == {"bleu": "a"}
    assert found[0].scores == ({}, {}, {})


def test_parts_in_which_signatures_differ():
    both = ["nrefs:1|tok:13a|version:2.6.0", "nrefs:1|tok:zh|version:2.6.0"]
    assert aggregate.differing([*both, None]) == {both[0]: "tok:13a", both[1]: "tok:zh"}
    assert aggregate.differing([both[0], both[0]]) == {both[0]: ""}
    assert aggregate.differing([]) == {}


def test_the_table_of_directions_has_a_column_a_system_and_no_invented_zero():
    new = [score(), score(task="b", value=40.0), score(task="c", metric=None, value=None)]
    old = [score("old", value=51.0)]
    found = [row(), row("b", signature=None, delta=None, verdict="missing", reason="=1+1", n=None)]
    table = aggregate.directions({"new": new, "old": old}, {"old": found})
    rows = {(r["task"], r["signature"]): r for r in read(table)}
    assert rows["a", "nrefs:1|refs:A"]["new"] == "50.0"
    assert rows["a", "nrefs:1|refs:A"]["old"] == "51.0"
    assert rows["a", "nrefs:1|refs:A"]["n against old"] == "10"
    assert rows["b", "nrefs:1|refs:A"]["old"] == ""
    missing = rows["b", ""]
    assert (missing["verdict against old"], missing["delta against old"]) == ("missing", "")
    assert missing["reason against old"] == "'=1+1"
    assert missing["src_lang"] == "ces_Latn"


def test_no_cell_is_a_formula_for_a_spreadsheet():
    hostile = ['=HYPERLINK("x")', "+1", "-1", "@SUM(A1)", "\tx", "\rx"]
    table = pd.DataFrame({"text": hostile, "number": [-1.5, 0.0, 1.0, 2.0, 3.0, None]})
    rows = read(table)
    assert [r["text"] for r in rows] == [f"'{text}" for text in hostile]
    assert [r["number"] for r in rows] == ["-1.5", "0.0", "1.0", "2.0", "3.0", ""]


def test_lists_and_control_characters_survive_in_a_cell():
    rows = read(pd.DataFrame({"a": [["x", "y"]], "b": ['quote " and\nline'], "c": ["\x00\u202e"]}))
    assert rows == [{"a": "x; y", "b": 'quote " and\nline', "c": "\x00\u202e"}]


def test_an_empty_table_still_has_its_columns():
    assert aggregate.csv_bytes(aggregate.frame([], Score)).decode().startswith('"system","model",')
    assert aggregate.directions({"new": []}, {"old": []}).empty


def test_numbers_that_are_not_finite_become_null():
    value = {"a": [1.5, math.nan, (math.inf,)], "b": "nan", "c": None, "d": True}
    cleaned = aggregate.finite(value)
    assert cleaned == {"a": [1.5, None, [None]], "b": "nan", "c": None, "d": True}
    assert json.dumps(cleaned, allow_nan=False)
