import pytest
from test_report_causes import line, score

from bayling_eval.report.ranks import SYSTEMS, ranks

NAMES = ["new", "old", *(f"other-{n}" for n in range(SYSTEMS - 2))]


def made(rows: list[list[float | None]], metric: str = "chrf++"):
    lines = []
    for row in rows:
        one = line([], [])
        scores = tuple({metric: score(metric, value)} for value in row)
        about = one.row.model_copy(update={"metric": metric})
        lines.append(type(one)(about, (), scores, {}))
    return lines


def test_ranks_are_those_of_the_scores_and_equal_scores_share_them():
    rows = [[50, 40, 40, 30, 20, 10, 5]] * 6
    found = {one.system: one for one in ranks(made(rows), NAMES, 0.5)}
    assert [found[name].mean for name in NAMES] == [1, 2.5, 2.5, 4, 5, 6, 7]
    assert (found["new"].low, found["new"].high, found["new"].n) == (1, 1, 6)
    assert sum(one.mean for one in found.values()) == sum(range(1, SYSTEMS + 1))


def test_wins_and_ties_are_against_the_deciding_baseline_by_the_minimum_effect():
    rows = [[delta, 0.0, *[1.0] * (SYSTEMS - 2)] for delta in (0.4, 0.5, 0.6, -0.5, -0.51, -9)]
    found = {one.system: one for one in ranks(made(rows), NAMES, 0.5)}
    new, old = found["new"], found["old"]
    assert (new.wins, new.ties, new.losses) == (1, 3, 2)
    assert (old.wins, old.ties, old.losses) == (0, 6, 0)


def test_where_lower_is_better_the_lowest_is_first():
    rows = [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]] * 5
    best = ranks(made(rows, "empty_rate"), NAMES, 0.01)[0]
    assert (best.system, best.mean, best.wins) == ("new", 1, 5)


def test_a_direction_that_a_system_lacks_is_left_out_for_all():
    rows = [[50, 40, 40, 30, 20, 10, 5]] * 5
    holed = [*rows, [50, None, 40, 30, 20, 10, 5]]
    assert ranks(made(rows), NAMES, 0.5) == ranks(made(holed), NAMES, 0.5)


def test_scores_that_were_computed_in_another_way_are_not_ranked():
    lines = made([[50, 40, 40, 30, 20, 10, 5]] * 5)
    lines[0].scores[3]["chrf++"] = score("chrf++", 30, signature="other")
    assert ranks(lines, NAMES, 0.5) == []


@pytest.mark.parametrize(("systems", "directions"), [(SYSTEMS - 1, 9), (SYSTEMS, 4)])
def test_few_systems_or_directions_have_no_ranks(systems, directions):
    rows = [[float(n) for n in range(systems)]] * directions
    assert ranks(made(rows), NAMES[:systems], 0.5) == []
