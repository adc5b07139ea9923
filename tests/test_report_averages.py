"""What the page says of averages: of few, of other groups, weighted; and of documents."""

import json
import re

import pytest
from conftest import SEGMENTS
from report_page import TRIALS, Page

from bayling_eval import store
from bayling_eval.compare import MARKS, averaged, compare
from bayling_eval.macro import Grouping, Weights
from bayling_eval.method import Method
from bayling_eval.report import summary, view

pytest_plugins = ["report_page"]

CHRF = "chrf++"


def overview(page: str) -> list[list[str]]:
    """Return the cells of each row of the first overview table, as words."""
    table = page.split('id="overview"')[1].split("</table>", 1)[0]
    rows = table.split("<tr")[2:]
    return [[Page(c).words for c in re.findall(r"<t[hd].*?</t[hd]>", r, re.DOTALL)] for r in rows]


def report_json(tmp_path):
    return json.loads((tmp_path / "reports" / "r" / "report.json").read_text(encoding="utf-8"))


def test_where_there_is_no_mean_each_direction_is_listed(page, document):
    rows = {cells[1]: cells[3] for cells in overview(page)[:4]}
    assert list(rows) == [
        "All directions",
        "English → X",
        "X → English",
        "German → Chinese (Simplified)",
    ]
    listed = {
        r["group"]: r["members"]
        for r in document["macro"]
        if (r["metric"], r["baseline"], r["tasks"]) == (CHRF, "old", "pair")
    }
    tested = [r for r in document["rows"] if (r["metric"], r["baseline"]) == (CHRF, "old")]
    for said, group in (("English → X", "eng_Latn-x"), ("X → English", "x-eng_Latn")):
        assert rows[said].startswith("no mean of fewer than 5 directions")
        members = [row for row in tested if row["task"] in listed[f"flores200 {group}"]]
        for row in members:
            change = view.number(row["delta"], CHRF, signed=True)
            interval = view.interval(row["ci_low"], row["ci_high"], CHRF)
            name = view.tongue(row["tgt_lang"]).name
            told = f"{name} {MARKS[row['verdict']]} {change} {interval}"
            assert told in rows[said]
        assert rows[said].count("→") == len(members) > 1
    assert "→" not in rows["All directions"]
    tile = page.split("<h3>X → English</h3>")[1].split("</div>")[0]
    assert tile.count("<li>") == len(listed["flores200 x-eng_Latn"]) == 2


def test_what_every_baseline_has_is_a_second_labelled_row(page, document):
    (shown,) = (cells for cells in overview(page) if "every baseline" in cells[1])
    # What `third` lacks is all that they differ in, so that its own mean is this one already.
    assert shown[:2] == ["old", "All directionsthose that every baseline has"]
    common = [r for r in document["macro"] if (r["metric"], r["tasks"]) == (CHRF, "common")]
    mean = next(r["delta"] for r in common if r["group"] == "flores200 all")
    assert shown[2:4] == ["5/5", view.number(mean, CHRF, signed=True)]
    # Each verdict of these five directions is counted once.
    assert sum(map(int, shown[6:])) == 5
    # They are no tiles, and the headline's line is about all directions.
    assert page.count('<div class="tile">') == 4
    assert page.count('<p class="also">') == 1


def test_other_groups_are_shown_beside_the_usual_ones(make, tmp_path):
    page = make("--by", "script", "--by", "xlmr")[1]
    groups = [cells[1] for cells in overview(page)]
    assert groups[:2] == ["All directions", "English → X"]
    assert "English → X, script Latn" in groups
    assert "X → English, XLM-R covered" in groups
    assert page.count('<div class="tile">') == 4
    made = {row["by"] for row in report_json(tmp_path)["macro"]}
    assert made == {"suite", "side", "language-family", "script", "speakers", "xlmr"}


def test_weighted_means_have_a_column_and_say_what_they_are_of(make, tmp_path):
    path = tmp_path / "w.csv"
    path.write_text("deu_Latn,3\nzho_Hans,1\n", encoding="utf-8")
    page = make("--weights", path)[1]
    row = next(r for r in report_json(tmp_path)["macro"] if r["group"] == "flores200 all")
    whole, side = overview(page)[:2]
    interval = view.interval(row["weighted_ci_low"], row["weighted_ci_high"], CHRF)
    said = f"{view.number(row['weighted_delta'], CHRF, signed=True)} {interval}"
    assert whole[6].startswith(said)
    # Three directions are about German, two about Chinese, and Thai has no weight.
    effective = (3 * 3 + 2 * 1) ** 2 / (3 * 3**2 + 2 * 1**2)
    assert whole[6].endswith(f"5 have a weight, effective n {effective:.1f}")
    assert len(side) == len(whole) - 3
    assert "Weighted mean<small>95 % interval, by w.csv</small>" in page
    other = tmp_path / "other.csv"
    other.write_text("swh_Latn,1\n", encoding="utf-8")
    assert overview(make("--weights", other)[1])[0][6] == "no weights"


def test_groups_of_another_grouping_count_their_own_verdicts(results):
    systems = [store.find(results, name) for name in ("new", "old")]
    weights = Grouping(("script",), Weights("one", {"deu_Latn": 1.0}))
    (found,) = averaged([compare(*systems, method=Method(trials=TRIALS))], weights)
    made = [s for s in summary.summaries(found, "old", CHRF, asked=("script",)) if s.extra]
    counted = {s.group: (s.n, s.n_expected, sum(s.counts.values())) for s in made}
    assert counted == {
        "English → X, script Hans": (1, 1, 1),
        "English → X, script Latn": (1, 1, 1),
        "English → X, script Thai": (1, 1, 1),
        "X → English, script Hans": (1, 1, 1),
        "X → English, script Latn": (1, 1, 1),
        "X → English, script Thai": (0, 1, 1),
        "X → Chinese (Simplified), script Latn": (1, 1, 1),
    }


@pytest.mark.parametrize("documents_known", [True])
def test_the_page_says_where_documents_stay_whole(page, document):
    words = Page(page).words
    assert "Documents are drawn and swapped as wholes." in words
    assert page.count(f"{SEGMENTS}<small>in {SEGMENTS // 3} documents</small>") == 6
    told = document["provenance"]["statistics"]
    assert (told["clustered_tests"] > 0, told["unclustered_tests"]) == (True, 0)
    assert {row["clusters"] for row in document["rows"]} == {SEGMENTS // 3, None}


@pytest.mark.parametrize("documents_known", [True])
def test_documents_can_be_left_out(make):
    words = Page(make("--unclustered")[1]).words
    assert "Unclustered: segments are drawn and swapped one by one" in words
    assert f"in {SEGMENTS // 3} documents" not in words
    assert "--unclustered" in words


def test_nothing_is_said_to_be_compared_on_outputs_that_strict_refuses(make):
    code, page = make("--strict", "--min-effect", "chrf++=2.5")
    words = Page(page).words
    assert code == 4
    assert "settings differ: settings of the candidate unknown" in words
    assert "so they are compared as they are" not in words
    assert "and at least 2.5 chrF++" in words
    assert "Documents are drawn" not in words
