"""The brief: three sheets of paper at most, whatever the names, and the numbers of the page."""

import re
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from itertools import combinations, pairwise
from types import SimpleNamespace

import matplotlib as mpl
import pytest
import report_lab as lab
from matplotlib.text import Text

from bayling_eval import aggregate
from bayling_eval.gate.outcomes import GateOutcome, Waived
from bayling_eval.report import brief, causes, document, summary, view
from bayling_eval.report.contents import Contents
from bayling_eval.report.figures import sheet as paper
from bayling_eval.report.figures.svg import canvas
from bayling_eval.rows import status_rows

HOSTILE = "$x_1$ \u202eevil\n贝灵 " + "I" * 1_000
OUTCOMES = ("pass", "fail", "warn")
FEW = lab.Invention(pairs=lab.flores_pairs(8), seed=1)


def contents(folder, what, judged=None, name="r") -> Contents:
    report = replace(lab.invent(folder, what), judged=judged, name=name)
    scores = [[r for c in one.cells() for r in status_rows(c)] for one in report.systems]
    rows = [pair.rows for pair in report.found]
    lines = {metric: aggregate.lines(metric, rows, scores) for metric in report.tables}
    return Contents(report, lines, SimpleNamespace(), document.provenance(report, scores), {})


def judgement(count, text="r", **told):
    """Return what the brief reads of a judgement; every third gate passes, fails, warns."""
    gates = tuple(
        GateOutcome(
            gate=f"gate{at} {text}",
            rule="count",
            metric="chrf++",
            outcome=OUTCOMES[at % 3],
            limit=f"at most -{at} of {text}",
            observed=f"seen {at} {text}",
            where=[],
            detectable_effect=None,
            n=1,
            n_fail=0,
            n_warn=0,
            n_waived=0,
        )
        for at in range(count)
    )
    said = {"verdict": "not_ready", "sentence": f"not ready: 1 of {count} gates fail"}
    return SimpleNamespace(gates=gates, **{**said, "waivers": (), "notes": (), **told})


def pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b(?!s)", pdf))


def texts(made) -> list[list[str]]:
    """Return the texts of each page as they are drawn; none leaves the paper or lies on another."""
    with ExitStack() as open_:
        found = [boxes(one.drawing) for one in brief.draw(made, open_)]
    for page in found:
        for box, text in page:
            assert 20 < box.x0 < box.x1 < paper.WIDTH - 20, text
            assert 20 < box.y0 < box.y1 < paper.HEIGHT - 20, text
        for (a, mine), (b, other) in combinations(page, 2):
            assert not a.overlaps(b), (mine, other)
    return [[text for _, text in page] for page in found]


def boxes(drawing):
    """Return the extent of each text in points, and what it says."""
    # Hinted glyphs are whole points wide, which those of a PDF are not.
    with mpl.rc_context({"text.hinting": "none"}):
        drawing.draw_without_rendering()
        return [
            (one.get_window_extent().padded(-1), one.get_text())
            for one in drawing.findobj(Text)
            if one.get_text().strip() and one.get_visible()
        ]


def test_verdict_gates_means_and_losses_stand_in_it(tmp_path):
    made = contents(tmp_path, replace(FEW, pairs=lab.flores_pairs(60)), judgement(3))
    first = texts(made)[0]
    words = " ".join(first)
    assert "✕ Not ready: 1 of 3 gates fail" in first
    for gate in made.report.judged.gates:
        assert {gate.gate, view.minus(gate.limit), gate.observed} <= set(first)
    means = summary.summaries(made.report.found[0], "invented-old", "chrf++")
    assert any(one.macro.delta is not None for one in means)
    for one in means:
        assert {one.group, f"{one.n}/{one.n_expected}"} <= set(first)
        assert view.number(one.macro.delta, "chrf++", signed=True) in first
        assert view.interval(one.macro.ci_low, one.macro.ci_high, "chrf++") in first
        population = (one.macro.population_ci_low, one.macro.population_ci_high)
        assert view.interval(*population, "chrf++") in first
    losses = causes.losses(made.lines, "regressed")
    assert losses
    for row in (loss.line.row for loss in losses[:10]):
        assert f"▼ {view.name_of(row)}" in first
        interval = view.interval(row.ci_low, row.ci_high, row.metric)
        assert f"{view.delta_text(row)} {interval}" in first
        assert view.p_text(row) in first
    assert not re.search(r"(?<![\w-])-\d", words), "a hyphen stands for a minus sign"


def test_the_same_contents_give_the_same_bytes_without_a_date(tmp_path):
    made = contents(tmp_path, FEW)
    pdf = brief.write(made)
    assert pdf == brief.write(made)
    assert pages(pdf) in (1, 2)
    assert b"/CreationDate" not in pdf
    assert b"/Subtype /Type3" not in pdf
    assert b"invented-new against invented-old" in pdf


def test_many_directions_gates_and_systems_are_three_pages(tmp_path):
    systems = ["new", *(f"base-{at}" for at in range(11))]
    made = contents(
        tmp_path,
        lab.Invention(systems, metrics=("chrf++", "length_ratio"), every=20),
        judgement(30),
    )
    assert len(made.lines["chrf++"]) == 404
    assert pages(brief.write(made)) == 3
    first, second, third = texts(made)
    # Those that fail come first, what is cut off is counted.
    assert "gate1 r" in first
    assert "gate0 r" not in first
    assert "and 22 more: 2 fail, 10 warn, 10 pass" in first
    losses = causes.losses(made.lines, "regressed")
    assert f"and {len(losses) - 10} more" in first
    assert "Confirmed losses, worst first" in first
    assert "More confirmed losses" in third
    assert any(re.search(r"\d+ between: ", text) for text in second)
    assert {system.label for system in made.report.systems} <= set(third)
    assert f"{11:064x}" in third


def test_hostile_names_are_spelt_out_and_stay_on_the_paper(tmp_path):
    waived = Waived(
        gate=HOSTILE,
        language=None,
        task=None,
        reason=HOSTILE,
        by=HOSTILE,
        expires=str(date.max),
        state="used",
        tasks=[],
    )
    judged = judgement(30, HOSTILE, waivers=(waived,) * 3, notes=(HOSTILE,) * 9)
    names = [HOSTILE, HOSTILE + "2", "W" * 1_000]
    what = replace(FEW, systems=names, task=f"t_{{}}-{{}}{HOSTILE}", pairs=lab.flores_pairs(120))
    made = contents(tmp_path, what, judged, HOSTILE)
    made.told["incomplete"] = [HOSTILE] * 3
    found = texts(made)
    assert len(found) <= 3
    words = " ".join(text for page in found for text in page)
    assert r"$x_1$ \u202eevil\n\u8d1d\u7075" in words
    assert not re.search("[\u202e\n贝]", words)
    assert "Incomplete: 3 planned not there" in words
    assert pages(brief.write(made)) == len(found)


def test_without_rules_nothing_is_ready(tmp_path):
    words = " ".join(texts(contents(tmp_path, FEW))[0])
    assert "No release rules were given" in words
    assert "eady" not in words
    assert "Asked for" not in words


def test_nothing_comparable_says_so(tmp_path):
    made = contents(tmp_path, replace(FEW, every=1))
    (words,) = (" ".join(page) for page in texts(made))
    assert "chrF++: nothing could be compared (8 directions)." in words
    assert "No loss is confirmed" not in words
    assert "no mean" in words
    assert pages(brief.write(made)) == 1


def test_percent_points_and_many_sides_have_room(tmp_path):
    keys = [pair[1] for pair in lab.flores_pairs(60)[::2]]
    pivots = ("eng_Latn", "zho_Hans")
    pairs = [p for key in keys for pivot in pivots for p in ((pivot, key), (key, pivot))]
    pairs += pairwise(keys)
    what = replace(FEW, pairs=pairs, metrics=("chrf++", "acc", "length_ratio"), seed=3)
    made = contents(tmp_path, what)
    found = texts(made)
    assert len(found) <= 3
    losses = causes.losses({"acc": made.lines["acc"]}, "regressed")
    assert losses
    words = " ".join(text for page in found for text in page)
    for row in (loss.line.row for loss in losses[:3]):
        assert view.delta_text(row) in words
        assert f"{view.interval(row.ci_low, row.ci_high, row.metric)}" in words
    assert "Means in Accuracy" in words
    assert "The 4 sides with most losses; 1 more on the page." in words


def test_a_group_without_a_mean_says_so(tmp_path):
    made = contents(tmp_path, replace(FEW, pairs=lab.flores_pairs(4)))
    (first,) = texts(made)
    assert first.count("no mean") == 3
    assert "fewer than 5 directions" in first


@pytest.mark.parametrize("room", [5.0, 40.0, 200.0])
@pytest.mark.parametrize("bold", [False, True])
def test_lines_are_no_wider_than_their_room(room, bold):
    text = "Jolly words, and " + "x" * 300 + " e\u0301" * 50
    lines = paper.wrapped(text, 7, room, 4, bold=bold)
    assert len(lines) == 4
    assert lines[-1].endswith("…")
    with canvas(300, 300) as drawing:
        mpl.rcParams["text.hinting"] = "none"
        for line in lines:
            label = drawing.text(0, 0, line, fontsize=7, weight="bold" if bold else "normal")
            # A single character may be wider than no room at all.
            assert label.get_window_extent().width <= max(room + 1, 12)
