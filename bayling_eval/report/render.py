"""From a report's contents to its page."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from bayling_eval import published, statistics
from bayling_eval.compare import MARKS, shared
from bayling_eval.macro import MIN_GROUP
from bayling_eval.report import causes, flags, printed, samples, summary, table, texts, view
from bayling_eval.report.contents import Contents, Report

_PAGE = Path(__file__).parent / "page"
_SECTIONS = {
    "directions": ("ordered", "In order"),
    "level": ("level", "By level"),
    "groups": ("groups", "By group"),
    "families": ("families", "By family"),
    "knowledge": ("knowledge", "Knowledge"),
}
"""Anchor and heading of what is figures alone, in their order."""


def page(contents: Contents) -> str:
    """Return the page as HTML."""
    report, told, shown = contents.report, contents.told, contents.shown
    tasks = [line.row.task for line in contents.lines[report.headline]]
    extra = {report.headline: printed.columns(report.published, tasks)}
    rows = {n: table.rows(own, n, extra.get(n, ())) for n, own in contents.lines.items()}
    sampled = [one.row.task for one in shown.directions]
    return standalone(
        "index.html.jinja",
        chunked=bool(shown.chunks),
        report=report,
        headline=report.headline,
        names=report.names,
        judged=report.judged,
        notices=contents.notices,
        counts=summary.counts(line.row for line in contents.lines[report.headline]),
        overview=_overview(report),
        ranked=contents.ranked,
        anything=any(line.row.delta is not None for own in contents.lines.values() for line in own),
        losses=causes.losses(contents.lines, "regressed"),
        gains=causes.losses(contents.lines, "improved"),
        tests=told["tests"][report.metrics.index(report.headline)]["tests"],
        columns={
            name: table.columns(own, report.names, name, extra.get(name, ()))
            for name, own in contents.lines.items()
        },
        rows=rows[report.headline],
        tables=rows,
        row_ids=report.row_ids,
        sample_ids=dict(zip(sampled, texts.ids("samples", sampled), strict=True)),
        signature_ids={
            (m["metric"], m["signature"]): f"sig{number}"
            for number, m in enumerate(told["metrics"], 1)
        },
        shown=shown,
        told=told,
        missing=_by_reason(told["missing"]),
        figures=contents.figures,
        history=contents.history,
        files=_files(told["tasks"]),
        settings_known=all(
            cell["settings_known"] for system in told["systems"][:2] for cell in system["cells"]
        ),
    )


def fragment(names: Sequence[str]) -> Callable[[samples.Shown], str]:
    """Return what makes the samples of one direction HTML; ``names`` are those of the systems."""
    template = _environment().get_template("segments.jinja")
    module: Any = template.make_module({"names": names})
    return lambda one: str(module.segments(one))


def standalone(template: str, *, chunked: bool = False, **values: Any) -> str:
    """Return a page with the style, the script and the policy that all pages share.

    ``chunked`` says whether scripts beside it may hold samples.
    """
    css, script = _joined("css"), _joined("js")
    policy = _policy(css, script, chunked=chunked)
    found = _environment().get_template(template)
    return found.render(css=css, script=script, policy=policy, **values).lstrip()


def _overview(report: Report) -> dict[str, list[summary.Summary]]:
    """Return the summaries of each metric, the headline first, against each baseline."""
    pairs = list(zip(report.names[1:], report.found, strict=True))
    also = (shared(report.found), report.by)
    return {
        metric: [s for name, pair in pairs for s in summary.summaries(pair, name, metric, *also)]
        for metric in sorted(report.metrics, key=lambda name: name != report.headline)
    }


def _by_reason(missing: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what is missing for one reason against several baselines once."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in missing:
        key = (one["task"], one["verdict"], str(one["reason"]), *one["metrics"])
        found.setdefault(key, {**one, "baselines": []})["baselines"].append(one["baseline"])
    return list(found.values())


def _joined(kind: str) -> str:
    """Return the page's files of one kind as one: what the policy allows is one hash."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(_PAGE.glob(f"*.{kind}")))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(visible=texts.visible, title_of=view.title, minus=view.minus)
    environment.globals.update(
        marks=MARKS,
        words=view.WORDS,
        kinds=samples.KINDS,
        sample_metric=samples.METRIC,
        shown_characters=texts.SHOWN,
        flag_meanings=flags.MEANINGS,
        seed=statistics.SEED,
        verdicts_of=summary.verdicts,
        better=view.better,
        effect=view.effect,
        noun_of=view.noun,
        regressed=lambda rows: sum(row.line.row.verdict == "regressed" for row in rows),
        number=view.number,
        size=view.size,
        sign=view.sign,
        interval=view.interval,
        min_group=MIN_GROUP,
        name_of=view.name_of,
        tongue=view.tongue,
        citations=published.citations,
        printed_groups=printed.groups,
        printed_lines=printed.lines,
        too_few=printed.few,
        outcome_marks={"pass": "✓", "warn": "!", "fail": "✕", "waived": "✋", "allowed": "✓"},
        bar_of=summary.bar,
        delta_text=view.delta_text,
        p_text=view.p_text,
        tint=view.tint,
        sections=_SECTIONS,
    )
    return environment


def _policy(css: str, script: str, *, chunked: bool) -> str:
    """Return the content security policy: the page's own style and script, nothing else.

    Samples that are files of their own are scripts beside the page.
    """

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    beside = " 'self'" if chunked else ""
    return (
        f"default-src 'none'; style-src {source(css)}; script-src {source(script)}{beside}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


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
