"""``report --series`` on the command line, and what it leaves in a folder that was there."""

import json

import pytest
from series_lab import PAIRS

from bayling_eval import statistics
from bayling_eval.cli.main import main

pytest_plugins = ["report_page", "series_lab"]

WORDS = ("--series", "mine", "--metric", "chrf++", "--resamples", "200")
STEPS = ((100, 4), (200, 15), (300, 2))


@pytest.fixture
def run(tmp_path, capsys):
    """Return a function that runs `report r`; it returns the exit code and what was printed."""

    def run(*words):
        places = ("--results", tmp_path / "results", "--reports", tmp_path / "reports", "-q")
        code = main([str(word) for word in ("report", "r", *words, *places)])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def checkpoints(checkpoint):
    return [checkpoint(step, every, PAIRS[:6]) for step, every in STEPS]


def test_the_command_writes_a_page_and_its_json(checkpoints, run, tmp_path):
    folder = tmp_path / "reports" / "r"
    assert run(*WORDS)[:2] == (0, f"{folder / 'index.html'}\n")
    assert "mine" in (folder / "index.html").read_text(encoding="utf-8")
    found = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert found["schema"] == "bayling_eval.report_series/1"
    assert [one["step"] for one in found["steps"]] == [100, 200, 300]
    command = found["provenance"]["command"].split()
    assert command[:5] == ["bayling-eval", "report", "r", "--series", "mine"]
    assert "--trials" not in command
    assert {"bayling-eval", "python", "numpy"} <= found["provenance"]["versions"].keys()
    before = (folder / "report.json").read_bytes()
    # The command that it names writes the same again.
    assert main([*command[1:], "-q"]) == 0
    assert (folder / "report.json").read_bytes() == before


def test_json_names_page_and_series(checkpoints, run, tmp_path):
    code, out, _ = run(*WORDS, "--reference", "step-200", "--json")
    found = json.loads(out)
    page = str(tmp_path / "reports" / "r" / "index.html")
    assert (code, found["schema"]) == (0, "bayling_eval.reports/1")
    assert found["rows"] == [{"page": page, "series": "mine"}]


def test_nothing_of_a_series_is_tested(checkpoints, run, monkeypatch, tmp_path):
    def tested(*args):
        raise AssertionError("tested")

    monkeypatch.setattr(statistics, "randomisation_ps", tested)
    monkeypatch.setattr(statistics, "check_resolution", tested)
    suite = tmp_path / "own.toml"
    # Too few for two tests; a suite says them for all that compares with it.
    text = '[[tasks]]\nuse = "flores200"\n[compare]\ntrials = 1\n'
    suite.write_text(text, encoding="utf-8")
    assert run(*WORDS, "--suite", suite)[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--candidate", "step-100"), "is a report of its own: leave out --candidate"),
        (("--baseline", "step-100"), "is a report of its own: leave out --baseline"),
        (("--trials", 500), "of its own, in which nothing is tested: leave out --trials"),
        (("--rules", "rules.toml"), "is a report of its own: leave out --rules"),
        (("--history", "report.json"), "is a report of its own: leave out --history"),
        (("--weights", "speakers"), "is a report of its own: leave out --weights"),
        (("--single-file",), "is a report of its own: leave out --single-file"),
        (("--pdf",), "is a report of its own: leave out --pdf"),
        (("--by", "sripct"), "script"),
        (("--reference", "step-500"), "step-500"),
    ],
)
def test_what_a_series_would_not_heed_is_refused(checkpoints, run, tmp_path, words, said):
    code, out, err = run(*WORDS, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "reports").exists()


def test_a_series_leaves_nothing_of_a_comparison_of_its_name(checkpoints, run, tmp_path):
    folder = tmp_path / "reports" / "r"
    pair = ("--candidate", "step-300", "--baseline", "step-200", "--trials", "300")
    run(*pair, "--metric", "chrf++", "--resamples", "200", "--pdf")
    (folder / "samples").mkdir(exist_ok=True)
    (folder / "samples" / "dir-1.js").write_text("old", encoding="utf-8")
    (folder / "notes.txt").write_text("the user's own", encoding="utf-8")
    old = {path for path in folder.rglob("*") if path.is_file()}
    assert {"brief.pdf", "scores.csv"} <= {path.name for path in old}
    assert run(*WORDS)[0] == 0
    kept = {path.name for path in old if path.exists()}
    assert kept == {"index.html", "report.json", "notes.txt"}
    assert [path.name for path in (folder / "tables").iterdir()] == ["series.csv"]
    run(*pair, "--metric", "chrf++", "--resamples", "200")
    assert not (folder / "tables" / "series.csv").exists()
    assert not list((folder / "figures").glob("curve-*"))
