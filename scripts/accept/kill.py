"""Killed 20 times, and never asked twice: 5,000 requests of FLORES-200, counted by the engine.

Each time the same command goes on; at the end every file is, byte for byte, that of a run that
nothing happened to. Then the same with the engine in a process of its own, and while scoring.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import COMMAND, DATA, expect, rows

from bayling_eval import responses

DIRECTIONS, DOCUMENTS, KILLS = 50, 100, 20
REQUESTS = DIRECTIONS * DOCUMENTS
# 20 s for all of them, so that none of the runs that are killed gets to the end.
DELAY_S = 0.004
# An echo answers within the run's own process; this starts it as the engine of a checkpoint.
OWN_PROCESS = """
import sys
from bayling_eval import run
from bayling_eval.backends.process import EngineProcess
from bayling_eval.cli.main import main
run._engine = lambda model, log: EngineProcess(model.spec, log)
sys.exit(main(sys.argv[1:]))
"""


class Run:
    """One results folder, and the command that is started again and again."""

    def __init__(self, folder: Path, suite: Path, delay: float, start: Sequence[str] = ()) -> None:
        self.results, self.trace = folder / "results", folder / "trace"
        folder.mkdir()
        self._words = [
            *(start or [str(COMMAND)]), "run", str(suite), "--backend", "echo",
            "--model-args", f"trace={self.trace},delay={delay}",
            "--results", str(self.results), "--data", str(DATA), "--jobs", "2", "-q",
        ]  # fmt: skip

    def start(self, *more: str) -> "subprocess.Popen[bytes]":
        """Start the command."""
        return subprocess.Popen([*self._words, *more])

    def asked(self) -> list[str]:
        """Return what reached the engine, in order."""
        return self.trace.read_text().split() if self.trace.exists() else []

    def records(self) -> list[str]:
        """Return the requests of all whole records, each as often as it is there."""
        lines = [
            line
            for path in sorted(self.results.glob("*/*/*/responses/*.jsonl"))
            for line in path.read_bytes().splitlines(keepends=True)
        ]
        return [found.request_id for line in lines if (found := responses.decode(line))]

    def planned(self) -> int:
        """Return how many requests the plan says there are."""
        (plan,) = self.results.glob("*/*/*/*/plan.json")
        return sum(task["n_requests"] for task in json.loads(plan.read_bytes())["tasks"].values())

    def files(self) -> dict[str, bytes]:
        """Return the files that are the same whenever the same was answered."""
        return {
            str(path.relative_to(self.results)): path.read_bytes()
            for path in sorted(self.results.rglob("*"))
            if path.suffix in (".json", ".parquet")
        }


def write_suite(path: Path) -> Path:
    pairs = [
        f"{row['src_lang']}-{row['tgt_lang']}"
        for row in rows("ls", "tasks")
        if row["family"] == "flores200" and "eng_Latn" in (row["src_lang"], row["tgt_lang"])
    ][:DIRECTIONS]
    part = f"selection = {{n = {DOCUMENTS}, seed = 7}}"
    path.write_text(f'[[tasks]]\nuse = "flores200"\npairs = {json.dumps(pairs)}\n{part}\n')
    return path


def unbroken(run: Run) -> tuple[float, float]:
    """Run without a fault; return the seconds until the first request, and until the end."""
    began = time.monotonic()
    process = run.start()
    while not run.trace.exists() and process.poll() is None:
        time.sleep(0.01)
    ready = time.monotonic() - began
    expect(process.wait() == 0, f"an unbroken run asks first after {ready:.1f} s and ends well")
    asked = len(run.asked())
    expect(asked == len(set(run.records())) == REQUESTS, f"it asks {asked:,} requests")
    return ready, time.monotonic() - began


def killed(run: Run, moments: Sequence[float]) -> tuple[int, int]:
    """Start and kill after so many seconds, again and again, and at last let it end.

    Returns how many runs were killed, and how many of these had asked anything.
    """
    kills, busy, again = 0, 0, 0
    for moment in (*moments, None):
        there, before = set(run.records()), len(run.asked())
        process = run.start()
        if moment is not None:
            time.sleep(moment)
            process.kill()
        code = process.wait()
        now = run.asked()[before:]
        again += len(there.intersection(now))
        if moment is None:
            expect(code == 0, f"started once more with {len(there):,} answers it ends well")
        elif code:
            kills, busy = kills + 1, busy + bool(now)
            print(f"     {len(there):,} answers, killed after {moment:.2f} s and {len(now):,} more")
    expect(again == 0, "no request was asked that had its answer in the log before")
    return kills, busy


def check_same(run: Run, whole: Run) -> None:
    found, planned, asked = run.records(), run.planned(), run.asked()
    counts = f"{len(found):,} records of {len(set(found)):,} requests, {planned:,} planned"
    expect({len(found), len(set(found)), planned} == {REQUESTS}, counts)
    expect(set(found) == set(asked), f"the engine was asked {len(asked):,} times")
    theirs, ours = whole.files(), run.files()
    names = sorted({Path(name).name for name in theirs})
    differing = [name for name in theirs.keys() | ours if theirs.get(name) != ours.get(name)]
    said = f"differ: {differing}" if differing else f"as of an unbroken run: {', '.join(names)}"
    expect(not differing, f"the files are, byte for byte, {said}")


def main(folder: Path) -> None:
    draw = random.Random(5000)  # noqa: S311
    suite = write_suite(folder / "suite.toml")
    whole = Run(folder / "whole", suite, 0)
    ready, total = unbroken(whole)

    broken = Run(folder / "broken", suite, DELAY_S)
    kills, busy = killed(broken, [draw.uniform(ready / 2, ready + 1.5) for _ in range(KILLS)])
    expect(kills == KILLS and busy > 0, f"killed {kills} times, {busy} of them while answering")
    check_same(broken, whole)

    apart = Run(folder / "apart", suite, DELAY_S, [sys.executable, "-c", OWN_PROCESS])
    kills, busy = killed(apart, [draw.uniform(ready + 1, ready + 4) for _ in range(3)])
    said = f"the engine in a process of its own, killed {kills} times, {busy} while answering"
    expect(len(list(apart.results.glob("*/engine-run.log"))) == 1 and kills == 3 and busy > 0, said)
    check_same(apart, whole)

    scoring = Run(folder / "scoring", suite, 0)
    expect(scoring.start("--no-score").wait() == 0, "everything is answered, nothing is scored")
    kills, busy = killed(scoring, [draw.uniform(0.5, total / 2) for _ in range(3)])
    expect(kills > 0 and busy == 0, f"killed {kills} times while scoring")
    check_same(scoring, whole)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
