"""sacrebleu's paired tests by `bayling_eval.significance`, beside sacrebleu, on WMT22.

Three directions, five systems each, BLEU and chrF++ together, paired bootstrap (1,000 resamples)
and paired approximate randomisation (10,000 trials). First both from the same per-segment
statistics: `PairedTest` gets them in place of texts. Then the whole call, from texts, references
counted on both sides. Ours begins each time without draws or counts, and is the mean of three;
sacrebleu keeps its tokenised lines from the first call on. Every score, mean, interval and p must
be equal, or the run fails. One BLAS thread: sacrebleu multiplies integers, which takes no more.

    OPENBLAS_NUM_THREADS=1 python benchmarks/significance.py --data FOLDER
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest

from bayling_eval import significance, sources
from bayling_eval.metrics import MetricSpec, Segments, counts, make

PAIRS = {
    "cs-en": ("ces_Latn", "eng_Latn"),
    "en-hr": ("eng_Latn", "hrv_Latn"),
    "uk-en": ("ukr_Cyrl", "eng_Latn"),
}
ROUNDS = 3
OURS = {name: make(MetricSpec(name)) for name in ("bleu", "chrf++")}
THEIRS: dict[str, Callable[[], Any]] = {
    "bleu": lambda: BLEU(force=True),
    "chrf++": lambda: CHRF(word_order=2),
}
Texts = dict[str, list[str]]
Results = list[list[tuple[float | None, ...]]]


def read(data: Path, pair: str) -> tuple[Texts, Texts]:
    """Return references and outputs by name."""
    found = sources.parallel("wmt22", *PAIRS[pair], data).references
    folder = data / "wmt22" / "txt" / "system-outputs"
    outputs = {
        path.name.split(".")[3]: list(sources.read_lines(path))
        for path in sorted(folder.glob(f"*.{pair}.hyp.*"))
    }
    return {name: list(lines) for name, lines in found.items()}, outputs


@dataclass(frozen=True)
class Time:
    """Seconds."""

    wall: float = 0
    cpu: float = 0

    def __add__(self, other: "Time") -> "Time":
        return Time(self.wall + other.wall, self.cpu + other.cpu)


def timed(call: Callable[[], Results]) -> tuple[Time, Results]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    return Time(time.perf_counter() - wall, time.process_time() - cpu), found


def theirs(metrics: dict[str, Any], systems: Any, references: Any, test: str) -> Results:
    _, found = PairedTest(list(systems.items()), metrics, references, test)()
    return [
        [(r.score, r.mean, r.ci, r.p_value) for r in results]
        for name, results in found.items()
        if name != "System"
    ]


def ours(kept: dict[str, dict[str, Any]], test: significance.Test) -> Results:
    results = []
    for name, (first, *others) in ((n, list(by.values())) for n, by in kept.items()):
        systems = {str(place): one for place, one in enumerate(others)}
        found = significance.paired(OURS[name], first, systems, test)
        results.append([(r.value, r.mean, r.ci, r.p_value) for r in found])
    return results


def count(pair: str, references: Texts, outputs: Texts) -> dict[str, dict[str, Any]]:
    return {
        name: {
            system: metric.statistics(Segments(PAIRS[pair][1], lines, references)).values
            for system, lines in outputs.items()
        }
        for name, metric in OURS.items()
    }


def forget() -> None:
    """Empty every cache that a new process would have to fill."""
    for module in (significance, counts):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def several(call: Callable[[], Results]) -> tuple[Time, Results]:
    """Return the mean of so many calls that begin with nothing, and what the last one found."""
    total = Time()
    for _ in range(ROUNDS):
        forget()
        once, found = timed(call)
        total += once
    return Time(total.wall / ROUNDS, total.cpu / ROUNDS), found


def from_counts(kept: dict[str, dict[str, Any]], test: str) -> tuple[Time, Results]:
    """Let sacrebleu test statistics: in place of texts it gets the system's name for each."""
    metrics: dict[str, Any] = {name: made() for name, made in THEIRS.items()}
    for name, metric in metrics.items():
        lists = {system: one.astype(int).tolist() for system, one in kept[name].items()}
        metric.num_refs = 1
        metric._extract_corpus_statistics = lambda names, _, given=lists: given[names[0]]
    systems = {system: [system] * len(one) for system, one in kept["bleu"].items()}
    return timed(lambda: theirs(metrics, systems, [["-"]], test))


def measure(pair: str, test: significance.Test, data: Path) -> list[tuple[Time, Time]]:
    """Return the time of sacrebleu and of ours, from statistics and from texts."""
    references, outputs = read(data, pair)
    kept = count(pair, references, outputs)
    slow, expected = from_counts(kept, test)
    fast, found = several(lambda: ours(kept, test))
    metrics, texts = {name: made() for name, made in THEIRS.items()}, list(references.values())
    slow_whole, expected_whole = timed(lambda: theirs(metrics, outputs, texts, test))
    fast_whole, found_whole = several(lambda: ours(count(pair, references, outputs), test))
    if not expected == found == expected_whole == found_whole:
        sys.exit(f"{pair} {test}: not what sacrebleu says")
    return [(slow, fast), (slow_whole, fast_whole)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=os.environ.get("BAYLING_DATA"), required=False)
    data = Path(parser.parse_args().data)
    print(HEAD)
    for test in get_args(significance.Test):
        totals = [(Time(), Time()), (Time(), Time())]
        for pair in PAIRS:
            found = measure(pair, cast("significance.Test", test), data)
            totals = [
                (slow + more, fast + also)
                for (slow, fast), (more, also) in zip(totals, found, strict=True)
            ]
            show(pair, test, found)
        show("all", test, totals)
    print(f"\nevery score, mean, interval and p equal; load {os.getloadavg()[0]:.1f}")


HEAD = (
    "| pair | test | sacrebleu, s | ours, s | ratio | in CPU seconds "
    "| from texts: sacrebleu, s | ours, s | ratio | in CPU seconds |\n" + "|---" * 10 + "|"
)


def show(pair: str, test: str, found: list[tuple[Time, Time]]) -> None:
    cells = (
        f"{slow.wall:.2f} | {fast.wall:.3f} | {slow.wall / fast.wall:.0f} "
        f"| {slow.cpu / fast.cpu:.0f}"
        for slow, fast in found
    )
    print(f"| {pair} | {test} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
