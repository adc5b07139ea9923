"""From comparisons to a folder: ``index.html``, ``report.json`` and ``tables/*.csv``."""

import base64
import hashlib
import itertools
import json
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2

from bayling_eval import __version__, aggregate, metrics, sources, statistics, store
from bayling_eval.compare import MARKS, Comparisons
from bayling_eval.macro import MIN_GROUP
from bayling_eval.method import Method
from bayling_eval.provenance import versions
from bayling_eval.records import Comparison, MacroRow, Score, Settings
from bayling_eval.report import samples, summary, view
from bayling_eval.rows import status_rows
from bayling_eval.store import System

SCHEMA = "bayling_eval.report/1"
_PACKAGES = ("jinja2", "numpy", "pandas", "pyarrow", "sacrebleu")
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Report:
    """What a report is made of."""

    name: str
    """Name of the report."""
    found: tuple[Comparisons, ...]
    """The candidate against each baseline, the deciding one first."""
    method: Method
    """How they were compared."""
    command: str
    """Command line that makes the report again."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that were compared; the headline alone where there is nothing to compare."""
        found = dict.fromkeys(row.metric for pair in self.found for row in pair.rows)
        return tuple(found) or (metrics.HEADLINE,)

    @property
    def headline(self) -> str:
        """Metric that the headline and the per-direction table are about."""
        return metrics.HEADLINE if metrics.HEADLINE in self.metrics else self.metrics[0]

    @property
    def tables(self) -> tuple[str, ...]:
        """Metrics with a table of their own: the headline, and one of the other kind of task."""
        other = (name for name in self.metrics if view.noun(name) != view.noun(self.headline))
        return (self.headline, *([first] if (first := next(other, None)) else []))

    @property
    def systems(self) -> tuple[System, ...]:
        """The candidate, then each baseline."""
        return (self.found[0].candidate, *(pair.baseline for pair in self.found))

    @property
    def names(self) -> tuple[str, ...]:
        """What the systems are called: the name, or the label where two have the same name."""
        own = [system.name for system in self.systems]
        return tuple(s.label if own.count(s.name) > 1 else s.name for s in self.systems)


def write(report: Report, reports: Path) -> Path:
    """Write a report and return the path of its page; no benchmark data are needed.

    The same results give the same bytes: there is no date in them.

    Raises:
        UserError: texts or statistics of a system are damaged or do not belong together.
    """
    report = replace(report, found=tuple(_relabelled(report)))
    scores = [[r for c in system.cells() for r in status_rows(c)] for system in report.systems]
    found = [pair.rows for pair in report.found]
    lines = {name: aggregate.lines(name, found, scores) for name in report.tables}
    rows = [line.row for line in lines[report.headline]]
    shown = samples.collect(report.systems[:2], rows)
    told = _provenance(report, scores)
    folder = reports / report.name
    for name, table in _tables(report, scores).items():
        store.write_atomic(folder / "tables" / f"{name}.csv", table)
    document = aggregate.finite(_document(report, scores, shown, told))
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    # A lone surrogate becomes its JSON escape.
    store.write_atomic(folder / "report.json", text.encode("utf-8", "backslashreplace"))
    page = _render(report, lines, shown, told)
    store.write_atomic(folder / "index.html", page.encode("utf-8", "replace"))
    return folder / "index.html"


def _relabelled(report: Report) -> Iterator[Comparisons]:
    """Name the systems in the rows as the page does."""
    candidate, *baselines = report.names
    for pair, baseline in zip(report.found, baselines, strict=True):
        names = {"candidate": candidate, "baseline": baseline}
        yield replace(
            pair,
            rows=[row.model_copy(update=names) for row in pair.rows],
            macro=[row.model_copy(update=names) for row in pair.macro],
        )


def _tables(report: Report, scores: Sequence[Sequence[Score]]) -> dict[str, bytes]:
    names = report.names
    found = {name: pair.rows for name, pair in zip(names[1:], report.found, strict=True)}
    tables = {
        "scores": aggregate.frame(itertools.chain(*scores), Score),
        "comparisons": aggregate.frame(itertools.chain(*found.values()), Comparison),
        "macro": aggregate.frame(itertools.chain(*(pair.macro for pair in report.found)), MacroRow),
        "directions": aggregate.directions(dict(zip(names, scores, strict=True)), found),
    }
    return {name: aggregate.csv_bytes(table) for name, table in tables.items()}


def _document(
    report: Report,
    scores: Sequence[Sequence[Score]],
    shown: samples.Samples,
    told: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "name": report.name,
        "candidate": report.names[0],
        "baselines": list(report.names[1:]),
        "headline_metric": report.headline,
        "rules": None,
        "rows": [row.model_dump() for pair in report.found for row in pair.rows],
        "macro": [row.model_dump() for pair in report.found for row in pair.macro],
        "scores": [row.model_dump() for rows in scores for row in rows],
        "samples": [
            {
                "task": one.row.task,
                "kind": kind,
                "doc_id": segment.doc_id,
                "metric": samples.METRIC,
                "candidate_value": segment.scores[0],
                "baseline_value": segment.scores[1],
            }
            for one in shown.directions
            for kind, picks in one.picks.items()
            for segment in picks
        ],
        "provenance": told,
    }


def _provenance(report: Report, scores: Sequence[Sequence[Score]]) -> dict[str, Any]:
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
        "versions": {
            "bayling-eval": __version__,
            "python": platform.python_version(),
            **versions(*_PACKAGES),
        },
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


def _render(
    report: Report,
    lines: Mapping[str, Sequence[aggregate.Line]],
    shown: samples.Samples,
    told: Mapping[str, Any],
) -> str:
    css, script = ((_HERE / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    pairs = list(zip(report.names[1:], report.found, strict=True))
    order = sorted(report.metrics, key=lambda name: name != report.headline)
    shared = {name: summary.common(report.found, name) for name in order}
    rows = {name: view.rows(own, name) for name, own in lines.items()}
    tasks = [row.line.row.task for own in rows.values() for row in own]
    row_ids = dict(zip(tasks, _ids("dir", tasks), strict=True))
    sampled = [one.row.task for one in shown.directions]
    return (
        _template()
        .render(
            report=report,
            css=css,
            script=script,
            policy=_policy(css, script),
            headline=report.headline,
            names=report.names,
            counts=summary.counts(line.row for line in lines[report.headline]),
            notices=sorted({sources.NOTICES[f] for f in _families(lines) if f in sources.NOTICES}),
            overview={
                metric: [
                    s
                    for name, pair in pairs
                    for s in summary.summaries(pair, name, metric, shared[metric])
                ]
                for metric in order
            },
            tests=told["tests"][report.metrics.index(report.headline)]["tests"],
            columns={name: view.columns(own, report.names, name) for name, own in lines.items()},
            rows=rows[report.headline],
            tables=rows,
            row_ids=row_ids,
            sample_ids=dict(zip(sampled, _ids("samples", sampled), strict=True)),
            signature_ids={
                (m["metric"], m["signature"]): f"sig{number}"
                for number, m in enumerate(told["metrics"], 1)
            },
            shown=shown,
            told=told,
            files=_files(told["tasks"]),
            settings_known=all(
                cell["settings_known"] for system in told["systems"][:2] for cell in system["cells"]
            ),
        )
        .lstrip()
    )


def _families(lines: Mapping[str, Sequence[aggregate.Line]]) -> set[str]:
    return {line.row.family for own in lines.values() for line in own}


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(visible=samples.visible, title_of=view.title)
    environment.globals.update(
        marks=MARKS,
        words=view.WORDS,
        kinds=samples.KINDS,
        sample_metric=samples.METRIC,
        shown_characters=samples.SHOWN,
        seed=statistics.SEED,
        verdicts_of=summary.verdicts,
        better=view.better,
        effect=view.effect,
        noun_of=view.noun,
        regressed=lambda rows: sum(row.line.row.verdict == "regressed" for row in rows),
        number=view.number,
        sign=view.sign,
        interval=view.interval,
        min_group=MIN_GROUP,
        name_of=view.name_of,
        tongue=view.tongue,
    )
    return environment.get_template("page.html.jinja")


def _policy(css: str, script: str) -> str:
    """Return the content security policy: the page's own style and script, nothing else."""

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; style-src {source(css)}; script-src {source(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _ids(prefix: str, texts: Iterable[str]) -> list[str]:
    """Return an id for each text that is safe in a URL and the same in every report, each once."""
    used: dict[str, None] = {}
    for text in texts:
        stem = f"{prefix}-{re.sub(r'[^A-Za-z0-9_.-]', '_', text)[:100]}"
        numbered = (f"{stem}-{n}" for n in itertools.count(2))
        used[next(name for name in itertools.chain([stem], numbered) if name not in used)] = None
    return list(used)


def _files(tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each benchmark file and digest once, with the tasks and systems it served."""
    found: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for task in tasks:
        for system in task["systems"]:
            for path, sha256 in system["data_files"].items():
                used = found.setdefault((path, sha256), (set(), set()))
                used[0].add(task["task"])
                used[1].add(system["system"])
    return [
        {"path": path, "sha256": sha256, "tasks": len(used), "systems": sorted(systems)}
        for (path, sha256), (used, systems) in sorted(found.items())
    ]
