"""What is written: the folder, ``report.json`` and ``tables/``."""

import itertools
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from bayling_eval import __version__, aggregate, metrics, statistics, store
from bayling_eval.gate.outcomes import GateOutcome, Judgement
from bayling_eval.provenance import versions
from bayling_eval.published import Context
from bayling_eval.records import Comparison, MacroRow, Score, Settings
from bayling_eval.report import causes, samples
from bayling_eval.report.contents import Contents, Report
from bayling_eval.store import System

SCHEMA = "bayling_eval.report/1"
_PACKAGES = ("jinja2", "matplotlib", "numpy", "pandas", "pyarrow", "sacrebleu")
_OWN = (
    "tables/*.csv",
    "tables/*.tex",
    "figures/*.svg",
    "figures/*.pdf",
    "samples/*.js",
    "brief.pdf",
)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a report in their order, by path inside its folder.

    What an earlier report of the same name wrote and this one did not is removed.
    """
    for name, content in files.items():
        store.write_atomic(folder / name, content)
    for pattern in _OWN:
        for path in folder.glob(pattern):
            if path.relative_to(folder).as_posix() not in files:
                path.unlink()


def json_bytes(value: Any) -> bytes:
    """Return a JSON value as it is written; numbers that are not finite are null."""
    text = json.dumps(aggregate.finite(value), ensure_ascii=False, allow_nan=False, indent=1)
    # A lone surrogate becomes its JSON escape.
    return f"{text}\n".encode("utf-8", "backslashreplace")


def made_with() -> dict[str, str]:
    """Return the versions that numbers and pages come from."""
    own = {"bayling-eval": __version__, "python": platform.python_version()}
    return own | versions(*_PACKAGES)


def tables(contents: Contents, scores: Sequence[Sequence[Score]]) -> dict[str, bytes]:
    """Return each table by its path: CSV whose cells are no formulas, and LaTeX."""
    report, names = contents.report, contents.report.names
    found = {name: pair.rows for name, pair in zip(names[1:], report.found, strict=True)}
    frames = {
        "scores": aggregate.frame(itertools.chain(*scores), Score),
        "comparisons": aggregate.frame(itertools.chain(*found.values()), Comparison),
        "macro": aggregate.frame(itertools.chain(*(pair.macro for pair in report.found)), MacroRow),
        "directions": aggregate.directions(dict(zip(names, scores, strict=True)), found),
    }
    if report.judged:
        frames["gates"] = aggregate.frame(report.judged.gates, GateOutcome)
    if report.published:
        frames["published"] = pd.DataFrame(report.published.document()["published"])
    files = {f"tables/{k}.csv": aggregate.csv_bytes(table) for k, table in frames.items()}
    if report.latex:
        files["tables/comparisons.tex"] = report.latex.encode("utf-8", "replace")
    return files


def document(contents: Contents, scores: Sequence[Sequence[Score]]) -> bytes:
    """Return ``report.json``: what the page says, as one JSON document."""
    report = contents.report
    published = report.published or Context((), {}, {})
    found = {
        "schema": SCHEMA,
        "name": report.name,
        "candidate": report.names[0],
        "baselines": list(report.names[1:]),
        "headline_metric": report.headline,
        "rules": report.judged and _judgement(report.judged),
        "rows": [row.model_dump() for pair in report.found for row in pair.rows],
        "macro": [row.model_dump() for pair in report.found for row in pair.macro],
        "scores": [row.model_dump() for rows in scores for row in rows],
        "ranks": [asdict(one) for one in contents.ranked],
        "causes": _causes(contents.lines),
        "samples": _samples(contents.shown),
        **published.document(),
        "provenance": contents.told,
    }
    return json_bytes(found)


def _judgement(judged: Judgement) -> dict[str, Any]:
    return {
        "path": judged.rules.path,
        "verdict": judged.verdict,
        "sentence": judged.sentence,
        "gates": [gate.model_dump() for gate in judged.gates],
        "rows": [row.model_dump() for row in judged.rows if row.outcome != "pass"],
        "waivers": [waiver.model_dump() for waiver in judged.waivers],
        "notes": list(judged.notes),
    }


def _causes(lines: Mapping[str, Sequence[aggregate.Line]]) -> list[dict[str, Any]]:
    return [
        {"task": loss.line.row.task, "metric": loss.line.row.metric, **asdict(loss.cause)}
        for loss in causes.losses(lines, "regressed")
        if loss.cause
    ]


def _samples(shown: samples.Samples) -> list[dict[str, Any]]:
    return [
        {
            "task": one.row.task,
            "kind": kind,
            "doc_id": segment.doc_id,
            "metric": one.metric,
            "candidate_value": segment.scores[0],
            "baseline_value": segment.scores[1],
        }
        for one in shown.directions
        for kind, picks in one.picks.items()
        for segment in picks
    ]


def provenance(report: Report, scores: Sequence[Sequence[Score]]) -> dict[str, Any]:
    """Return where the numbers come from, as a JSON value that the page prints too."""
    systems = list(zip(report.names, report.systems, strict=True))
    tested = [row for pair in report.found for row in pair.rows if row.p_value is not None]
    return {
        "command": report.command,
        "systems": [_system(name, system, i) for i, (name, system) in enumerate(systems)],
        "tasks": _tasks(systems),
        "metrics": _signatures(scores),
        "tests": [
            {
                "candidate": report.names[0],
                "baseline": name,
                "metric": metric,
                "tests": sum(r.metric == metric and r.p_value is not None for r in pair.rows),
            }
            for name, pair in zip(report.names[1:], report.found, strict=True)
            for metric in report.metrics
        ],
        "statistics": {
            "trials": report.method.trials,
            "resamples": report.method.resamples,
            "seed": statistics.SEED,
            "alpha": statistics.ALPHA,
            "false_discovery_rate": statistics.FDR,
            "clustered_tests": sum(row.clusters is not None for row in tested),
            "unclustered_tests": sum(row.clusters is None for row in tested),
            "minimum_effect": {m: report.method.minimum_effect(m) for m in report.metrics},
        },
        "missing": _missing(report),
        "incomplete": list(dict.fromkeys(itertools.chain(*(p.incomplete for p in report.found)))),
        "settings_diff": {
            name: sorted({s for r in pair.rows if r.delta is not None for s in r.settings_diff})
            for name, pair in zip(report.names[1:], report.found, strict=True)
        },
        "versions": made_with(),
    }


def _system(name: str, system: System, index: int) -> dict[str, Any]:
    return {
        "name": name,
        "role": "candidate" if index == 0 else "baseline",
        "deciding": index == 1,
        "label": system.label,
        **system.model.model_dump(include={"kind", "digest", "covers", "series", "step", "tokens"}),
        "cells": [
            {
                "family": cell.family,
                "selection": cell.selection,
                "settings_digest": cell.settings_file.digest,
                "settings": cell.settings.model_dump(),
                "settings_known": cell.settings != Settings(),
                "versions": cell.settings_file.versions,
                "inputs_digest": manifest.inputs_digest if (manifest := cell.manifest()) else None,
                "scored_with": manifest.versions if manifest else None,
            }
            for cell in system.cells()
        ],
    }


def _tasks(systems: Sequence[tuple[str, System]]) -> list[dict[str, Any]]:
    """Return what each task's scores were computed from, system by system."""
    found: dict[str, dict[str, Any]] = {}
    for name, system in systems:
        for cell in system.cells():
            manifest = cell.manifest()
            scored = manifest.tasks if manifest else {}
            for planned in cell.plan().tasks.values():
                task = found.setdefault(planned.task, {"task": planned.task, "systems": []})
                inputs = scored.get(planned.task)
                task["systems"].append(
                    {
                        "system": name,
                        "selection": cell.selection,
                        "n": planned.n,
                        "origin": planned.origin,
                        **(inputs.model_dump() if inputs else {"n_empty": None, "data_files": {}}),
                    }
                )
    return [found[task] for task in sorted(found)]


def _signatures(scores: Sequence[Sequence[Score]]) -> list[dict[str, Any]]:
    tasks: dict[tuple[str, str], set[str]] = {}
    for row in itertools.chain(*scores):
        if row.metric and row.signature:
            tasks.setdefault((row.metric, row.signature), set()).add(row.task)
    known = list(metrics.METRICS)
    ordered = sorted(
        tasks, key=lambda k: (known.index(k[0]) if k[0] in known else len(known), k[0], k[1])
    )
    return [
        {"metric": metric, "signature": text, "tasks": sorted(tasks[metric, text])}
        for metric, text in ordered
    ]


def _missing(report: Report) -> list[dict[str, Any]]:
    """Return what has no difference, the metrics of one task and reason together."""
    found: dict[tuple[str, str, str, str | None], list[str]] = {}
    for row in (row for pair in report.found for row in pair.rows if row.delta is None):
        key = (row.baseline, row.task, row.verdict, row.reason)
        found.setdefault(key, []).append(row.metric)
    return [
        {"baseline": b, "task": task, "verdict": verdict, "reason": why, "metrics": names}
        for (b, task, verdict, why), names in found.items()
    ]
