"""The ordered plot: each mark is where its number is, and what is not drawn is said."""

import re

import pytest
from figures_lab import MINUS, Read, approx, assemble, drawn, numbers, tasks

from bayling_eval.report.figures import directions
from bayling_eval.report.figures.drawn import side

# Hundredths of a pixel, read off a scale of 400 pixels.
CLOSE = 0.002

pytest_plugins = ["figures_lab"]
pytestmark = pytest.mark.usefixtures("no_pdf")


def rows_of(one, name):
    return [row for row in one.rows if side(row)[1] == name and row.delta is not None]


@pytest.mark.parametrize("systems", [2, 5])
def test_every_mark_is_at_its_difference(systems):
    one = drawn(40, systems)
    (figure,) = directions.draw(one)
    read = Read(figure)
    for at, name in enumerate(("eng_Latn-x", "x-eng_Latn")):
        found = read.verdicts(f"panel-{at}", f"mark:{name}")
        expected = {}
        for row in rows_of(one, name):
            expected.setdefault(row.verdict, []).append(row.delta)
        assert {k: sorted(v) for k, v in found.items()} == {
            k: approx(sorted(v), abs=12 * CLOSE) for k, v in expected.items()
        }


def test_bars_are_the_intervals():
    one = drawn(20)
    (figure,) = directions.draw(one)
    read = Read(figure)
    line = read.ticks("panel-0")
    for kind, low, high in (
        ("thick", "ci_low", "ci_high"),
        ("thin", "simultaneous_ci_low", "simultaneous_ci_high"),
    ):
        found = [
            tuple(line(x) for x in ends)
            for role in ("mut", "down", "up")
            for ends in read.boxes(f"{kind}:eng_Latn-x:{role}")
        ]
        expected = [(getattr(r, low), getattr(r, high)) for r in rows_of(one, "eng_Latn-x")]
        assert sorted(found) == [approx(pair, abs=0.02) for pair in sorted(expected)]


def test_the_band_is_the_minimum_effect():
    (figure,) = directions.draw(drawn(20))
    read = Read(figure)
    line, path = read.ticks("panel-0"), next(iter(read.group("band").iterfind(".//{*}path")))
    ends = [line(x) for x in numbers(path.get("d"))[::2]]
    assert (min(ends), max(ends)) == (approx(-0.5, abs=0.02), approx(0.5, abs=0.02))


def test_worst_is_first_and_rows_link_to_the_table():
    one = drawn(20)
    (figure,) = directions.draw(one)
    links = re.findall(r'href="#(dir-\d+)"', figure.svg)
    assert links == [one.row_ids[row.task] for row in rows_of(one, "eng_Latn-x")]


def test_what_is_far_beyond_the_others_is_an_arrow_with_its_number():
    def edit(values):
        values[0][4] = values[1][4] - 40

    one = drawn(40, edit=edit)
    (figure,) = directions.draw(one)
    read = Read(figure)
    assert f"{MINUS}40.0" in read.texts()
    line = read.ticks("panel-0")
    (arrow,) = [
        use
        for role in ("down",)
        for use in read.group(f"eng_Latn-x:{role}:off").iterfind(".//{*}use")
    ]
    assert line(arrow.get("x")) > -15
    marks = [v for own in read.verdicts("panel-0", "mark:eng_Latn-x").values() for v in own]
    assert len(marks) == 19


def test_missing_is_not_drawn_and_said():
    def edit(values):
        values[0][0] = values[0][1] = values[0][3] = None

    one = drawn(20, edit=edit)
    (figure,) = directions.draw(one)
    assert "Acehnese (Arabic script) → English" in figure.note
    assert "missing" in Read(figure).texts()
    found = Read(figure).verdicts("panel-0", "mark:eng_Latn-x")
    assert sum(map(len, found.values())) == 9


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_directions(count):
    (figure,) = directions.draw(drawn(count))
    panels = {f"panel-{at}" for at in range(min(count, 2))}
    assert panels <= set(re.findall(r'data-g="(panel-\d)"', figure.svg))
    assert f"in {count} direction{'s' if count > 1 else ''}: " in figure.alt


def test_nothing_comparable_is_no_figure():
    def edit(values):
        values[0][:] = [None] * len(values[0])

    assert directions.draw(drawn(8, edit=edit)) == []


@pytest.mark.parametrize("systems", [2, 12])
def test_of_404_directions_the_ends_are_rows_and_the_rest_ticks(systems):
    one = drawn(404, systems)
    ends, whole = directions.draw(one)
    assert whole.fold
    assert not ends.fold
    read = Read(ends)
    own = rows_of(one, "eng_Latn-x")
    found = read.verdicts("panel-0", "mark:eng_Latn-x")
    expected = sorted(row.delta for row in (*own[:20], *own[-20:]))
    assert sorted(v for values in found.values() for v in values) == approx(expected, abs=0.03)
    line = read.ticks("panel-0")
    ticks = [
        line(box[0])
        for role in ("mut", "down", "up")
        for box in read.boxes(f"strip:eng_Latn-x:{role}")
    ]
    assert sorted(ticks) == approx(sorted(row.delta for row in own[20:-20]), abs=0.03)
    found = Read(whole).verdicts("panel-0", "mark:eng_Latn-x")
    assert sum(map(len, found.values())) == len(own)


def test_further_baselines_are_ticks_or_a_range():
    read = Read(directions.draw(drawn(20, 4))[0])
    own = [line.others for line in drawn(20, 4).lines["chrf++"] if line.row.src_lang == "eng_Latn"]
    expected = sorted(row.delta for others in own for row in others)
    assert sorted(read.marks("panel-0", "others:eng_Latn-x")) == approx(expected, abs=0.03)
    many = Read(directions.draw(drawn(20, 12))[0])
    assert many.marks("panel-0", "others:eng_Latn-x") == []
    assert many.boxes("others:eng_Latn-x")


def test_where_lower_is_better_a_loss_is_still_left():
    own = tasks(20)
    values = [[50.0 + (at - 10) for at in range(20)], [50.0] * 20]
    one = assemble(own, ("new", "old"), "ter", values, higher=False)
    (figure,) = directions.draw(one)
    read = Read(figure)
    lost = read.group("mark:eng_Latn-x:regressed").iterfind(".//{*}use")
    won = read.group("mark:eng_Latn-x:improved").iterfind(".//{*}use")
    assert max(float(u.get("x")) for u in lost) < min(float(u.get("x")) for u in won)
    assert min(read.marks("panel-0", "mark:eng_Latn-x:regressed")) > 0
