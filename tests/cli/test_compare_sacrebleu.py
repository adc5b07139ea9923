"""``compare --sacrebleu-compatible`` prints what ``sacrebleu.significance.PairedTest`` says."""

import json

import pytest
from compare_lab import good
from conftest import sentences
from sacrebleu import BLEU, CHRF
from sacrebleu.significance import PairedTest

from bayling_eval.cli.main import main

PAIR, TASK = "eng_Latn-deu_Latn", "flores200_eng_Latn-deu_Latn"
OUTPUTS = {"base": good(3), "one": good(5), "two": good(2)}


@pytest.fixture
def run(tmp_path, system, monkeypatch, capsys):
    for name, outputs in OUTPUTS.items():
        system(name, outputs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)

    def invoke(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["compare", "-q", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


@pytest.mark.parametrize("test", ["bs", "ar"])
def test_every_number_is_sacrebleus(run, test):
    words = ("--metric", "bleu", "--metric", "chrf++", "--sacrebleu-compatible", test)
    code, out, _ = run("one", "base", "two", *words, "--json")
    document = json.loads(out)
    assert (code, document["schema"]) == (0, "bayling_eval.paired/1")
    rows = {(r["metric"], r["system"]): r for r in document["rows"] if r["task"] == TASK}
    assert len(rows) == 6
    named = [(name, OUTPUTS[name][PAIR]) for name in ("base", "one", "two")]
    made = {"bleu": BLEU(), "chrf++": CHRF(word_order=2)}
    theirs = PairedTest(named, made, [sentences("deu_Latn")], test, 1000 if test == "bs" else 10000)
    _, scores = theirs()
    for metric, found in zip(made, [v for k, v in scores.items() if k != "System"], strict=True):
        for (name, _), result in zip(named, found, strict=True):
            row = rows[metric, name]
            assert row["role"] == ("baseline" if name == "base" else "system")
            assert row["p_value"] == result.p_value
            assert row["value"] == pytest.approx(result.score, abs=1e-9)
            if test == "bs":
                assert row["mean"] == pytest.approx(result.mean, abs=1e-9)
                assert row["ci"] == pytest.approx(result.ci, abs=1e-9)


def test_the_table_says_what_its_p_values_are(run):
    code, out, _ = run("one", "base", "--metric", "bleu", "--sacrebleu-compatible", "ar")
    assert code == 0
    assert "not corrected for many directions" in out
    assert "ar:10000|seed:12345" in out
    _, few, _ = run("one", "base", "--sacrebleu-compatible", "ar", "--trials", 200)
    assert "ar:200|seed:12345" in few


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("one", "base", "--by", "script"), 2, "has no averages and no verdicts: leave out --by"),
        (("one", "base", "--metric", "empty_rate"), 2, "sacrebleu has no paired test of it"),
        (("one", "one"), 2, "is named twice: name two systems"),
        (("one", "base", "--metric", "spbleu-flores200"), 4, "no score of the same documents"),
    ],
)
def test_what_sacrebleus_table_cannot_hold_is_one_line(run, words, code, message):
    found, out, err = run(*words, "--sacrebleu-compatible", "bs")
    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1
