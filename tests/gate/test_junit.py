"""The JUnit file keeps to the strictest schema, whatever the texts hold."""

from xml.etree import ElementTree as ET

import pytest
from gate_lab import TODAY, gate, missing, over_rows, to, waiver

from bayling_eval.gate import junit
from bayling_eval.gate.outcomes import Sample

# jenkinsci/xunit-plugin, junit-10.xsd at commit 031e285e: children and attributes of each element,
# required ones first. A test case may hold any number of its children, in any order.
SCHEMA = {
    "testsuites": ({"testsuite"}, set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
        {"name", "tests", "failures", "errors"},
        {
            "group",
            "time",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
            "file",
            "log",
            "url",
        },
    ),
    "properties": ({"property"}, set(), set()),
    "property": (set(), {"name", "value"}, set()),
    "testcase": (
        {"skipped", "error", "failure", "system-out", "system-err"},
        {"name"},
        {"time", "classname", "group"},
    ),
    "skipped": (set(), set(), {"type", "message"}),
    "failure": (set(), set(), {"type", "message"}),
}
MIXED = {"skipped", "failure", "error", "system-out", "system-err"}
# The four ends of what XML 1.0 can hold, and what lies just outside; markup; a lone surrogate.
HOSTILE = "\x00\x08\x0b\x0c\x1f\ufffe\uffff\ud800 ]]> <!-- & \" ' <failure/> \u202e \x1b[2J \r\n\t"


def checked(document: bytes) -> ET.Element:
    """Parse a file, and hold it against the facts of the schema."""
    root = ET.fromstring(document)  # noqa: S314  # our own file
    assert root.tag == "testsuites"
    for element in root.iter():
        children, required, optional = SCHEMA[element.tag]
        assert {child.tag for child in element} <= children
        assert required <= set(element.attrib) <= required | optional
        if element.tag not in MIXED:
            assert not (element.text or "").strip()
        assert not (element.tail or "").strip()
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped"))
    return root


def names(root: ET.Element, outcome: str) -> set[str]:
    """Return the cases with an outcome."""
    return {case.attrib["name"] for case in root.iter("testcase") if case.find(outcome) is not None}


def test_one_suite_a_gate_and_one_case_a_row(tmp_path):
    text = (
        gate("count")
        + gate("protected", languages="@all", limit=1, inconclusive="warn")
        + gate("coverage", min=0.5)
        + waiver(TODAY, gate="count", language="tha_Thai")
    )
    rows = [
        to("deu_Latn", delta=-4.0, verdict="regressed"),
        to("tha_Thai", delta=-4.0, verdict="regressed"),
        to("fra_Latn"),
        missing(task="flores200_x", tgt_lang="zho_Hans", reason="timeout"),
    ]
    found = over_rows(tmp_path, text, rows)
    root = checked(junit.write(found, {"version": "1", "rules": "r.toml"}))
    assert [suite.attrib["name"] for suite in root] == ["count", "protected", "coverage"]
    counted, protected, coverage = root
    assert names(counted, "failure") == {"count", "eng_Latn-deu_Latn"}
    # What is missing warns, as may be what is waived; both are said.
    assert names(counted, "skipped") == {"eng_Latn-tha_Thai", "eng_Latn-zho_Hans"}
    messages = [skipped.attrib["message"] for skipped in counted.iter("skipped")]
    assert "waived until 2027-03-31 by @release: no data | <b>" in messages[0]
    assert "missing: timeout" in messages[1]
    # Each protected language is a case, also where it passes.
    assert {case.attrib["name"] for case in protected.iter("testcase")} == {
        "protected",
        *("eng_Latn-deu_Latn", "eng_Latn-tha_Thai", "eng_Latn-fra_Latn", "eng_Latn-zho_Hans"),
    }
    assert [case.attrib["name"] for case in coverage.iter("testcase")] == ["coverage"]
    case = protected.findall("testcase")[1]
    assert case.attrib["classname"] == "gate.protected.flores200.eng_Latn-x"
    assert case.find("failure").attrib["type"] == "regression"
    assert {one.attrib["name"]: one.attrib["value"] for one in root[0].iter("property")} == {
        "version": "1", "rules": "r.toml"
    }  # fmt: skip


def test_hostile_texts_are_legal_xml(tmp_path):
    sample = Sample(
        doc_id=0, source=HOSTILE, reference=HOSTILE, candidate=HOSTILE * 100, baseline=HOSTILE,
        candidate_score=0.0, baseline_score=1.0,
    )  # fmt: skip
    rows = [
        to("deu_Latn", delta=-4.0, verdict="regressed"),
        missing(task=HOSTILE, tgt_lang=None, src_lang=None, lang="x", reason=HOSTILE),
    ]
    found = over_rows(tmp_path, gate("count"), rows)
    shown = tuple(
        row.model_copy(update={"sample": sample, "sentence": HOSTILE + row.sentence})
        for row in found.rows
    )
    gates = tuple(one.model_copy(update={"where": [HOSTILE]}) for one in found.gates)
    hostile = type(found)(found.rules, found.pair, gates, shown, ())
    document = junit.write(hostile, {HOSTILE: HOSTILE})
    root = checked(document)
    (failure,) = [f for f in root.iter("failure") if "source" in f.text]
    assert "candidate: \\x00\\x08" in failure.text
    assert len(failure.text) < 4_000
    text = document.decode("utf-8")
    assert not any(ord(c) < 32 and c not in "\n\t" for c in text)
    assert "\u202e" not in text
    assert "<!--" not in text


@pytest.mark.parametrize("n", [100, 600])
def test_a_file_has_at_most_500_cases_and_says_what_it_leaves_out(tmp_path, n):
    text = gate("count") + gate("protected", languages="@all", limit=1)
    bad = [to("deu_Latn", task=f"bad{i}", delta=-9.0, verdict="regressed") for i in range(n // 2)]
    rows = [*(to("deu_Latn", task=f"good{i}") for i in range(n)), *bad]
    root = checked(junit.write(over_rows(tmp_path, text, rows), {}))
    cases = list(root.iter("testcase"))
    wanted = 2 + 2 * len(bad) + n
    assert len(cases) == min(wanted, 500)
    left = [one.attrib["value"] for one in root.iter("property")]
    assert left == ([str(wanted - 500)] * 2 if wanted > 500 else [])
    # What fails is told before what passes.
    assert len(list(root.iter("failure"))) == min(2 + 2 * len(bad), 500)
