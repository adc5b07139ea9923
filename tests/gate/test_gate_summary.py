"""The Markdown summary: short enough for a comment, and nothing in it acts."""

import re

import pytest
from gate_lab import TODAY, gate, missing, over_rows, to, waiver

from bayling_eval.gate import summary
from bayling_eval.gate.outcomes import Sample

NASTY = "@everyone | `rm` <script>x</script> </pre></details> [a](http://b) **b** #1 \u202e $x$"
COMMAND = "bayling-eval gate 'r|u`l<es.toml' new old"
TEXT = (
    gate("count")
    + gate("protected", languages="@all", limit=1)
    + gate("coverage", min=0.5)
    + waiver(TODAY, gate="count", language="tha_Thai")
)


def failing(n: int, **values: object):
    return [
        to("deu_Latn", task=f"t{i}", delta=-9.0, verdict="regressed", **values) for i in range(n)
    ]


def with_samples(found, text: str):
    sample = Sample(
        doc_id=7, source=text, reference=text, candidate=text, baseline=text,
        candidate_score=0.0, baseline_score=1.0,
    )  # fmt: skip
    rows = tuple(row.model_copy(update={"sample": sample}) for row in found.rows)
    return type(found)(found.rules, found.pair, found.gates, rows, found.waivers, found.notes)


def test_verdict_gates_failures_and_command(tmp_path):
    rows = [*failing(1), to("tha_Thai", delta=-5.0, verdict="regressed"), to("fra_Latn"), missing()]
    found = over_rows(tmp_path, TEXT, rows)
    text = summary.write(found, "bayling-eval gate r.toml new old")
    lines = text.split("\n")
    assert lines[0] == "**not ready: 2 of 3 gates fail; 1 waiver used**"
    assert len([line for line in lines if re.match(r"\| (❌|✅|⚠️)", line)]) == 3 + 5
    assert "| ✅ pass | coverage | at least 50 % of the tasks | 3/4 (75.0 %) |  |" in lines
    assert "- **count** eng_Latn-deu_Latn: chrf++ 50.0 -&#62; " not in text
    assert any(line.startswith("- **count** eng_Latn-deu_Latn: chrf++ 50.0") for line in lines)
    assert "<details><summary>flores200 eng_Latn-x: " in text
    waived = text.split("### Waived")[1]
    assert "eng_Latn-tha_Thai" in waived
    assert "no data &#124; &#60;b>" in waived
    assert text.endswith("<pre>\nbayling-eval gate r.toml new old\n</pre>\n")


@pytest.mark.parametrize("extra", ["", NASTY * 40, "\U0001f600<&" * 2_000])
def test_400_failing_rows_stay_under_the_limit(tmp_path, extra):
    rows = failing(400, candidate_value=1.0)
    found = with_samples(over_rows(tmp_path, TEXT, rows), extra)
    long = tuple(
        row.model_copy(update={"name": row.name + extra, "sentence": row.sentence + extra})
        for row in found.rows
    )
    notes = (extra,) * 100
    found = type(found)(found.rules, found.pair, found.gates, long, found.waivers, notes)
    text = summary.write(found, COMMAND + extra)
    assert len(text.encode()) < summary.LIMIT
    told = int(re.search(r"… and (\d+) more failing rows", text).group(1))
    assert told == 800 - len(re.findall("^- \\*\\*", text.split("### Waived")[0], re.MULTILINE))
    left = int(re.search(r"… and (\d+) more rows, left out", text).group(1))
    shown = len(re.findall(r"^\| ❌ fail \| eng", text, re.MULTILINE))
    assert left + shown == 800
    assert text.count("<details>") == text.count("</details>")
    assert text.count("<pre>") == text.count("</pre>")


def test_400_gates_of_texts_stay_under_the_limit(tmp_path):
    found = over_rows(tmp_path, TEXT, failing(3))
    gates = tuple(
        one.model_copy(update={"where": [NASTY * 9] * 9}) for one in found.gates for _ in range(99)
    )
    many = type(found)(found.rules, found.pair, gates, found.rows, ())
    text = summary.write(many, COMMAND)
    assert len(text.encode()) < summary.LIMIT
    assert re.search(r"… and \d+ more gates, left out", text)


def test_hostile_texts_are_shown_and_do_nothing(tmp_path):
    rows = [*failing(2), missing(reason=NASTY, task="t9")]
    found = with_samples(over_rows(tmp_path, TEXT, rows), NASTY)
    noted = type(found)(found.rules, found.pair, found.gates, found.rows, found.waivers, (NASTY,))
    text = summary.write(noted, COMMAND)
    # Tags are ours alone.
    assert set(re.findall(r"<(/?\w+)", text)) == {
        "details", "/details", "summary", "/summary", "pre", "/pre"
    }  # fmt: skip
    assert not re.search(r"(?<!\w)@\w", text)
    assert "`rm`" not in text
    # Within pre no Markdown is read.
    outside = re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)
    assert "[a](" not in outside
    assert "**b**" not in outside
    assert not re.search(r"(?<!&)#1", outside)
    assert "\u202e" not in text
    assert "\\u202e" in text
    for line in text.split("\n"):
        if line.startswith("| "):
            assert line.count("|") == 6


def test_a_text_looks_as_it_is(tmp_path):
    from html import unescape

    shown = unescape(summary.escaped("a|b `c` @d <e> [f] *g* eng_Latn-deu_Latn"))
    assert shown.replace("\u2060", "") == "a|b `c` @d <e> [f] *g* eng_Latn-deu_Latn"
