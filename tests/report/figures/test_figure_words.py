"""What figures leave out, and what notes, alt texts and tips say of it."""

import re
from dataclasses import replace

import pytest
from figures_lab import MINUS, Read, about, approx, assemble, drawn, tasks

from bayling_eval import languages
from bayling_eval.records import Comparison
from bayling_eval.report import view
from bayling_eval.report.figures import directions, families, forest, knowledge, level
from bayling_eval.report.figures.drawn import plural, side
from bayling_eval.report.figures.svg import COLOURS

KEYS = [key for key, one in languages.table().items() if "flores200" in one.aliases]
REFUSED = {"delta": None, "verdict": "incomparable", "reason": "settings differ"}
pytest_plugins = ["figures_lab"]
pytestmark = pytest.mark.usefixtures("no_pdf")


def refused(one, tasks_, at=0):
    """Return what is drawn where the pairs of some tasks with one baseline are not comparable."""

    def edit(row: Comparison) -> Comparison:
        return row.model_copy(update=REFUSED) if row.task in tasks_ else row

    def others(line):
        return tuple(
            edit(row) if row and number == at else row for number, row in enumerate(line.others, 1)
        )

    lines = [
        replace(line, row=line.row if at else edit(line.row), others=others(line))
        for line in one.lines[one.metric]
    ]
    return replace(one, lines={one.metric: lines})


def questions(keys, change=0.5, spread=0.012):
    """Return a comparison of one benchmark of questions, each ``change`` better."""
    own = [about(f"xcopa_{key}", lang=key, family="xcopa") for key in keys]
    values = [[0.3 + change] * len(own), [0.3] * len(own)]
    return assemble(own, ("new", "old"), "acc", values, minimum=0.01, spread=spread)


def tips(figure, group):
    found = Read(figure).root.iterfind(f".//*[@data-g='{group}']//{{*}}use/{{*}}title")
    return [one.text for one in found]


def test_a_refused_pair_is_no_dumbbell_and_does_not_count():
    one = drawn(40)
    own = [line.row for line in one.lines["chrf++"] if side(line.row)[1] == "eng_Latn-x"]
    lost, rest = own[:3], own[3:]
    assert all(row.candidate_value is not None for row in lost)
    (figure, other) = families.draw(refused(one, {row.task for row in lost}))
    read = Read(figure)
    panels = re.findall(r'data-g="panel-(\d+)"', figure.svg)
    for name, field in (("candidate", "candidate_value"), ("baseline", "baseline_value")):
        found = [v for p in panels for v in read.marks(f"panel-{p}", f"{name}:{p}")]
        assert sorted(found) == approx(sorted(getattr(row, field) for row in rest), abs=0.3)
    assert f"better in {sum(row.delta > 0 for row in rest)} of {len(rest)}." in figure.alt
    assert "Not drawn, without a difference: 3 languages, the table says why: " in figure.note
    assert "Not drawn" not in other.note


def test_a_further_baseline_is_drawn_where_it_was_compared():
    one = drawn(2, 3)
    task = one.lines["chrf++"][0].row.task
    before, after = (families.draw(d) for d in (one, refused(one, {task}, at=1)))
    assert sum(len(Read(figure).marks("panel-0", "others:0")) for figure in before) == 2
    assert sum(len(Read(figure).marks("panel-0", "others:0")) for figure in after) == 1
    noted = [figure.note for figure in after if "Of the other baselines 1 score " in figure.note]
    assert len(noted) == 1


def test_sides_without_a_pair_are_no_figure():
    def edit(values):
        values[0][0] = None

    assert [f.name for f in families.draw(drawn(2, edit=edit))] == ["families-flores200-x-eng_Latn"]
    one = drawn(40)
    assert families.draw(refused(one, {row.task for row in one.rows})) == []


def test_a_candidate_with_questions_only_has_no_dumbbells():
    own = tasks(20)
    values = [[None] * 20, [40.0] * 20]
    assert families.draw(assemble(own, ("new", "old"), "chrf++", values)) == []


def test_members_are_called_by_name_and_each_counts_once():
    keys = [k for k in KEYS if languages.table()[k].family == "Indo-European"][:6]
    keys = [*keys, *(k for k in KEYS if languages.table()[k].family != "Indo-European")][:8]
    one = questions(keys)
    (figure,) = forest.groups(one)
    members = {
        text
        for name in re.findall(r'data-g="(member:\d:\w+)"', figure.svg)
        for text in tips(figure, name)
    }
    assert members
    named = {view.name_of(row) for row in one.pairs[0].rows}
    assert {re.match(r"▲ (.*): \+50.00 pp", text)[1] for text in members} <= named
    assert "None" not in figure.svg
    alone = int(re.search(r"drawn one by one: (\d+) improved", figure.alt)[1])
    assert alone == len(members) <= len(keys)
    assert figure.note.endswith("show their members as marks: no mean.")


def far(delta, verdict):
    """Return what is drawn where one direction is far off with a verdict."""

    def edit(values):
        values[0][4] = values[1][4] + delta

    one = drawn(40, edit=edit)
    task = tasks(40)[4]["task"]
    rows = [r.model_copy(update={"verdict": verdict}) if r.task == task else r
            for r in one.pairs[0].rows]  # fmt: skip
    return replace(one, pairs=(replace(one.pairs[0], rows=rows),))


@pytest.mark.parametrize(
    ("delta", "verdict", "end", "role"),
    [
        (-45, "regressed", "worse", "down"),
        (-45, "no_change", "worse", "mut"),
        (-45, "leans_down", "worse", "mut"),
        (45, "improved", "better", "up"),
        (45, "leans_up", "better", "mut"),
    ],
)
def test_beyond_the_scale_only_a_confirmed_change_has_a_colour(delta, verdict, end, role):
    (figure,) = level.draw(far(delta, verdict))
    names = re.findall(r'data-g="(mark:[\w-]+:off:[^"]+)"', figure.svg)
    assert names == [f"mark:eng_Latn-x:off:{end}:{role}"]
    (tip,) = tips(figure, names[0])
    assert tip.endswith(view.WORDS[verdict])
    assert f"f-{role}" in Read(figure).group(names[0]).get("class").split()
    assert "beyond the scale, with its number" in Read(figure).texts()
    assert "coloured only where it is confirmed" in figure.note


def test_without_anything_beyond_the_scale_the_legend_has_no_arrow():
    (figure,) = level.draw(drawn(6))
    assert "beyond the scale, with its number" not in Read(figure).texts()


def test_axes_around_zero_have_minus_signs():
    one = assemble(tasks(6), ("new", "old"), "empty_rate", [[0.0] * 6, [0.0] * 6], minimum=0.0)
    (figure,) = level.draw(one)
    texts = Read(figure).texts()
    assert f"{MINUS}1.0" in texts
    assert not [text for text in texts if re.match(r"-\d", text)]


def test_the_overview_says_ends_of_each_metric_and_baseline_by_what_is_better():
    values = [[at / 100 for at in range(20)], [0.02] * 20, [0.25] * 20]
    names, metric = ("new", "old", "other"), "empty_rate"
    one = assemble(tasks(20), names, metric, values, higher=False, minimum=0.01, spread=0.01)
    (figure,) = forest.overview(one)
    for pair, name in zip(one.pairs, ("old", "other"), strict=True):
        means = [m.delta for m in pair.macro if m.by in ("suite", "side")]
        worst, best = (view.number(end(means), metric, signed=True) for end in (max, min))
        pattern = rf"Empty outputs against {name}: worst is [^(]*\((.*?)\), best is [^(]*\((.*?)\)"
        said = re.search(pattern, figure.alt)
        assert said.groups() == (worst, best)


def test_metrics_are_not_ranked_with_each_other():
    asked = questions(KEYS[:9])
    one = drawn(40)
    pair = replace(one.pairs[0], rows=[*one.pairs[0].rows, *asked.pairs[0].rows],
                   macro=[*one.pairs[0].macro, *asked.pairs[0].macro])  # fmt: skip
    both = replace(one, pairs=(pair,), lines={**one.lines, **asked.lines})
    (figure,) = forest.overview(both)
    assert "Accuracy against base-1: xcopa" in figure.alt
    assert "(+50.00 pp)" in figure.alt
    assert re.search(r"chrF\+\+ against base-1: worst is [^;]* chrF\+\+\)\.", figure.alt)


@pytest.mark.parametrize(("count", "said"), [(0, "0 means"), (1, "1 mean"), (2, "2 means")])
def test_numbers_of_things_agree(count, said):
    assert plural(count, "mean") == said


def test_one_of_a_thing_is_singular():
    one, asked = drawn(1), questions(KEYS[:1])
    (dots,), (dumbbell,) = directions.draw(one), families.draw(one)
    (scatter,), (heat,) = level.draw(one), knowledge.draw(asked)
    assert "in 1 direction: " in dots.alt
    assert "of 1 language in 1 panel by" in dumbbell.alt
    assert "of 1 direction: " in scatter.alt
    assert "of 1 set of questions" in heat.alt
    (overview,) = forest.overview(questions(KEYS[:9]))
    assert "1 mean with two intervals. " in overview.alt


def test_tints_are_those_of_the_table():
    one = questions(KEYS[:9], 0.025, 0.004)
    tints = {view.tint(row) for row in one.pairs[0].rows}
    assert tints == {"up1"}
    (figure,) = knowledge.draw(one)
    assert set(re.findall(r'data-g="cell:(\w+)"', figure.svg)) == tints <= set(COLOURS)


@pytest.mark.parametrize(("families_", "cut"), [(20, False), (21, True)])
def test_an_overview_that_drops_sides_says_so(families_, cut):
    own = [
        about(f"{at}_{src}-{tgt}", src, tgt, family=f"set{at:02}")
        for at in range(families_)
        for src, tgt in (("eng_Latn", "ces_Latn"), ("ces_Latn", "eng_Latn"))
    ]
    values = [[51.0] * len(own), [50.0] * len(own)]
    (figure,) = forest.overview(assemble(own, ("new", "old"), "chrf++", values))
    sides = [text for text in Read(figure).texts() if "English → X" in text]
    assert bool(sides) is not cut
    said = "Sides in chrF++ would be over 60 rows: the table has them."
    assert (said in figure.note) is cut
