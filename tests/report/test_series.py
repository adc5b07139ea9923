"""Curves over the checkpoints of a series, and what fell since its best step."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from report_page import Page
from series_lab import PAIRS, differences, system

from bayling_eval import store
from bayling_eval.cli import report_series
from bayling_eval.cli.compare_options import Asked
from bayling_eval.compare import compare
from bayling_eval.errors import IncomparableError, UserError
from bayling_eval.method import Method
from bayling_eval.report import falls, series
from bayling_eval.report.falls import WORDS
from bayling_eval.report.figures.curves import Axis, Course, course, multiples, spark
from bayling_eval.statistics import simultaneous

pytest_plugins = ["series_lab"]

METHOD = Method(trials=300, resamples=200)
CHRF = "chrf++"
TASKS = [f"l{n}" for n in range(6)]
X_ENGLISH = [pair for pair in PAIRS if pair.endswith("-eng_Latn")]


def measured(tmp_path, *, names=(CHRF,), **asked):
    systems = series.find(tmp_path / "results", "mine")
    return series.measure(series.Order("mine", systems, METHOD, names=names, **asked))


def written(tmp_path, *, names=(CHRF,), by=(), **told):
    asked = Asked(names, (), METHOD, by, None)
    folders = (tmp_path / "results", tmp_path / "reports")
    return report_series.write("r", "mine", asked, folders, quiet=True, **told)


def whole(found, metric=CHRF):
    (curve,) = (c for c in found.groups if (c.metric, c.by) == (metric, "suite"))
    return curve


def marks_of(svg: str, group: str) -> list[float]:
    """Return the values of the marks of a group, by the labels of the vertical axis."""
    ticks = re.findall(
        r'data-g="ytick">.*?<path d="M [\d.]+ ([\d.]+) .*?<text [^>]*>([^<]+)</text>', svg
    )
    (y0, v0), (y1, v1) = (
        (float(y), float(text.replace("\N{MINUS SIGN}", "-"))) for y, text in (ticks[0], ticks[-1])
    )
    marks = re.findall(rf'data-g="{group}"(.*?)</g>', svg)
    return [
        v0 + (float(y) - y0) * (v1 - v0) / (y1 - y0)
        for y in re.findall(r'<use [^>]*\by="([\d.]+)"', marks[0] if marks else "")
    ]


def test_checkpoints_come_in_order_of_step_and_faults_are_told(tmp_path):
    def save(*systems):
        for one in systems:
            store.save(tmp_path / one.label / store.MODEL, one.model)

    save(system(2000), system(500), system(1500, series="other"), system(10_000))
    assert [s.model.step for s in series.find(tmp_path, "mine")] == [500, 2000, 10_000]
    for name, said in (
        ("mien", "unknown series 'mien'. Did you mean 'mine'?"),
        ("other", "series 'other' has one checkpoint, step-1500@00001500: curves need two"),
    ):
        with pytest.raises(UserError, match=re.escape(said)):
            series.find(tmp_path, name)
    save(system(2000, digest="abcdefabcdef"))
    both = "two systems at step 2,000: step-2000@00002000 and step-2000@abcdefab"
    with pytest.raises(UserError, match=both):
        series.find(tmp_path, "mine")
    save(system(None, series="other"))
    with pytest.raises(UserError, match="step-None@00000000 is of series 'other' and has no step"):
        series.find(tmp_path, "other")


def test_a_damaged_last_step_is_falling_and_its_loss_is_the_difference(checkpoint, tmp_path):
    made = [checkpoint(step, n) for step, n in ((100, 4), (200, 15), (300, 2))]
    found = measured(tmp_path)
    curve = whole(found)
    assert (curve.n, curve.n_expected, curve.best_step, curve.verdict) == (12, 12, 200, "falling")
    assert curve.points[0].value == 0
    pair = compare(made[2], made[1], names=(CHRF,), method=METHOD)
    (mean,) = (row for row in pair.macro if row.by == "suite")
    assert curve.loss == pytest.approx(mean.delta)
    assert curve.comparisons == 2
    # The interval is for both comparisons of the last step, so wider than that of one.
    assert curve.loss_ci_low < mean.ci_low < mean.ci_high < curve.loss_ci_high < 0
    rows = {row.task: row for row in pair.rows}
    for task in found.tasks:
        row = rows[task.group]
        assert task.loss == pytest.approx(row.delta)
        assert task.points[1].value == pytest.approx(row.baseline_value)
        # 12 tasks and 2 comparisons each.
        expected = simultaneous(row.delta, row.stderr, 24)
        assert (task.loss_ci_low, task.loss_ci_high) == pytest.approx(expected)
    losses = [abs(task.loss) for task in found.tasks]
    assert losses == sorted(losses, reverse=True)


def test_identical_checkpoints_are_never_falling(checkpoint, tmp_path):
    for step in (100, 200, 300):
        checkpoint(step, 4)
    found = measured(tmp_path)
    for curve in (whole(found), *found.tasks):
        assert (curve.verdict, curve.loss, curve.best_step) == ("best", 0.0, 300)


def test_another_checkpoint_leaves_the_earlier_points_as_they_were(checkpoint, tmp_path):
    for step, every in ((100, 4), (200, 5)):
        checkpoint(step, every)
    before = measured(tmp_path)
    checkpoint(300, 3)
    after = measured(tmp_path)
    assert whole(after).points[:2] == whole(before).points
    earlier = {curve.group: curve.points for curve in before.tasks}
    assert {curve.group: curve.points[:2] for curve in after.tasks} == earlier


def test_a_step_that_lacks_tasks_is_a_gap(checkpoint, tmp_path):
    for step, every in ((100, 4), (300, 6), (400, 6)):
        checkpoint(step, every)
    complete = whole(measured(tmp_path)).points
    checkpoint(200, 5, X_ENGLISH)
    page, found = written(tmp_path)
    curve = whole(found)
    assert [p for p in curve.points if p.step != 200] == complete
    gap = curve.points[1]
    assert (gap.value, gap.ci_low, gap.reason) == (None, None, "3 of 12 tasks")
    assert curve.comparisons == 2
    for task in found.tasks:
        lacking = task.points[1].value is None
        assert lacking == (task.group not in {f"flores200_{pair}" for pair in X_ENGLISH})
    drawing = next((page.parent / "figures").glob("curve-*.svg")).read_text(encoding="utf-8")
    assert len(marks_of(drawing, "missing")) == 1
    # One stretch after the gap; before it a mark stands alone.
    assert len(re.findall(r'data-g="line"', drawing)) == 1
    words = Page(page.read_text(encoding="utf-8")).words
    assert "step 200: chrF++: 3 of 12 tasks" in words
    assert "step-200 has no outputs for it" in words


@pytest.mark.parametrize("metric", [CHRF, "bits_per_byte", "acc"])
def test_marks_are_where_their_numbers_are(metric):
    values = (0.0, 3.25, None, 5.5, -1.75)
    ends = tuple(None if v is None else v + 0.5 for v in values)
    places = tuple(100.0 * at for at in range(5))
    one = Course("a", places, values, values, ends, tuple("abcde"), 3, down=True)
    axis = Axis("step", tuple((place, f"{place:g}") for place in places))
    drawing = course("curve", one, metric, axis, alt="a").svg
    scale = 100 if metric == "acc" else 1
    shown = [*marks_of(drawing, "points"), *marks_of(drawing, "fallen")]
    expected = [scale * v for v in values if v is not None]
    assert shown == pytest.approx(expected, abs=0.05 * scale)
    assert marks_of(drawing, "best") == pytest.approx([550.0 / 100 * scale], abs=0.05 * scale)
    assert len(marks_of(drawing, "missing")) == 1
    drawn = multiples("many", "Many", [one, one], metric, axis, levels=False, alt="a").svg
    for panel in ("0:", "1:"):
        found = [*marks_of(drawn, f"{panel}points"), *marks_of(drawn, f"{panel}fallen")]
        assert found == pytest.approx(expected, abs=0.1 * scale)


def test_a_sparkline_has_gaps_and_its_own_scale():
    values = (1.0, 2.0, None, 3.0, None, 1.0)
    places = tuple(map(float, range(6)))
    one = spark(Course("a", places, values, values, values, ("",) * 6, 3))
    assert len(one.lines) == 1
    assert one.lines[0].split(" ")[0] == "3,19"
    assert one.dots == (one.best, one.last)
    assert one.best[1] == 3
    assert spark(Course("a", (0.0, 1.0), (2.0, 2.0), (), (), ("", ""))).last == (87.0, 11.0)
    assert spark(Course("a", (0.0,), (None,), (None,), (None,), ("",))).last is None


def test_the_page_and_its_files_say_the_same(checkpoint, tmp_path):
    for step, every in ((100, 4), (200, 15), (300, 2)):
        checkpoint(step, every, PAIRS[:6], tokens=step * 1_000_000_000)
    names = (CHRF, "bleu")
    path, found = written(tmp_path, names=names, by=("script",))
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert "chrF++: 6 of 6 directions and 1 of 1 mean falling since the best step." in page.words
    curve = whole(found)
    said = f"best at step 200; now, at step 300, {curve.loss:.2f} ["
    assert said.replace("-", "\N{MINUS SIGN}") in page.words
    assert "on 6/6 directions" in page.words
    assert "BLEU Never averaged over languages" in page.words
    assert not {c.metric for c in found.groups} & {"bleu", "ter"}
    assert "Settings unknown:" in page.words
    assert page.attributes("style") == []
    assert page.attributes("src") == []
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    targets = [one[1:] for one in page.attributes("href") if one.startswith("#")]
    assert set(targets) <= set(ids)
    document = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))
    assert document["schema"] == "bayling_eval.report_series/1"
    assert document["x"] == "tokens"
    assert [falls.Curve.model_validate(one) for one in document["groups"]] == list(found.groups)
    lines = list(csv.DictReader(io.StringIO((path.parent / "tables/series.csv").read_text())))
    assert len(lines) == 3 * (len(found.groups) + len(found.tasks))
    own = [one["value"] for one in lines if (one["metric"], one["by"]) == (CHRF, "suite")]
    assert [float(value) for value in own] == [p.value for p in curve.points]
    before = {p: p.read_bytes() for p in path.parent.rglob("*.*")}
    written(tmp_path, names=names, by=("script",))
    assert {p: p.read_bytes() for p in path.parent.rglob("*.*")} == before


def test_another_reference_moves_the_curve_and_no_loss(checkpoint, tmp_path):
    made = [checkpoint(step, n) for step, n in ((100, 4), (200, 15), (300, 2))]
    first, second = whole(measured(tmp_path)), whole(measured(tmp_path, reference=made[1]))
    assert second.points[1].value == 0
    shift = first.points[1].value
    assert [p.value for p in second.points] == pytest.approx(
        [p.value - shift for p in first.points]
    )
    assert (second.loss, second.loss_ci_low) == pytest.approx((first.loss, first.loss_ci_low))
    with pytest.raises(UserError, match="is not of series 'mine': write one of step-100@"):
        measured(tmp_path, reference=system(100, series="other"))


def test_nothing_to_compare_is_told_after_the_page_is_written(checkpoint, tmp_path):
    checkpoint(100, 4, X_ENGLISH)
    checkpoint(200, 4, [pair for pair in PAIRS if pair not in X_ENGLISH])
    page, found = written(tmp_path)
    assert "nothing to compare" not in page.read_text(encoding="utf-8").split("<main")[0]
    with pytest.raises(IncomparableError):
        report_series.judge(found)


def fall(values, samples, *, metric=CHRF, higher=True, method=METHOD):
    systems = [system(100 * at) for at in range(len(values))]
    rows = differences(values, samples, metric=metric, higher=higher)
    (curve,) = falls.groups(systems, rows, ("suite",), method)
    return curve, falls.tasks(systems, rows, method)


def noisy(draw, levels, spread=1.0, resamples=200):
    """Return each step's values and resamples of every task, independent between steps."""
    values = [{t: level + draw.normal(0, spread) for t in TASKS} for level in levels]
    samples = [{t: own[t] + draw.normal(0, spread, resamples) for t in TASKS} for own in values]
    return values, samples


def test_the_best_of_ten_equal_steps_is_no_loss():
    draw = np.random.default_rng(3)
    naive = corrected = 0
    for _ in range(200):
        curve, _ = fall(*noisy(draw, [50.0] * 10), method=Method(min_effect={CHRF: 0.0}))
        corrected += curve.verdict == "falling"
        half = (curve.loss_ci_high or 0) - (curve.loss or 0)
        # What the interval would be of one comparison alone: z(0.975) over z(1 - 0.05 / 18).
        naive += curve.loss < 0 and curve.loss + half * 1.960 / 2.773 < 0
    assert corrected <= 10
    assert naive > 2 * max(corrected, 10)


@pytest.mark.parametrize("sign", [1, -1])
def test_which_way_is_worse_is_the_metrics(sign):
    draw = np.random.default_rng(1)
    metric = CHRF if sign > 0 else "bits_per_byte"
    values, samples = noisy(draw, [50.0, 50.0 + 5 * sign, 50.0], spread=0.1)
    curve, tasks = fall(values, samples, metric=metric, higher=sign > 0)
    assert (curve.verdict, curve.best_step) == ("falling", 100)
    assert curve.loss * sign < 0
    assert {task.verdict for task in tasks} == {"falling"}
    curve, _ = fall(values[:2], samples[:2], metric=metric, higher=sign > 0)
    assert (curve.verdict, curve.loss) == ("best", 0.0)


def test_a_loss_under_the_minimum_effect_is_real_but_small():
    draw = np.random.default_rng(1)
    values, samples = noisy(draw, [50.0, 50.3, 50.0], spread=0.01)
    assert fall(values, samples)[0].verdict == "below_minimum_effect"
    assert fall(values, samples, method=Method(min_effect={CHRF: 0.1}))[0].verdict == "falling"


def test_few_documents_show_no_loss():
    draw = np.random.default_rng(1)
    rows = differences(*noisy(draw, [50.0, 55.0, 50.0], spread=0.1))
    for steps in rows.values():
        for at, one in steps.items():
            steps[at] = replace(one, row=one.row.model_copy(update={"clusters": 4}))
    (curve,) = falls.groups([system(at) for at in range(3)], rows, ("suite",), METHOD)
    assert curve.verdict == "not_shown"
    assert curve.reason == "too few documents or segments (4) to tell a loss from chance"


def test_a_step_that_was_computed_otherwise_is_a_gap_and_a_missing_last_step_no_verdict():
    draw = np.random.default_rng(1)
    rows = differences(*noisy(draw, [50.0, 55.0, 50.0], spread=0.1))
    for steps in rows.values():
        steps[2] = replace(steps[2], row=steps[2].row.model_copy(update={"signature": "other"}))
    systems = [system(at) for at in range(3)]
    (curve,) = falls.groups(systems, rows, ("suite",), METHOD)
    assert (curve.verdict, curve.loss, curve.best_step) == ("missing", None, 1)
    assert curve.points[2].reason == "0 of 6 tasks"
    task = falls.tasks(systems, rows, METHOD)[0]
    assert task.points[2].reason == "computed or drawn otherwise than at the first step"


def test_few_tasks_have_no_mean():
    rows = differences(*noisy(np.random.default_rng(1), [50.0, 55.0]))
    few = dict(list(rows.items())[:4])
    (curve,) = falls.groups([system(0), system(1)], few, ("suite",), METHOD)
    assert [point.value for point in curve.points] == [None, None]
    assert (curve.members, curve.n) == (tuple(TASKS[:4]), 4)
    assert "fewer than 5" in curve.reason
    assert set(WORDS) >= {curve.verdict}
