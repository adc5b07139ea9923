"""Overview, level, groups, families and knowledge: marks are where their numbers are."""

import functools
import random
import re
from xml.etree import ElementTree as ET

import pytest
from figures_lab import MINUS, Read, about, approx, assemble, drawn, tasks

from bayling_eval import languages
from bayling_eval.report.figures import families, forest, knowledge, level, plots
from bayling_eval.report.figures.drawn import labels, short, side
from bayling_eval.report.figures.placing import place, width

HOSTILE = "$x$<b>&\n\u202e" + "é" * 1_000
KEYS = [key for key, one in languages.table().items() if "flores200" in one.aliases]
drawn = functools.cache(drawn)
pytest_plugins = ["figures_lab"]
pytestmark = pytest.mark.usefixtures("no_pdf")


def edited(index, delta):
    def edit(values):
        values[0][index] = None if delta is None else values[1][index] + delta

    return edit


@pytest.mark.parametrize("systems", [2, 5])
def test_the_overview_has_every_mean_and_both_intervals(systems):
    one = drawn(40, systems)
    (figure,) = forest.overview(one)
    read = Read(figure)
    expected = [m for p in one.pairs for m in p.macro if m.by in ("suite", "side")]
    means = [m.delta for m in expected]
    assert sorted(read.marks("panel-0", "mean:0")) == approx(sorted(means), abs=0.05)
    line = read.ticks("panel-0")
    for kind, low, high in (
        ("thick", "ci_low", "ci_high"),
        ("thin", "population_ci_low", "population_ci_high"),
    ):
        found = sorted(tuple(map(line, ends)) for ends in read.boxes(f"{kind}:0"))
        own = sorted((getattr(m, low), getattr(m, high)) for m in expected)
        assert found == [approx(pair, abs=0.05) for pair in own]
    assert "40/40" in read.texts()


def test_of_twelve_systems_the_deciding_one_has_a_block_of_its_own():
    one = drawn(20, 12)
    (figure,) = forest.overview(one)
    read = Read(figure)
    assert len(read.marks("panel-0", "mean:0")) == 3
    assert len(read.marks("panel-1", "mean:1")) == 10


def test_few_tasks_have_marks_and_no_mean():
    one = drawn(3)
    (figure,) = forest.overview(one)
    read = Read(figure)
    assert read.group("mean:0") is None
    found = read.verdicts("panel-0", "member:0")
    expected = sorted([r.delta for r in one.rows] * 2)
    assert sorted(v for own in found.values() for v in own) == approx(expected, abs=0.03)
    assert "too few for a mean" in read.texts()


def test_groups_are_in_a_table_too():
    one = drawn(80)
    figures = forest.groups(one)
    assert [f.name for f in figures] == [
        "groups-flores200-eng_Latn-x",
        "groups-flores200-x-eng_Latn",
    ]
    own = [m for m in one.pairs[0].macro if m.by == "script" and "eng_Latn-x" in m.group]
    read = Read(figures[0])
    expected = sorted(m.delta for m in own if m.delta is not None)
    assert sorted(read.marks("panel-1", "mean:1")) == approx(expected, abs=0.05)
    assert len({row[0] for row in figures[0].rows if row[1] == "Script"}) > 1
    assert forest.groups(drawn(5)) == []


def test_level_has_each_direction_at_its_score_and_change():
    one = drawn(40)
    (figure,) = level.draw(one)
    read = Read(figure)
    for at, name in enumerate(("eng_Latn-x", "x-eng_Latn")):
        own = [row for row in one.rows if side(row)[1] == name]
        for axis, field, close in (("x", "baseline_value", 0.1), ("y", "delta", 0.03)):
            found = read.verdicts(f"panel-{at}", f"mark:{name}", axis)
            values = [v for marks in found.values() for v in marks]
            assert sorted(values) == approx(sorted(getattr(r, field) for r in own), abs=close)


def test_level_names_confirmed_losses_and_what_is_off_the_scale():
    one = drawn(40, edit=edited(5, -45))
    (figure,) = level.draw(one)
    texts = Read(figure).texts()
    lost = [row for row in one.rows if row.verdict == "regressed"]
    far = lost.pop(0)
    names = labels([far.src_lang, far.tgt_lang])
    assert f"{names[far.src_lang]} {MINUS}45.0" in texts
    for row in lost:
        named = labels([row.src_lang, row.tgt_lang])
        other = row.tgt_lang if row.src_lang == "eng_Latn" else row.src_lang
        assert named[other] in texts or named[other] in figure.note


def test_labels_neither_collide_nor_leave_their_room():
    draw = random.Random(3)
    points = [(draw.uniform(0, 400), draw.uniform(0, 300)) for _ in range(60)]
    texts = [f"Language {at}" for at in range(40)]
    placed, without = place(points, texts, 9.5, (0, 0, 400, 300), 5)
    assert len(placed) + len(without) == 40
    assert len(placed) > 20
    boxes = [(p.x, p.y - 5.7, p.x + width(texts[p.index], 9.5), p.y + 5.7) for p in placed]
    for at, a in enumerate(boxes):
        assert a[0] >= 0
        assert a[2] <= 400
        assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
                       for b in boxes[:at])  # fmt: skip
        assert not any(a[0] < x < a[2] and a[1] < y < a[3] for x, y in points)


def test_families_have_every_score_on_one_scale():
    one = drawn(40, 3)
    figures = families.draw(one)
    assert [f.name for f in figures] == [
        "families-flores200-eng_Latn-x",
        "families-flores200-x-eng_Latn",
    ]
    read = Read(figures[0])
    own = [line for line in one.lines["chrf++"] if side(line.row)[1] == "eng_Latn-x"]
    panels = re.findall(r'data-g="(panel-\d+)"', figures[0].svg)
    for system, name in enumerate(("candidate", "baseline", "others")):
        found = [v for p in panels for v in read.marks(p, f"{name}:{p[6:]}")]
        expected = sorted(line.scores[system]["chrf++"].value for line in own)
        assert sorted(found) == approx(expected, abs=0.3)
    of = [languages.table()[line.row.tgt_lang].family for line in own]
    assert f"Indo-European ({of.count('Indo-European')})" in read.texts()
    assert families.draw(drawn(20, 12)) == []


def questions(keys, names=("new", "old"), metric="acc"):
    own = [about(f"{b}_{k}", lang=k, family=b) for b in ("xcopa", "belebele") for k in keys]
    draw = random.Random(5)
    old = [draw.uniform(0.3, 0.8) for _ in own]
    values = [[v + draw.gauss(0.01, 0.05) for v in old], *([old] * (len(names) - 1))]
    values[0][1] = None
    return assemble(own, names, metric, values, minimum=0.01, spread=0.012)


@pytest.mark.parametrize("count", [2, 40])
def test_cells_of_questions_are_tinted_where_confirmed(count):
    one = questions(KEYS[:count])
    (figure,) = knowledge.draw(one)
    read = Read(figure)
    rows = one.pairs[0].rows
    confirmed = [row for row in rows if row.verdict in ("regressed", "improved")]
    tinted = [e for e in read.root.iter() if re.match(r"cell:(up|down)\d", e.get("data-g", ""))]
    assert len(tinted) == len(confirmed)
    there = [row for row in rows if row.delta is not None]
    written = [t for t in read.texts() if re.search(r"\d\.\d$", t)]
    assert sorted(float(t.split()[1].replace(MINUS, "-")) for t in written) == approx(
        sorted(100 * row.delta for row in there), abs=0.051
    )
    assert "missing" in read.texts()
    assert "Without a difference: xcopa, " in figure.note


def test_sections_without_a_figure_are_absent():
    def edit(values):
        values[0][:] = [None] * len(values[0])

    assert set(plots.draw(drawn(12))) == {"overview", "directions", "level", "families"}
    assert set(plots.draw(drawn(6, edit=edit))) == set()
    asked = plots.draw(questions(KEYS[:9], ("new", "old", "older")))
    assert set(asked) == {"overview", "groups", "knowledge"}
    assert [figure.fold for figure in asked["knowledge"]] == [False, True]


def test_names_from_anywhere_are_harmless():
    own = [*tasks(12), about(HOSTILE, "eng_Latn", HOSTILE, family="f<i>$")]
    values = [[50.0 + at for at in range(13)], [52.0] * 13]
    one = assemble(own, (HOSTILE, f"{HOSTILE}2"), "chrf++", values)
    names = set()
    for figures in plots.draw(one).values():
        for figure in figures:
            assert re.fullmatch(r"[\w-]+", figure.name, re.ASCII)
            assert figure.name not in names
            names.add(figure.name)
            root = ET.fromstring(figure.svg)  # noqa: S314
            assert root.find(".//{*}b") is None
            text = "".join(root.itertext()) + figure.note + figure.title + figure.alt
            assert "\u202e" not in text
            assert max(len(t.text or "") for t in root.iterfind(".//{*}text")) < 120
            ET.fromstring(figure.files["svg"])  # noqa: S314


def test_the_same_comparison_is_the_same_bytes():
    assert plots.draw(drawn(4, 3)) == plots.draw(drawn(4, 3))


def test_a_shortened_name_ends_between_characters():
    assert short("ab") == "ab"
    assert short("e\u0301" * 40, 5) == "e\u0301e\u0301…"
    assert "\n" not in short("a\nb")
    assert len(short("\u202e" * 100, 20)) <= 21
