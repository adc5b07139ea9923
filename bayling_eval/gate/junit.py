"""Gates as JUnit XML, which CI systems show: one suite a gate, one case a gate and a row.

The elements and attributes are those that Jenkins' xUnit plugin takes (jenkinsci/xunit-plugin,
junit-10.xsd at commit 031e285e), which is stricter than what others read.
"""

import itertools
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree as ET

from bayling_eval.gate.outcomes import GateOutcome, GateRow, Judgement
from bayling_eval.gate.words import sample_lines, visible
from bayling_eval.macro import group_of

CASES = 500
"""Cases of a file: a viewer draws each."""
_MESSAGE = 600
# What a file with too many rows drops first stands last.
_RANKS = {"fail": 0, "waived": 1, "warn": 2, "pass": 3}


def write(judgement: Judgement, properties: Mapping[str, str]) -> bytes:
    """Return the file; ``properties`` say what was judged, and stand in every suite.

    Texts may be hostile: what XML cannot hold is spelt out. Of more than 500 cases the passing ones
    are left out first; ``cases left out`` counts them.
    """
    wanted = [row for row in judgement.rows if _is_case(row)]
    ranked = sorted(range(len(wanted)), key=lambda n: (_RANKS[wanted[n].outcome], n))
    kept = set(ranked[: max(CASES - len(judgement.gates), 0)])
    left_out = len(wanted) - len(kept)
    told = {**properties, "cases left out": str(left_out)} if left_out else properties
    rows = [row for n, row in enumerate(wanted) if n in kept]
    root = ET.Element("testsuites", name="bayling-eval gate")
    for gate in judgement.gates:
        root.append(_suite(gate, [row for row in rows if row.gate == gate.gate], told))
    if judgement.verdict in ("incomplete", "incomparable"):
        root.append(_unsettled(judgement))
    totals = {
        key: str(sum(int(suite.attrib[key]) for suite in root))
        for key in ("tests", "failures", "errors")
    }
    root.attrib.update(totals)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _is_case(row: GateRow) -> bool:
    """Return whether a row is a case: all that a gate protects, else what does not simply pass."""
    return row.outcome in ("fail", "waived", "warn") or (
        row.rule == "protected" and row.outcome == "pass"
    )


def _suite(gate: GateOutcome, rows: list[GateRow], properties: Mapping[str, str]) -> ET.Element:
    cases = [_gate_case(gate), *map(_row_case, rows)]
    found = [child.tag for case in cases for child in case]
    suite = ET.Element(
        "testsuite",
        name=visible(gate.gate),
        tests=str(len(cases)),
        failures=str(found.count("failure")),
        errors="0",
        skipped=str(found.count("skipped")),
    )
    told = ET.SubElement(suite, "properties")
    for key, value in properties.items():
        ET.SubElement(told, "property", name=visible(key), value=visible(value, _MESSAGE))
    suite.extend(cases)
    return suite


def _unsettled(judgement: Judgement) -> ET.Element:
    """Return an error: what cannot be judged is no success, whatever the gates say."""
    suite = ET.Element("testsuite", name="verdict", tests="1", failures="0", errors="1")
    case = ET.SubElement(suite, "testcase", classname="gate.verdict", name="verdict")
    message = visible(judgement.sentence, _MESSAGE)
    error = ET.SubElement(case, "error", type=judgement.verdict, message=message)
    error.text = "\n".join([message, *map(visible, judgement.pair.incomplete[:CASES])])
    return suite


def _gate_case(gate: GateOutcome) -> ET.Element:
    case = ET.Element("testcase", classname=f"gate.{gate.gate}", name=visible(gate.gate))
    said = f"{gate.gate}: observed {gate.observed}; asked for: {gate.limit}"
    _add_outcome(case, gate.outcome, said, gate.where)
    return case


def _row_case(row: GateRow) -> ET.Element:
    side = [group_of(row.src_lang, row.tgt_lang)] if row.tgt_lang else []
    classname = ".".join(["gate", row.gate, *filter(None, [row.family]), *side])
    case = ET.Element("testcase", classname=visible(classname), name=visible(row.name))
    said = row.sentence
    if row.waiver:
        said = f"waived until {row.waiver.expires} by {row.waiver.by}: {row.waiver.reason}; {said}"
    shown = sample_lines(row.sample) if row.sample else []
    _add_outcome(case, row.outcome, said, (f"{what}: {text}" for what, text in shown))
    return case


def _add_outcome(
    case: ET.Element, outcome: str, said: str, lines: Iterator[str] | list[str]
) -> None:
    message = visible(said, _MESSAGE)
    if outcome == "fail":
        failure = ET.SubElement(case, "failure", type="regression", message=message)
        failure.text = "\n".join(itertools.chain([message], map(visible, lines)))
    elif outcome != "pass":
        ET.SubElement(case, "skipped", message=message)
