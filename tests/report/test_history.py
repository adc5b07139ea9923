"""Earlier releases on the page, and the drift since the best of them."""

import json
import math
from statistics import NormalDist
from types import SimpleNamespace

import pytest
from report_page import Page

from bayling_eval import store
from bayling_eval.cli.main import main
from bayling_eval.errors import UserError
from bayling_eval.records import Score
from bayling_eval.report import history, releases, render
from bayling_eval.rows import status_rows

pytest_plugins = ["report_page"]

CHRF = "chrf++"
LANGS = ["deu_Latn", "fra_Latn", "spa_Latn", "tha_Thai", "rus_Cyrl", "swh_Latn"]
TASK = "flores200_eng_Latn-deu_Latn"
REPORT = SimpleNamespace(headline=CHRF, names=("now", "base"))


def score(lang, value, *, system="now", metric=CHRF, stderr=0.5, **told):
    fields = {
        "system": system,
        "model": "m" * 8,
        "settings": "s" * 8,
        "task": f"flores200_eng_Latn-{lang}",
        "family": "flores200",
        "src_lang": "eng_Latn",
        "tgt_lang": lang,
        "lang": None,
        "selection": "all",
        "num_fewshot": None,
        "metric": metric,
        "signature": "sig",
        "value": value,
        "stderr": stderr,
        "higher_is_better": True,
        "n": 10,
        "documents_digest": "d",
        "settings_digest": "s",
        "status": "ok",
    }
    return Score(**{**fields, **told})


def release(path, name, values, *, verdicts=("regressed", "improved", "improved"), **told):
    """Write the report.json of a release with these scores of its candidate and of a baseline."""
    row = {"metric": CHRF, "baseline": "old", "delta": 1.0}
    scores = [score(lang, value, system=name, **told) for lang, value in values.items()]
    scores += [score(lang, 1.0, system="old", model="o" * 8) for lang in values]
    about = {"group": "flores200 all", "by": "suite", "tasks": "pair", "metric": CHRF}
    found = {
        "schema": "bayling_eval.report/1",
        "name": f"r-{name}",
        "candidate": name,
        "baselines": ["old"],
        "headline_metric": CHRF,
        "rows": [{**row, "verdict": verdict} for verdict in verdicts],
        "macro": [
            {**about, "baseline": "old", "delta": 1.25, "ci_low": 1.0, "ci_high": 1.5}
            | {"n": 6, "n_expected": 6}
        ],
        "scores": [one.model_dump() for one in scores],
        "provenance": {
            "systems": [{"name": name, "role": "candidate", "label": f"{name}@{'m' * 8}"}]
        },
        "later": {"what this": "version does not know"},
    }
    file = path / f"{name}.json"
    file.write_text(json.dumps(found), encoding="utf-8")
    return file


def even(value):
    return dict.fromkeys(LANGS, value)


def read(paths, values=None, **told):
    rows = [score(lang, value, **told) for lang, value in (values or even(50.0)).items()]
    return history.read(releases.load(paths), REPORT, [rows, []])


def test_no_files_are_no_history():
    assert history.read((), REPORT, [[], []]) is None


def test_drift_is_since_the_best_release_with_an_interval_for_independent_systems(tmp_path):
    paths = [release(tmp_path, f"v{n}", even(value)) for n, value in ((1, 48), (2, 53), (3, 49))]
    found = read(paths)
    (drift,) = found.drifts
    assert drift.group == "flores200, all tasks"
    assert (drift.best.candidate, drift.n, drift.n_expected, drift.n_all) == ("v2", 6, 6, 6)
    assert drift.delta == pytest.approx(-3)
    # No correlation between directions can make the error of the mean more than the mean error.
    reach = NormalDist().inv_cdf(0.975) * math.hypot(0.5, 0.5)
    assert (drift.low, drift.high) == pytest.approx((-3 - reach, -3 + reach))
    first = found.releases[0]
    assert (first.regressed, first.improved, first.rows, first.shared) == (1, 2, 3, 6)
    assert [r.candidate for r in found.releases] == ["v1", "v2", "v3"]
    (mean,) = first.means
    assert (mean.delta, mean.words) == (1.25, "flores200, all tasks")


def test_scores_of_another_signature_documents_or_system_are_not_held_against(tmp_path):
    other = [
        release(tmp_path, "signature", even(90.0), signature="other"),
        release(tmp_path, "documents", even(90.0), documents_digest="other"),
        release(tmp_path, "unknown", even(90.0), documents_digest=None),
        release(tmp_path, "metric", even(90.0), metric="chrf"),
        release(tmp_path, "failed", even(90.0), status="stale"),
    ]
    found = read(other)
    assert [r.shared for r in found.releases] == [0] * 5
    (drift,) = found.drifts
    assert (drift.best, drift.delta, drift.n, drift.n_expected) == (None, None, 0, 6)
    assert drift.reason == "no release has a score with the same signature and documents"
    assert found.figures == ()
    (drift,) = read([*other, release(tmp_path, "v1", even(49.0))]).drifts
    assert (drift.best.candidate, drift.delta) == ("v1", 1.0)


def test_a_release_with_few_of_the_tasks_does_not_choose_the_best(tmp_path):
    few = release(tmp_path, "few", {"deu_Latn": 99.0})
    low, high = release(tmp_path, "low", even(40.0)), release(tmp_path, "high", even(45.0))
    found = read([few, low, high])
    (drift,) = found.drifts
    assert (drift.best.candidate, drift.n_all) == ("high", 6)
    assert found.releases[0].shared == 1
    (figure,) = found.figures
    assert "few: too few of these tasks" in figure.svg


def test_fewer_than_five_tasks_have_no_mean(tmp_path):
    own = dict.fromkeys(LANGS[:4], 50.0)
    found = read([release(tmp_path, "v1", {**own, "deu_Latn": 53.0})], own)
    (drift,) = found.drifts
    assert drift.delta is None
    assert drift.reason == "no mean of fewer than 5"
    first = drift.members[0]
    assert (first.name, first.delta) == ("English → German", -3.0)
    assert found.figures == ()


def test_without_a_standard_error_there_is_no_interval(tmp_path):
    (drift,) = read([release(tmp_path, "v1", even(49.0), stderr=None)]).drifts
    assert (drift.delta, drift.low, drift.high) == (1.0, None, None)
    assert drift.reason == "a standard error is not known: no interval"


def test_faults_are_one_line_that_names_the_file(tmp_path):
    good = release(tmp_path, "v1", even(49.0))
    found = json.loads(good.read_text(encoding="utf-8"))
    rows = [{**one, "value": math.nan} for one in found["scores"]]
    huge = json.dumps(found).replace("49.0", "1e999")
    means = [{**one, "delta": -1e308} for one in found["macro"]]
    first, *rest = found["scores"]
    twice = [*found["scores"], {**first, "value": 40.0}]

    def changed(**told):
        return json.dumps({**found, "scores": [{**first, **told}, *rest]})

    faults = {
        "gone.json": (None, "No such file"),
        "text.json": ("no JSON", "not JSON"),
        "deep.json": ("[" * 100_000, "not JSON"),
        "list.json": ("[1]", "its schema is 'None' and not 'bayling_eval.report/1'"),
        "scores.json": ('{"schema": "bayling_eval.scores/1"}', "its schema is 'bayling_eval.sc"),
        "newer.json": ('{"schema": "bayling_eval.report/2"}', "written by a newer version"),
        "digits.json": (json.dumps({"schema": f"bayling_eval.report/{'9' * 5000}"}), "its schema"),
        "cut.json": ('{"schema": "bayling_eval.report/1"}', "field name: Field required"),
        "nan.json": (json.dumps({**found, "scores": rows}), "NaN is no JSON number"),
        "huge.json": (huge, "field scores.0.value: Input should be a finite number"),
        "large.json": (changed(value=1e308), f"the score of '{TASK}' is beyond 1e+12"),
        "wide.json": (changed(stderr=-1e308), "field scores.0.stderr: Input should be greater"),
        "minus.json": (changed(stderr=-0.1), "field scores.0.stderr: Input should be greater"),
        "mean.json": (json.dumps({**found, "macro": means}), "a mean of 'flores200 all' is beyond"),
        "twice.json": (json.dumps({**found, "scores": twice}), f"two scores of '{TASK}', of one"),
        "none.json": (json.dumps({**found, "baselines": []}), "field baselines:"),
        "again.json": (good.read_text(encoding="utf-8"), f"the same report as {good}"),
    }
    for name, (text, said) in faults.items():
        path = tmp_path / name
        if text is not None:
            path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError) as fault:
            read([good, path])
        assert str(fault.value).startswith(f"{path}: {said}"), name
        assert "\n" not in str(fault.value)
    with pytest.raises(UserError, match="the same report as"):
        read([good, good])


def test_a_score_that_is_listed_twice_alike_counts_once_and_other_metrics_may_be_large(tmp_path):
    path = release(tmp_path, "v1", even(49.0))
    found = json.loads(path.read_text(encoding="utf-8"))
    more = {**found["scores"][0], "metric": "word_perplexity", "value": 1e300}
    path.write_text(json.dumps({**found, "scores": [*found["scores"] * 2, more]}), encoding="utf-8")
    (drift,) = read([path]).drifts
    assert (drift.n, drift.delta) == (6, 1.0)


def test_a_damaged_file_is_told_before_anything_is_compared(make, monkeypatch, capsys, tmp_path):
    def compared(*args, **told):
        raise AssertionError("compared")

    monkeypatch.setattr("bayling_eval.cli.report.compare_each", compared)
    path = release(tmp_path, "v1", even(1e308))
    words = ["report", "r", "--candidate", "new", "--baseline", "old", "--history", str(path)]
    assert main([*words, "--results", str(tmp_path / "results"), "-q"]) == 2
    assert f"{path}: the score of '{TASK}' is beyond 1e+12" in capsys.readouterr().err


def rendered(found, names=("now", "base")) -> str:
    environment = render._environment()
    template = environment.from_string('{% include "history.jinja" %}')
    return template.render(history=found, names=names, headline=CHRF)


def test_the_section_says_what_was_found_and_nothing_without_history(tmp_path):
    assert rendered(None).strip() == ""
    hostile = release(tmp_path, "v1", even(53.0))
    text = hostile.read_text(encoding="utf-8").replace(
        '"r-v1"', '"<script>alert(1)</script>\\u202e"'
    )
    hostile.write_text(text, encoding="utf-8")
    gone = release(tmp_path, "v2", even(53.0), signature="other")
    page = rendered(read([hostile, gone]))
    words = Page(page).words
    assert "<script>alert(1)</script>" in words
    assert "\u202e" not in page
    assert "<script" not in page
    assert "\N{MINUS SIGN}3.00" in words
    assert "none: other tasks, signatures or documents" in words
    assert "nothing is tested here" in words
    assert Page(page).attributes("style") == []


def test_a_metric_that_is_not_known_here_is_only_named(tmp_path):
    path = release(tmp_path, "v1", even(53.0))
    text = path.read_text(encoding="utf-8").replace('"chrf++"', '"own.py:metric"')
    path.write_text(text, encoding="utf-8")
    found = read([path])
    assert found.releases[0].shared == 0
    assert "own.py:metric" in Page(rendered(found)).words


def test_a_written_report_is_a_release(make, results, tmp_path):
    make()
    path = tmp_path / "reports" / "r" / "report.json"
    systems = [store.find(results, name) for name in ("new", "old")]
    rows = [[row for cell in one.cells() for row in status_rows(cell)] for one in systems]
    report = SimpleNamespace(headline=CHRF, names=("new", "old"))
    found = history.read(releases.load([path]), report, rows)
    for drift in found.drifts:
        assert drift.n == drift.n_expected
        assert {m.delta for m in drift.members} <= {0.0}
        assert drift.delta in (None, 0.0)
    assert found.drifts[0].delta == 0.0
    document = json.loads(path.read_text(encoding="utf-8"))
    verdicts = [row["verdict"] for row in document["rows"] if row["metric"] == CHRF]
    assert found.releases[0].regressed == verdicts.count("regressed") > 0
    assert found.releases[0].rows == len(verdicts)
    assert found.releases[0].means[0].group == "flores200 all"
    other = history.read(releases.load([path]), report, rows[::-1])
    assert any(m.delta for drift in other.drifts for m in drift.members)
