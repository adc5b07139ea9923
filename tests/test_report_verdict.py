"""The verdict of the page: gates, losses, published scores beside it."""

import json
import re

import pytest
from report_page import TRIALS, Page

from bayling_eval.cli.main import main

pytest_plugins = ["report_page"]

RULES = """
[[gates]]
id = "regressions"
rule = "count"

[[gates]]
id = "german"
rule = "protected"
languages = "deu_Latn"
limit = 1.0
family = "flores200"
side = "eng_Latn-x"

[[gates]]
id = "coverage"
rule = "coverage"
min = 0.5

[[gates]]
id = "empty"
rule = "health"
metric = "empty_rate"
max_change = 0.9

[[waivers]]
gate = "regressions"
language = "zho_Hans"
reason = "a hostile </script><svg/onload=alert(1)> reason"
by = "us"
expires = 2999-01-01
"""


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(RULES, encoding="utf-8")
    return path


@pytest.fixture
def judged(make, rules, tmp_path):
    """The page with rules, its report.json, and what the verb `gate` says."""
    page = make("--rules", rules)[1]
    document = json.loads((tmp_path / "reports/r/report.json").read_text(encoding="utf-8"))
    return page, document


def gate(rules, tmp_path, capsys) -> dict:
    capsys.readouterr()
    words = ["gate", rules, "new", "old", "--trials", TRIALS, "--results", tmp_path / "results"]
    main([str(word) for word in [*words, "--json", "-q"]])
    return json.loads(capsys.readouterr().out)


def test_the_page_says_what_the_verb_says(judged, rules, tmp_path, capsys):
    page, document = judged
    said = gate(rules, tmp_path, capsys)
    assert document["rules"]["sentence"] == said["sentence"]
    assert document["rules"]["gates"] == said["rows"]
    assert said["sentence"][1:] in Page(page).words
    outcomes = re.findall(r'<tr id="gate-(\w+)">.*?class="st (\w+)"', page, re.DOTALL)
    assert outcomes == [(row["gate"], row["outcome"]) for row in said["rows"]]


def test_gates_verdict_and_table_count_alike(judged):
    page, document = judged
    rows = [r for r in document["rows"] if r["metric"] == "chrf++"]
    regressed = [r["task"] for r in rows if r["verdict"] == "regressed"]
    (gate,) = [g for g in document["rules"]["gates"] if g["gate"] == "regressions"]
    assert gate["n_fail"] + gate["n_waived"] == len(regressed) > 0
    assert f"{len(regressed)} of {len(rows)} directions regressed" in Page(page).words
    listed = page[page.index('id="regressions"') :].partition("</section>")[0]
    shown = re.findall(r'<th scope="row"><a href="#(dir-[^"]+)"', listed)
    assert {f"dir-{task}" for task in regressed} <= set(shown)


def test_every_link_of_a_gate_leads_somewhere(judged):
    parsed = Page(judged[0])
    ids = set(parsed.attributes("id"))
    links = {link[1:] for link in parsed.attributes("href") if link.startswith("#")}
    assert "gate-regressions" in links
    assert {link.partition("?")[0] for link in links} <= ids


def test_a_metric_of_the_rules_is_compared_too(judged):
    metrics = {row["metric"] for row in judged[1]["rows"]}
    assert {"chrf++", "empty_rate"} <= metrics


def test_without_rules_no_page_says_ready(page):
    assert "No release rules were given" in Page(page).words
    assert "ready" not in Page(page).words.lower()


def test_a_hostile_reason_of_a_waiver_is_text(judged):
    assert "<svg/onload" not in judged[0]
    assert "a hostile </script><svg/onload=alert(1)> reason" in Page(judged[0]).words


def test_rules_with_a_fault_write_nothing(make, tmp_path, results, capsys):
    (tmp_path / "bad.toml").write_text('[[gates]]\nid = "a"\nrule = "cuont"\n', encoding="utf-8")
    words = ["report", "r", "--candidate", "new", "--baseline", "old", "--rules"]
    words += [str(tmp_path / "bad.toml"), "--results", str(results)]
    assert main([*words, "--reports", str(tmp_path / "reports")]) == 2
    assert "count" in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()


def test_one_metric_written_in_two_ways_is_refused(make, tmp_path, results, capsys):
    text = '[[gates]]\nid = "a"\nrule = "count"\nmetric = "bleu:tokenize=char"\n'
    (tmp_path / "two.toml").write_text(text, encoding="utf-8")
    words = ["report", "r", "--candidate", "new", "--baseline", "old", "--trials", str(TRIALS)]
    words += ["--rules", str(tmp_path / "two.toml"), "--results", str(results)]
    assert main([*words, "--reports", str(tmp_path / "reports"), "-q"]) == 2
    assert "add --metric bleu:tokenize=char" in capsys.readouterr().err


def test_code_that_rules_name_does_not_run_unless_it_is_agreed_to(tmp_path, results, capsys):
    (tmp_path / "mine.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    text = f'[[gates]]\nid = "a"\nrule = "count"\nmetric = "{tmp_path}/mine.py:Mine"\n'
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    words = ["report", "r", "--candidate", "new", "--baseline", "old", "--rules"]
    words += [str(tmp_path / "mine.toml"), "--results", str(results)]
    assert main([*words, "--reports", str(tmp_path / "reports"), "-q"]) == 2
    assert "if you trust it" in capsys.readouterr().err


# Published scores


def test_published_scores_stand_beside_and_are_not_tested(make, tmp_path):
    _, page = make("--published", "NLLB-200", baselines=("old",))
    words = Page(page).words
    assert "1 system has no number of these tasks" in words
    assert "NLLB-200: its numbers are of others" in words
    document = json.loads((tmp_path / "reports/r/report.json").read_text(encoding="utf-8"))
    assert document["published"] == []
