"""Samples of the report: which ones, and that hostile text stays text."""

import base64
import gzip
import hashlib
import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_page import Page

from bayling_eval.records import Comparison
from bayling_eval.report import chunks, render, samples, texts
from bayling_eval.statistics import SEED
from bayling_eval.tables import Sample

pytest_plugins = ["report_page"]


def section(page: str) -> str:
    """Return the part of a page that holds the samples."""
    found = re.search(r'<section id="samples".*?</section>', page, re.DOTALL)
    return found.group()


def test_hostile_outputs_are_shown_and_do_nothing(make, monkeypatch):
    first = dict(zip(samples.KINDS, np.arange(9).reshape(3, 3).tolist(), strict=True))
    monkeypatch.setattr(samples, "choose", lambda delta, ids, sources: first)
    page = make()[1]
    parsed = Page(section(page))
    assert "<script>alert(1)</script>" in parsed.words
    assert "</script><svg/onload=alert(1)>" in parsed.words
    assert '"><img src=http://example.org onerror=alert(1)>' in parsed.words
    assert "{{7*7}}{% include 'x' %}" in parsed.words
    assert "abcRLOdef" in parsed.words
    assert "ZWSPnulNULendBOM" in parsed.words
    assert not set("\x00\u202e\u200b\ufeff") & set(page)
    assert "(empty)" in parsed.words
    assert "(only white space)" in parsed.words
    assert "98,000 more characters are not shown" in parsed.words
    assert not {"img", "svg"} & {tag for tag, _ in parsed.tags}
    assert max(map(len, re.findall(r"x+", page))) == samples.SHOWN


def test_texts_have_their_language_and_find_their_direction(page):
    found = [attrs for _, attrs in Page(section(page)).tags if attrs.get("class") == "text"]
    assert {attrs["lang"] for attrs in found} == {"en", "de", "th", "zh-Hans"}
    # That of a text with marks is said: parts with a direction of their own do not count for auto.
    assert {attrs["dir"] for attrs in found} == {"auto", "ltr"}


def test_the_choice_of_samples_is_stated_and_can_be_repeated():
    delta = np.array([0.0, -5.0, 3.0, -5.0, 9.0, 0.0, 0.0, 1.0, -1.0, 2.0, 0.0, 0.0])
    ids = [f"id{i}" for i in range(len(delta))]
    found = samples.choose(delta, ids, ids, 2)
    assert (found["lowest"], found["highest"]) == ([1, 3], [4, 2])
    ranked = sorted(range(len(delta)), key=lambda i: samples.digest([SEED, ids[i]]))
    assert found["random"] == [i for i in ranked if i not in (1, 3, 4, 2)][:2]
    few = samples.choose(delta[:3], ids[:3], ids[:3], 2)
    assert sorted(itertools.chain(*few.values())) == [0, 1, 2]


def test_a_source_text_is_picked_once_for_a_direction():
    delta = np.array([-9.0, -8.0, -7.0, -6.0, 9.0, 8.0, 7.0, 0.0, 0.0])
    sources = ["same", "same", "low", "lower", "same", "low", "high", "rest", "rest"]
    found = samples.choose(delta, [f"id{i}" for i in range(len(delta))], sources, 2)
    assert (found["lowest"], found["highest"][0]) == ([0, 2], 6)
    picked = [sources[i] for i in itertools.chain(*found.values())]
    assert sorted(picked) == ["high", "low", "lower", "rest", "same"]


def test_a_sample_is_found_by_its_line_in_the_benchmark_file(page, document):
    one = document["samples"][0]
    fold = page.split(f'id="samples-{one["task"]}"')[1]
    assert f"<h4>Line {one['doc_id'] + 1} <" in fold.split("</h4>")[0] + "</h4>"
    parsed = Page(section(page))
    assert "Lines are those of the benchmark file, counted from 1." in parsed.words
    assert "The same as the reference" in parsed.words
    wanted = {f"s-{one['task']}-{one['doc_id'] + 1}" for one in document["samples"]}
    assert wanted <= {*parsed.attributes("id")}
    assert {f"#{one}" for one in wanted} <= {*parsed.attributes("href")}


def segment(size: int = 1_000, doc_id: int = 0) -> samples.Segment:
    text = texts.visible("x" * size)
    outputs = samples.Output(text, 1.0), samples.Output(text, 2.0)
    return samples.Segment(doc_id, text, (("ref", text),), outputs)


def shown(verdict="no_change", task="t", picks=samples.PICKS) -> samples.Shown:
    row = Comparison(
        task=task,
        family="f",
        src_lang=None,
        tgt_lang="deu_Latn",
        lang=None,
        metric="chrf++",
        signature=None,
        candidate="a",
        baseline="b",
        verdict=verdict,
        settings_diff=[],
    )
    found = {
        kind: [segment(doc_id=10 * k + i) for i in range(picks)]
        for k, kind in enumerate(samples.KINDS)
    }
    return samples.Shown(row, 100, found, task, on_page=found)


def test_samples_are_cut_to_the_budget_and_the_cut_is_counted():
    one = shown()
    full, single = one.size, shown(picks=1).size
    assert samples.fit([one] * 4, budget=4 * full).picks == 3
    assert samples.fit([one] * 4, budget=4 * full - 1).picks == 2
    cut = samples.fit([one] * 4, budget=2 * single)
    assert (cut.picks, len(cut.directions), cut.left_out) == (1, 2, 2)
    assert not cut.chunks


def test_a_loss_of_which_no_segment_lost_has_a_sample_all_the_same():
    one = shown("regressed")
    one = replace(one, picks={"lowest": [], **{k: one.picks[k] for k in ("highest", "random")}})
    (kept,) = samples.fit([one], budget=0).directions
    assert kept.on_page == {"highest": one.picks["highest"][:1]}


@pytest.mark.parametrize("budget", [0, 1, 10_000, 40_000, 10**9])
def test_a_confirmed_loss_is_never_left_out(budget):
    found = [shown(v, v + str(i)) for i, v in enumerate(["improved", "regressed", "no_change"] * 3)]
    cut = samples.fit(found, budget=budget)
    lost = [one for one in cut.directions if one.row.verdict == "regressed"]
    assert len(lost) == 3
    assert all(one.picks["lowest"] and one.on_page == one.picks for one in lost)
    assert len(cut.directions) + cut.left_out == len(found)
    if len(cut.directions) > 3:
        assert sum(one.size for one in cut.directions) <= budget
    assert [one.key for one in cut.directions] == [
        one.key for one in found if one.key in {kept.key for kept in cut.directions}
    ]


def test_what_does_not_fit_goes_into_files_but_the_first_of_each_confirmed_loss():
    found = [shown("regressed", "a"), shown("improved", "b"), shown("regressed", "c")]

    def fragment(one):
        return " ".join(str(s.doc_id) for kind in samples.KINDS for s in one.on_page[kind])

    room = 3 * samples._FRAME + segment().size
    split = samples.split(found, fragment, budget=room)
    assert [one.on_page for one in split.directions] == [
        {"lowest": found[0].picks["lowest"][:1]},
        {},
        {},
    ]
    assert [*split.chunks] == ["a.js", "b.js", "c.js"]
    assert [one.picks for one in split.directions] == [one.picks for one in found]
    kept = [unpacked(content) for content in split.chunks.values()]
    everything = "0 1 2 10 11 12 20 21 22"
    assert kept == [("a", everything.removeprefix("0 ")), ("b", everything), ("c", everything)]
    assert samples.split(found, fragment, budget=10**6).directions[2].on_page["lowest"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_chunk_holds_its_fragment_and_the_page_its_digest(html):
    chunk = chunks.pack("flores200_eng_Latn-deu_Latn", html)
    assert chunk == chunks.pack("flores200_eng_Latn-deu_Latn", html)
    assert unpacked(chunk.content) == ("flores200_eng_Latn-deu_Latn", html)
    digest = base64.b64encode(hashlib.sha256(chunk.content).digest()).decode()
    assert chunk.integrity == f"sha256-{digest}"
    # Nothing of a text can end the string or the script that it stands in.
    assert re.fullmatch(rb'bayling\.chunk\("[\w.-]+","[A-Za-z0-9+/=]+"\);\n', chunk.content)


def unpacked(content: bytes) -> tuple[str, str]:
    key, packed = json.loads(f"[{content.decode().removeprefix('bayling.chunk(')[:-3]}]")
    return key, gzip.decompress(base64.b64decode(packed)).decode()


@pytest.mark.parametrize(
    "reference", ["one two three", "Ein langer Satz mit vielem. " * 9, "的之" * 99]
)
def test_size_is_about_what_a_direction_takes_on_the_page_and_not_less(reference):
    sample = Sample("t", 0, "id", None, reference, ("ref",), (reference,), "")
    made = [
        samples._output(sample._replace(output=text), 12.34, ["empty", "not NFC"], translated=True)
        for text in (reference, f"zwei {reference[:-9]} and some more, as systems do")
    ]
    text = texts.visible(reference)
    found = samples.Segment(416, text, (("ref", text),), (made[0], made[1]))
    one = shown(task="flores200_eng_Latn-deu_Latn")
    picks = {kind: [found] * 3 for kind in samples.KINDS}
    one = replace(one, picks=picks, on_page=picks)
    actual = len(render.fragment(("bayling-13b", "bayling-7b"))(one).encode())
    assert 0.75 * one.size < actual <= one.size


class Side:
    """What one system has of one set of questions: the texts that it chose, and its accuracy."""

    def __init__(self, outputs: str, right: str) -> None:
        self._outputs, self._right = outputs, right

    def signatures(self, task, metric):
        return ["s"] if metric == "acc" else []

    def scores(self, task, metric, signature):
        return np.array([float(a == b) for a, b in zip(self._outputs, self._right, strict=True)])

    def samples(self, task):
        both = enumerate(zip(self._outputs, self._right, strict=True))
        return [
            Sample(task, i, f"id{i}", None, f"{i}?\n- a\n- b", ("ref",), (right,), one.strip())
            for i, (one, right) in both
        ]


def questions(ours: str, theirs: str, metric: str = "acc"):
    row = shown().row.model_copy(update={"tgt_lang": None, "lang": "swh_Latn", "metric": metric})
    return samples._direction(row, [Side(ours, "aaaaaaaa"), Side(theirs, "aaaaaaaa")])


def test_of_questions_those_are_shown_that_one_system_alone_has_right():
    found = questions("bbaaaabb", "aaaabbbb")
    picked = {kind: [s.doc_id for s in own] for kind, own in found.picks.items()}
    assert (picked["lowest"], picked["highest"]) == ([0, 1], [4, 5])
    assert len(picked["random"]) == 3
    assert (found.exact, found.metric) == (True, "acc")
    lost = found.picks["lowest"][0]
    assert [one.text for one in lost.outputs] == ["b", "a"]
    assert lost.references == (("ref", "a"),)
    # The choices stand in lines of their own, whose ends are no finding.
    assert lost.source == "0?\n- a\n- b"
    same = questions("a" * 8, "a" * 8)
    assert [len(same.picks[kind]) for kind in samples.KINDS] == [0, 0, 3]


def test_tasks_without_anything_to_show_are_counted_by_their_reason():
    assert "likelihoods alone" in questions(" " * 8, " " * 8)
    assert "no exact_match statistics" in questions("a" * 8, "a" * 8, "exact_match")


def test_of_several_references_it_is_said_which_one_the_marks_are_against():
    sample = Sample("t", 0, "id", None, "s", ("A", "B"), ("one two x y", "one two three z"), "")
    made = samples._output(sample._replace(output="one two three four"), 1.0, [], translated=True)
    assert made.note == "Marks are against reference B, the nearest"
    assert "<ins" in made.text
    same = samples._output(sample._replace(output="one two x y"), 1.0, [], translated=True)
    assert (same.note, same.flags) == ("The same as reference A", ())


def test_text_with_marks_has_the_direction_of_the_output():
    sample = Sample("t", 0, "id", None, "s", ("ref",), ("שלום עולם",), "שלום world")
    made = samples._output(sample, 1.0, [], translated=True)
    assert (made.direction, made.note) == ("rtl", "")


def test_a_long_output_is_cut_before_it_is_compared(monkeypatch):
    handed = []
    compare = samples.diff.compare
    monkeypatch.setattr(
        samples.diff, "compare", lambda *pair: handed.append(pair) or compare(*pair)
    )
    sample = Sample("t", 0, "id", None, "s", ("ref",), ("ab " * 50_000,), "ab c " * 20_000)
    made = samples._output(sample, 1.0, [], translated=True)
    assert [len(text) for text in handed[0]] == [samples.SHOWN, samples.SHOWN]
    assert "98,000 more characters are not shown" in made.text
