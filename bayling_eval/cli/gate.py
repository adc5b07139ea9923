"""``bayling-eval gate``."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayling_eval import store
from bayling_eval.cli import common
from bayling_eval.cli.compare_options import Asked, compare_each, compare_options, under
from bayling_eval.errors import UserError
from bayling_eval.method import Method
from bayling_eval.provenance import digest_file, versions

if TYPE_CHECKING:
    # Rules load numpy, which most verbs do without.
    from bayling_eval.gate.outcomes import GateOutcome, GateRow, Judgement
    from bayling_eval.gate.rules import Rules

_COLUMNS = ("gate", "outcome", "asked for", "observed", "detectable", "where")
_ROWS = 20
"""Failing rows of a gate that are printed; the document has all."""
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("rules_file", metavar="RULES", type=click.Path(path_type=Path))
@click.argument("candidate")
@click.argument("baseline")
@click.option("--junit", type=_FILE, metavar="FILE", help="Write JUnit XML too.")
@click.option("--summary", type=_FILE, metavar="FILE", help="Write a summary in Markdown too.")
@compare_options
@common.format_option
@common.results_option
def command(
    *,
    rules_file: Path,
    candidate: str,
    baseline: str,
    junit: Path | None,
    summary: Path | None,
    asked: Asked,
    form: str,
    as_json: bool,
    results: Path,
    quiet: bool,
    verbose: bool,
) -> int:
    """Say whether CANDIDATE may take BASELINE's place, by RULES, a TOML file.

    The rules name the metrics and averages. The last line is the verdict. Exit codes: 1 a gate
    fails; else 3 or 4 as `compare` has them; else 0, also where gates warn.
    """
    from bayling_eval.gate import judge, rules

    found = rules.load(rules_file)
    _check(found, asked, (junit, summary), (str(rules_file), candidate, baseline))
    # First: code that nobody agreed to would run in what follows.
    asked = under(found, asked)
    found.check_directions()
    chosen, other = store.find(results, candidate), store.find(results, baseline)
    asked = replace(asked, names=found.metrics, by=found.groupings)
    (pair,) = compare_each(chosen, [other], asked, quiet=quiet)
    judged = judge.judge(found, pair, asked.references)
    words = ["bayling-eval", "gate", str(rules_file), candidate, baseline]
    words += [*replace(asked, names=(), by=()).words, "--results", str(results)]
    _write(judged, shlex.join(words), junit, summary, asked.method)
    if as_json or form in ("json", "csv"):
        document = _document(judged, shlex.join(words))
        common.emit(document, "json" if as_json else form, _COLUMNS)
    else:
        _print(judged, form)
    if judged.failed:
        return 1
    common.judge([pair])
    return 0


def _check(rules: "Rules", asked: Asked, files: Sequence[Path | None], read: Sequence[str]) -> None:
    """Refuse what the rules leave no room for, and files of no use."""
    beside = [name for name in asked.names if name not in rules.metrics]
    if beside:
        raise UserError(f"--metric {beside[0]}: no gate of {rules.path} is about it")
    for path in filter(None, files):
        # A device would be replaced by a file.
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UserError(f"{path} is no plain file: name one that may be written")
        others = [*map(Path, read), *(other for other in files if other and other is not path)]
        if path.resolve() in {other.resolve() for other in others}:
            raise UserError(f"{path} is read or written already: name another file")


def _write(
    judged: "Judgement", command: str, junit: Path | None, summary: Path | None, method: Method
) -> None:
    from bayling_eval.gate import junit as xml
    from bayling_eval.gate import summary as markdown

    if summary:
        store.write_atomic(summary, markdown.write(judged, command).encode("utf-8", "replace"))
    if junit:
        pair = judged.pair
        properties = {
            "verdict": judged.sentence,
            "rules": judged.rules.path,
            "rules sha256": digest_file(Path(judged.rules.path)),
            **{
                f"version of {name}": v for name, v in versions("bayling-eval", "sacrebleu").items()
            },
            "trials": str(method.trials),
            "resamples": str(method.resamples),
            "command": command,
        }
        for what, system in ("candidate", pair.candidate), ("baseline", pair.baseline):
            properties[what] = system.label
            properties[f"{what} digest"] = system.model.digest
            for cell in system.cells():
                name = f"{what} settings of {cell.family} {cell.selection}"
                properties[name] = cell.settings_file.digest
        store.write_atomic(junit, xml.write(judged, properties))


def _document(judged: "Judgement", command: str) -> dict[str, Any]:
    return {
        "schema": "bayling_eval.gate/1",
        "verdict": judged.verdict,
        "sentence": judged.sentence,
        "candidate": judged.pair.candidate.label,
        "baseline": judged.pair.baseline.label,
        "rules": judged.rules.path,
        "rows": [gate.model_dump() for gate in judged.gates],
        "details": [row.model_dump() for row in judged.rows],
        "waivers": [waiver.model_dump() for waiver in judged.waivers],
        "notes": list(judged.notes),
        "incomplete": judged.pair.incomplete,
        "command": command,
    }


def _print(judged: "Judgement", form: str) -> None:
    pair = judged.pair
    _say(f"{pair.candidate.name} against {pair.baseline.name}, {judged.rules.path}", form)
    rows = [_row(gate) for gate in judged.gates]
    common.emit({"rows": rows}, form, _COLUMNS)
    click.echo("")
    for gate in judged.gates:
        found = [row for row in judged.rows if row.gate == gate.gate and row.outcome == "fail"]
        if found:
            _say(f"{gate.gate} fails: observed {gate.observed}; asked for: {gate.limit}", form)
            _print_rows(found, form)
            click.echo("")
    waived = [row for row in judged.rows if row.waiver]
    said = [f"waived: {row.gate}: {row.sentence}; {_by(row)}" for row in waived]
    for line in (*said, *(f"note: {note}" for note in judged.notes)):
        _say(line, form)
    _say(judged.sentence, form)


def _print_rows(rows: "Sequence[GateRow]", form: str) -> None:
    from bayling_eval.gate.words import sample_lines

    for row in rows[:_ROWS]:
        _say(f"  {row.sentence}", form)
        for what, text in sample_lines(row.sample) if row.sample else ():
            _say(f"    {what:9}  {text}", form)
    if len(rows) > _ROWS:
        _say(f"  … and {len(rows) - _ROWS} more (--json has all)", form)


def _by(row: "GateRow") -> str:
    waiver = row.waiver
    return f"by {waiver.by} until {waiver.expires}: {waiver.reason}" if waiver else ""


def _say(line: str, form: str) -> None:
    from bayling_eval.gate.summary import escaped
    from bayling_eval.gate.words import visible

    line = visible(line, 2_000)
    if form == "md":
        indent = "  " * ((len(line) - len(line.lstrip())) // 2 - 1)
        item = f"{indent}- " if line.startswith("  ") else ""
        line = f"{item}{escaped(line.strip(), 2_000)}" + ("" if item else "\n")
    click.echo(f"% {line}" if form == "latex" else line)


def _row(gate: "GateOutcome") -> dict[str, object]:
    from bayling_eval.gate.words import listed, size

    finds = None if gate.detectable_effect is None else size(_name(gate), gate.detectable_effect)
    return {
        "gate": gate.gate,
        "outcome": gate.outcome,
        "asked for": gate.limit,
        "observed": gate.observed,
        "detectable": finds,
        "where": listed(gate.where, 3) or None,
    }


def _name(gate: "GateOutcome") -> str:
    from bayling_eval.metrics import MetricSpec

    return MetricSpec.parse(gate.metric or "").name
