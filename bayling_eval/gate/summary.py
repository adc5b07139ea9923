"""Gates as Markdown, for the summary of a CI job or a comment on a pull request.

GitHub drops a whole step summary over 1,024 kB and a comment over 64 kB, so one text of less than
60 kB serves both.
"""

from collections import Counter
from collections.abc import Sequence

from bayling_eval.gate.outcomes import GateOutcome, GateRow, Judgement
from bayling_eval.gate.words import change, finite, interval, sample_lines, visible
from bayling_eval.macro import group_of

LIMIT = 60_000
"""Bytes that a summary never reaches."""
REGRESSIONS = 15
"""Failing rows that are told one by one."""
MARKS = {"pass": "✅", "warn": "⚠️", "fail": "❌", "waived": "✋", "allowed": "☑️"}
# Bytes for each part; groups have what is left.
_ROOM = {"gates": 12_000, "failing": 22_000, "waivers": 6_000, "notes": 3_000, "command": 4_000}
_FRAME = 1_000
_SENTENCE = 600

# As references to characters these are text, whatever stands around them.
_HTML = {ord(c): f"&#{ord(c)};" for c in "&<>`|@"}
# GitHub finds @name and #1 in the text that it shows: a word joiner keeps them from being links.
_MARKUP = {
    **{ord(c): f"&#{ord(c)};" for c in "&<`|*[\\~$"},
    **{ord(c): f"&#{ord(c)};&#8288;" for c in "@#"},
}


def write(judgement: Judgement, command: str) -> str:
    """Return the summary; ``command`` is what makes it again."""
    failing = [row for row in judgement.rows if row.outcome == "fail"]
    head = [f"**{escaped(judgement.sentence)}**", "", _title(judgement), ""]
    gates = _fit([*_GATES, *map(_gate, judgement.gates)], _ROOM["gates"], "gates")
    worst = _fit(
        [_failing(row) for row in failing[:REGRESSIONS]],
        _ROOM["failing"],
        "failing rows",
        len(failing) - REGRESSIONS,
    )
    told = ["", "### What fails", "", *worst] if failing else []
    waived = [_waived(row) for row in judgement.rows if row.outcome == "waived"]
    if waived:
        waived = ["", "### Waived", "", *_fit(waived, _ROOM["waivers"], "waived rows")]
    notes = _fit([f"- {escaped(note)}" for note in judgement.notes], _ROOM["notes"], "notes")
    if notes:
        notes = ["", "### Notes", "", *notes]
    made = command if len(command.encode()) <= _ROOM["command"] else "(too long to be shown here)"
    again = ["", "Made by", "", "<pre>", _pre(made, len(made)), "</pre>", ""]
    fixed = [*head, *gates, *told, *waived, *notes, *again]
    room = LIMIT - _FRAME - sum(len(line.encode()) + 1 for line in fixed)
    groups = _groups(judgement, room)
    return "\n".join([*head, *gates, *told, *groups, *waived, *notes, *again])


def escaped(text: str, limit: int = _SENTENCE) -> str:
    """Return a text as Markdown that shows it and does nothing."""
    return visible(text, limit).translate(_MARKUP)


def _title(judgement: Judgement) -> str:
    pair = judgement.pair
    names = f"`{pair.candidate.label}` against `{pair.baseline.label}`"
    return f"{names}, rules {escaped(judgement.rules.path)}"


_GATES = ("| | gate | asked for | observed | where |", "| --- | --- | --- | --- | --- |")


def _gate(gate: GateOutcome) -> str:
    where = ", ".join(gate.where[:5]) + (f" and {len(gate.where) - 5} more" * (len(gate.where) > 5))
    cells = [escaped(text) for text in (gate.gate, gate.limit, gate.observed, where)]
    return f"| {MARKS[gate.outcome]} {gate.outcome} | {' | '.join(cells)} |"


def _failing(row: GateRow) -> str:
    lines = [f"- **{escaped(row.gate)}** {escaped(row.sentence)}"]
    if row.sample:
        texts = [f"{what:10}{text}" for what, text in sample_lines(row.sample)]
        shown = "\n".join(_pre(text, 2 * _SENTENCE) for text in texts)
        lines += [
            f"<details><summary>segment {row.sample.doc_id + 1}</summary>",
            f"<pre>\n{shown}\n</pre></details>",
            "",
        ]
    return "\n".join(lines)


def _waived(row: GateRow) -> str:
    if row.waiver is None:
        return ""
    by = f"by {row.waiver.by} until {row.waiver.expires}: {row.waiver.reason}"
    return f"- **{escaped(row.gate)}** {escaped(row.sentence)}; waived {escaped(by)}"


def _groups(judgement: Judgement, room: int) -> list[str]:
    """Return what does not pass, side by side, folded."""
    members: dict[str, list[GateRow]] = {}
    for row in judgement.rows:
        if row.task is not None and row.outcome != "pass":
            side = f" {group_of(row.src_lang, row.tgt_lang)}" if row.tgt_lang else ""
            members.setdefault(f"{row.family}{side}", []).append(row)
    found: list[str] = []
    left = len(members)
    for name, rows in sorted(members.items()):
        head = [
            "",
            f"<details><summary>{escaped(name)}: {_counts(rows)}</summary>",
            "",
            "| | row | gate | difference | interval |",
            "| --- | --- | --- | --: | --: |",
        ]
        room -= sum(len(line.encode()) + 1 for line in head) + _FRAME
        if room < _FRAME:
            break
        own = _fit([_row(row) for row in rows], room, "rows")
        room -= sum(len(line.encode()) + 1 for line in own)
        found += [*head, *own, "", "</details>"]
        left -= 1
    return [*found, f"\n… and {left} more groups, left out here"] if left else found


def _counts(rows: Sequence[GateRow]) -> str:
    said = Counter(row.outcome for row in rows)
    return ", ".join(f"{n} {outcome}" for outcome, n in said.items())


def _row(row: GateRow) -> str:
    metric = row.metric or ""
    # Of a floor there is no difference, and the interval is that of the score.
    judged = finite(row.ci_low, row.ci_high) and row.rule != "floor"
    ends = interval(metric, row.ci_low, row.ci_high) if judged else ""
    delta = change(metric, row.delta)
    cells = [escaped(text) for text in (row.name, row.gate, delta, ends)]
    return f"| {MARKS[row.outcome]} {row.outcome} | {' | '.join(cells)} |"


def _pre(text: str, limit: int) -> str:
    return visible(text, limit).translate(_HTML)


def _fit(lines: Sequence[str], room: int, what: str, more: int = 0) -> list[str]:
    """Return whole lines that fit into some bytes, and a count of those left out and ``more``."""
    found: list[str] = []
    for line in lines:
        room -= len(line.encode()) + 1
        if room < 100:
            break
        found.append(line)
    left = len(lines) - len(found) + max(more, 0)
    return [*found, f"\n… and {left} more {what}, left out here"] if left else found
