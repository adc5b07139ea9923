"""One candidate against four baselines in 404 directions: `bayling-eval compare`, whole.

20,000 trials, 1,000 resamples, BLEU and chrF++, 1,012 segments a direction. Some directions are
imported and scored in earnest, from perturbed references as in `scoring.py`; the others hold their
statistics under other names, for `compare` reads no text, and its work does not depend on what the
numbers are. `--documents` gives every four lines a document, which are then drawn as wholes:
FLORES-200 has about as many.

    python benchmarks/comparison.py --data FOLDER [--directions 404] [--real 10] [--documents]
"""

import argparse
import cProfile
import hashlib
import io
import itertools
import os
import pstats
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

from overhead import FAMILY, directions, enlarge
from scoring import DOCS, PROGRAM, SYSTEMS, score, write_systems

from bayling_eval import store, tables
from bayling_eval.cli.main import main as cli
from bayling_eval.metrics import MetricSpec, make
from bayling_eval.records import Job, Manifest, Plan, PlannedTask, Score, ScoresFile
from bayling_eval.store import Cell
from bayling_eval.tables import Stored

METRICS = ("--metric", "bleu", "--metric", "chrf++")
TRIALS, RESAMPLES = 20_000, 1_000


def add_documents(data: Path) -> None:
    lines = ["URL", *(f"https://example.org/{line // 4}" for line in range(DOCS))]
    path = data / FAMILY / f"{FAMILY}_dataset" / "metadata_devtest.tsv"
    path.write_text("".join(f"{line}\n" for line in lines))


def spread(cell: Cell, pairs: list[str]) -> None:
    """Give all pairs what a cell has of some: each the plan, rows and statistics of one of them."""
    stored: dict[str, list[Stored]] = {}
    for entry in tables.read_statistics(cell.folder / store.STATISTICS):
        stored.setdefault(entry.task, []).append(entry)
    rows = {(row.task, row.metric): row for row in cell.scores()}
    planned: dict[str, PlannedTask] = {}
    entries: list[Stored] = []
    scores: list[Score] = []
    real = list(cell.plan().tasks.values())
    for pair, task in zip(pairs, itertools.cycle(real), strict=False):
        src, tgt = pair.split("-")
        named = {"task": f"{FAMILY}_{pair}", "src_lang": src, "tgt_lang": tgt}
        planned[named["task"]] = task.model_copy(update=named)
        for entry in stored[task.task]:
            signature = make(MetricSpec(entry.metric)).signature(tgt, entry.references)
            entries.append(replace(entry, task=named["task"], signature=signature))
            row = rows[task.task, entry.metric]
            scores.append(row.model_copy(update={**named, "signature": signature}))
    of = {name: task.task for name, task in zip(planned, itertools.cycle(real), strict=False)}
    store.save(cell.path(store.PLAN), Plan(tasks=planned))
    save(cell, entries, scores, of)


def save(cell: Cell, entries: list[Stored], scores: list[Score], of: dict[str, str]) -> None:
    """Write the files that compare reads, and the manifest that vouches for them."""
    content = {
        store.STATISTICS: tables.statistics_bytes(entries),
        store.SCORES: ScoresFile(rows=scores).model_dump_json().encode(),
    }
    for name, data in content.items():
        store.write_atomic(cell.path(name), data)
    manifest = store.load(Manifest, cell.path(store.MANIFEST))
    vouched = {
        "tasks": {name: manifest.tasks[task] for name, task in of.items()},
        "jobs": [Job(task=e.task, metric=e.spec, references=e.references) for e in entries],
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
    }
    store.save(cell.path(store.MANIFEST), manifest.model_copy(update=vouched))


def prepare(work: Path, data: Path, pairs: list[str], real: int) -> None:
    """Make five scored systems of all pairs."""
    some = pairs[:: max(1, len(pairs) // real)][:real]
    write_systems(work, data, some)
    score(work, data, 2, METRICS)
    for system in store.systems(work / "results"):
        for cell in system.cells():
            spread(cell, pairs)


def command(work: Path, trials: int) -> list[str]:
    found = ["compare", *(f"system-{number}" for number in range(SYSTEMS))]
    found += [*METRICS, "--trials", str(trials), "--resamples", str(RESAMPLES)]
    return [*found, "--results", str(work / "results"), "--format", "csv", "-q"]


def timed(words: list[str], rows: Path) -> tuple[float, float, float]:
    """Return seconds, CPU seconds and peak megabytes of a command that prints its rows."""
    started = time.monotonic()
    with rows.open("wb") as out, subprocess.Popen([*PROGRAM, *words], stdout=out) as process:
        # Of this child alone: scoring may have taken more.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("compare failed")
    return time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def profile(words: list[str]) -> None:
    """Print where the time goes, in this process."""
    with redirect_stdout(io.StringIO()), cProfile.Profile() as profiler:
        cli(words)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=os.environ.get("BAYLING_DATA"), required=False)
    parser.add_argument("--directions", type=int, default=404)
    parser.add_argument("--real", type=int, default=10)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--documents", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        data = work / "data"
        enlarge(Path(options.data), data, DOCS)
        if options.documents:
            add_documents(data)
        pairs = directions(options.directions)
        prepare(work, data, pairs, options.real)
        words = command(work, options.trials)
        if options.profile:
            profile(words)
            return
        spent, busy, peak = timed(words, work / "rows.csv")
        rows = len((work / "rows.csv").read_text(encoding="utf-8").splitlines()) - 1
    if rows != len(pairs) * METRICS.count("--metric") * (SYSTEMS - 1):
        sys.exit(f"{rows} rows")
    print(
        f"{len(pairs)} directions, {SYSTEMS - 1} baselines, {options.trials} trials, {rows} rows\n"
        "| drawn | seconds | CPU seconds | peak MB | load |\n|---|---|---|---|---|\n"
        f"| {'documents' if options.documents else 'segments'} | {spent:.1f} | {busy:.1f} | "
        f"{peak:.0f} | {os.getloadavg()[0]:.1f} |"
    )


if __name__ == "__main__":
    main()
