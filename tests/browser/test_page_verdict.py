"""The verdict in a browser: gates lead to the rows that fail them, and count as the table does."""

from dataclasses import replace

import pytest
from browser_lab import SCRIPTS
from report_lab import Invention, invent

from bayling_eval.gate import judge, rules
from bayling_eval.report import build

pytest_plugins = ["browser_lab"]

RULES = """
[[gates]]
id = "regressions"
rule = "count"

[[gates]]
id = "many"
rule = "count"
verdict = ["improved", "leans_up", "no_change"]
max = 400

[[gates]]
id = "hebrew"
rule = "protected"
languages = "heb_Hebr"
limit = 0.01
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """The page of an invented candidate that is judged by three gates."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "rules.toml").write_text(RULES, encoding="utf-8")
    pairs = [p for key in SCRIPTS for p in (("eng_Latn", key), (key, "eng_Latn"))]
    # Of this seed several directions are confirmed losses.
    what = Invention(("invented-new", "invented-old"), pairs, seed=3)
    report = invent(folder / "results", what)
    found = judge.judge(rules.load(folder / "rules.toml"), report.found[0])
    return build.write(replace(report, judged=found), folder / "reports")


def test_a_gate_is_reached_by_its_link_and_leads_to_rows(visit, judged):
    one = visit(judged)
    one.page.locator(".failing a", has_text="regressions").click()
    assert one.fragment == "gate-regressions"
    assert not one.covered("#gate-regressions")
    link = one.page.locator("#gate-regressions td a").first
    row = link.get_attribute("href")[1:]
    link.click()
    assert one.fragment == row
    assert not one.covered(f"[id='{row}']")


def test_gates_headline_list_and_table_count_alike(visit, judged):
    one = visit(judged)
    rows = one.page.locator("#directions td.word", has_text="regressed").count()
    assert rows > 0
    observed = one.page.locator("#gate-regressions td").nth(1).inner_text().split("\n")[0]
    listed = one.page.locator("#regressions > .scroll tbody tr").count()
    tally = one.page.locator("#counts li", has_text="regressed").inner_text()
    assert [int(observed), listed, int(tally.split()[1])] == [rows] * 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_a_page_with_gates(visit, judged, scheme):
    one = visit(judged, color_scheme=scheme)
    one.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert one.violations() == ""
