"""Invented systems, as many as wanted, and the report of them: how a page of 400 rows behaves.

Nothing was measured: every number is drawn from a seeded generator. The scores and texts lie in a
results folder as real ones do; the comparisons are records, for testing them would take minutes.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bayling_eval import languages, macro, metrics, statistics, store, tables
from bayling_eval.compare import Comparisons
from bayling_eval.method import Method
from bayling_eval.metrics import MetricSpec, Segments
from bayling_eval.records import (
    Comparison,
    Manifest,
    ModelFile,
    Plan,
    PlannedTask,
    Score,
    ScoredTask,
    ScoresFile,
    Settings,
    Verdict,
)
from bayling_eval.report.contents import Report
from bayling_eval.rows import blank
from bayling_eval.store import Cell, System
from bayling_eval.tables import Sample

METRICS = ("chrf++", "bleu", "chrf", "length_ratio")
RESAMPLES = 100
N = 1_012
# Level and spread between languages of each invented metric, and of its differences.
_LEVELS = {"bleu": (25, 10, 2), "length_ratio": (1.0, 0.1, 0.02)}
_TEXTS = (40, 12, 2)


@dataclass(frozen=True)
class Text:
    """One segment."""

    source: str
    reference: str
    outputs: tuple[str, str]
    """Of the candidate and of every other system."""


@dataclass(frozen=True)
class Invention:
    """What is to be invented."""

    systems: Sequence[str] = ("invented-new", "invented-old", "invented-third")
    """Their names, the candidate first."""
    pairs: Sequence[tuple[str, str]] = ()
    """Languages of each direction; by default English and every other of FLORES-200."""
    metrics: Sequence[str] = METRICS
    seed: int = 7
    texts: Mapping[tuple[str, str], Sequence[Text]] | None = None
    """Segments of the directions that have any."""
    task: str = "invented_{}-{}"
    """Name of a task, of its languages."""
    reasons: Sequence[str] = ("invented: nothing was written",)
    """Why what is missing is missing, in turn."""
    every: int = 50
    """The candidate misses the last of so many directions."""

    def tasks(self) -> dict[str, tuple[str, str]]:
        """Return the languages of each task by its name."""
        return {self.task.format(*pair): pair for pair in self.pairs or flores_pairs()}


def flores_pairs(count: int = 404) -> list[tuple[str, str]]:
    """Return directions from and into English."""
    keys = [k for k, one in languages.table().items() if "flores200" in one.aliases]
    others = [key for key in keys if key != "eng_Latn"][: count // 2]
    return [p for key in others for p in (("eng_Latn", key), (key, "eng_Latn"))]


def invent(results: Path, what: Invention) -> Report:
    """Write invented systems into a results folder and return the report of them."""
    draw = np.random.default_rng(what.seed)
    made = [_system(results / f"system{i}", i, what, draw) for i in range(len(what.systems))]
    scores = [system.cells()[0].scores() for system in made]
    pairs = [_compared(made, i, scores, what, draw) for i in range(1, len(made))]
    return Report("invented", tuple(pairs), Method(resamples=RESAMPLES), "invented: see its tests")


def _system(folder: Path, index: int, what: Invention, draw: np.random.Generator) -> System:
    """Write one system with a score of each task and metric."""
    model = ModelFile(
        name=what.systems[index], kind="imported", digest=f"{index:064x}", covers={"name": "x"}
    )
    settings = store.settings_file(Settings())
    missing = _missing(what) if index == 0 else {}
    planned = {
        task: PlannedTask(
            task=task,
            family="invented",
            src_lang=src,
            tgt_lang=tgt,
            lang=None,
            n=len((what.texts or {}).get((src, tgt), ())) or N,
            answers_digest=None if task in missing else f"{index:064x}",
        )
        for task, (src, tgt) in what.tasks().items()
    }
    home = folder / "invented" / settings.digest[:8]
    store.save(folder / store.MODEL, model)
    store.save(home / store.SETTINGS, settings)
    store.save(home / "all" / store.PLAN, Plan(tasks=planned))
    system = System(model, folder)
    (cell,) = system.cells()
    files = {store.SCORES: ScoresFile(rows=list(_scores(cell, what, draw)))}
    content = {name: file.model_dump_json().encode() for name, file in files.items()}
    if what.texts:
        content |= _texts(index, what)
    _manifest(cell, planned, content)
    return system


def _missing(what: Invention) -> dict[str, str]:
    """Return what the candidate has not written, and why."""
    tasks = list(what.tasks())[what.every - 1 :: what.every]
    return dict(zip(tasks, itertools.cycle(what.reasons), strict=False))


def _scores(cell: Cell, what: Invention, draw: np.random.Generator):
    for planned in cell.plan().tasks.values():
        for name in what.metrics if planned.answers_digest else ():
            level, spread, error = _LEVELS.get(name, _TEXTS)
            # Of one task all systems have about the same level.
            own = np.random.default_rng([what.seed, *f"{planned.task} {name}".encode()])
            blanked = blank(cell, planned, "ok")
            signature = f"invented|version:{'13a' if name == 'bleu' else '1'}"
            update = {
                "metric": name,
                "signature": signature,
                "value": float(max(0.1, level + spread * own.normal() + 2 * error * draw.normal())),
                "higher_is_better": None if name == "length_ratio" else True,
                "documents_digest": "0" * 64,
            }
            yield blanked.model_copy(update=update)


def _texts(index: int, what: Invention) -> dict[str, bytes]:
    """Return the files of texts and of their statistics, which are real ones."""
    metric = metrics.make(MetricSpec("chrf++"))
    samples, stored = [], []
    for (src, tgt), texts in (what.texts or {}).items():
        task = what.task.format(src, tgt)
        outputs = [one.outputs[min(index, 1)] for one in texts]
        references = [one.reference for one in texts]
        counted = metric.statistics(Segments(tgt, outputs, {"ref": references}))
        stored.append(
            tables.Stored(task, "chrf++", counted.signature, "chrf++", ("ref",), counted.values)
        )
        samples.append(
            [
                Sample(task, i, f"{task} {i}", None, one.source, ("ref",), (one.reference,), output)
                for i, (one, output) in enumerate(zip(texts, outputs, strict=True))
            ]
        )
    return {
        store.SAMPLES: tables.samples_bytes(samples),
        store.STATISTICS: tables.statistics_bytes(stored),
    }


def _manifest(cell: Cell, planned: Mapping[str, PlannedTask], content: Mapping[str, bytes]) -> None:
    for name, data in content.items():
        cell.path(name).write_bytes(data)
    scored = ScoredTask(
        answers_digest=f"{0:064x}",
        sources_digest="0" * 64,
        references={"ref": "0" * 64},
        documents_digest=None,
        n_empty=0,
        data_files={},
    )
    manifest = Manifest(
        inputs_digest="0" * 64,
        tasks={
            name: scored.model_copy(update={"answers_digest": task.answers_digest})
            for name, task in planned.items()
            if task.answers_digest
        },
        jobs=[],
        files={name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
        versions={"invented": "0"},
    )
    store.save(cell.path(store.MANIFEST), manifest)


def _compared(
    made: Sequence[System],
    index: int,
    scores: Sequence[Sequence[Score]],
    what: Invention,
    draw: np.random.Generator,
) -> Comparisons:
    """Hold the candidate against one baseline: an invented error turns scores into verdicts."""
    ours = {(row.task, row.metric): row for row in scores[0]}
    found = []
    for base in scores[index]:
        names = {"candidate": made[0].name, "baseline": made[index].name}
        mine = ours.get((base.task, base.metric))
        found.append(_difference(mine, base, names, what, draw))
    order = {name: place for place, name in enumerate(what.metrics)}
    found.sort(key=lambda one: (order[one.row.metric], one.row.delta is None, one.row.delta or 0))
    groups = macro.averages(found)
    rows = [one.row for one in found]
    return Comparisons(made[0], made[index], rows, groups, [], tuple(found))


def _difference(
    mine: Score | None,
    base: Score,
    names: Mapping[str, str],
    what: Invention,
    draw: np.random.Generator,
) -> macro.Difference:
    about = base.model_dump(
        include={"task", "family", "src_lang", "tgt_lang", "lang", "metric", "signature"}
    )
    if mine is None:
        row = Comparison(**about, **names, verdict="missing", settings_diff=[])
        row = row.model_copy(update={"reason": _missing(what)[base.task]})
        return macro.Difference(row)
    error = _LEVELS.get(base.metric or "", _TEXTS)[2]
    delta = mine.value - base.value
    samples = delta + error * draw.normal(size=RESAMPLES)
    low, high = statistics.interval(samples)
    p = max(1 / (Method().trials + 1), float(np.exp(-(delta**2) / 2 / error**2)))
    row = Comparison(
        **about,
        **names,
        candidate_value=mine.value,
        baseline_value=base.value,
        delta=delta,
        ci_low=low,
        ci_high=high,
        stderr=error,
        simultaneous_ci_low=low - 2 * error,
        simultaneous_ci_high=high + 2 * error,
        p_value=p,
        p_is_bound=False,
        p_adjusted=min(1.0, 10 * p),
        detectable_effect=4 * error,
        minimum_effect=Method().minimum_effect(base.metric or ""),
        collapsed=int(draw.integers(100)),
        n=base.n,
        verdict=_verdict(delta / error),
        settings_diff=[],
    )
    return macro.Difference(row, samples)


def _verdict(z: float) -> Verdict:
    if abs(z) < 2:
        return "no_change"
    sure = abs(z) > 4
    return ("regressed" if sure else "leans_down") if z < 0 else "improved" if sure else "leans_up"
