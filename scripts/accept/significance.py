"""sacrebleu's paired tests from the kept statistics equal ``PairedTest`` on WMT22 outputs.

Three directions (one with two references), five systems each, BLEU, chrF++ and TER, bootstrap and
randomisation with sacrebleu's defaults: every p equal, all else within 1e-9. Nothing but what
``score`` keeps is used. sacrebleu counts the texts itself, but for TER: its counts are the kept
ones, since they are its own, and take it a minute.
"""

import multiprocessing
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, get_args

from common import DATA, cli, expect
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest

from bayling_eval import significance, sources, store, tables
from bayling_eval.metrics import MetricSpec, make
from bayling_eval.records import PlannedTask
from bayling_eval.significance import Draws, PairedRow

PAIRS = {
    "cs-en": ("ces_Latn", "eng_Latn"),
    "en-liv": ("eng_Latn", "liv_Latn"),
    "uk-en": ("ukr_Cyrl", "eng_Latn"),
}
Kept = dict[str, tables.Stored]
Work = tuple[str, significance.Test, PlannedTask, Kept]
THEIRS: dict[str, Any] = {
    "bleu": partial(BLEU, force=True),
    "chrf++": partial(CHRF, word_order=2),
    "ter": TER,
}


def score(folder: Path) -> tuple[dict[str, PlannedTask], dict[tuple[str, str], Kept]]:
    """Import and score the outputs; return the tasks, and what is kept by task and metric."""
    for pair in PAIRS:
        for path in (DATA / "wmt22" / "txt" / "system-outputs").glob(f"*.{pair}.hyp.*"):
            target = folder / "outputs" / path.name.split(".")[3] / f"{pair}.txt"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    results = folder / "results"
    for outputs in sorted((folder / "outputs").iterdir()):
        words = ("--suite", "wmt22", "--hypotheses", outputs, "--results", results)
        cli("import", outputs.name, *words)
    metrics = [word for name in THEIRS for word in ("--metric", name)]
    cli("score", "--results", results, *metrics, "--jobs", 2, "-q")
    planned: dict[str, PlannedTask] = {}
    kept: dict[tuple[str, str], Kept] = {}
    for system in store.systems(results):
        for cell in system.cells():
            planned |= cell.plan().tasks
            for entry in tables.read_statistics(cell.verified(store.STATISTICS)):
                kept.setdefault((entry.task, entry.metric), {})[system.name] = entry
    return planned, kept


def ours(test: significance.Test, planned: PlannedTask, kept: Kept) -> list[PairedRow]:
    """Test the systems of one task and metric with what is kept; the first is the baseline."""
    entry = next(iter(kept.values()))
    return significance.rows(
        planned,
        make(MetricSpec.parse(entry.spec)),
        entry.signature,
        {system: one.values for system, one in kept.items()},
        Draws(test, significance.SAMPLES[test], significance.seed_given()),
    )


def theirs(pair: str, test: str, metric: str, kept: Kept) -> tuple[str, list[Any]]:
    """Return sacrebleu's signature, and its results in the order of ``kept``."""
    folder = DATA / "wmt22" / "txt" / "system-outputs"
    references = [
        list(r) for r in sources.parallel("wmt22", *PAIRS[pair], DATA).references.values()
    ]
    texts: Any = {
        system: list(sources.read_lines(next(folder.glob(f"*.{pair}.hyp.{system}.*"))))
        for system in kept
    }
    scorer = THEIRS[metric]()
    if metric == "ter":  # counts in place of texts
        texts = {system: entry.values.tolist() for system, entry in kept.items()}
        scorer.num_refs = len(references)
        scorer._extract_corpus_statistics = lambda counts, _: counts
    signatures, found = PairedTest(list(texts.items()), {metric: scorer}, references, test)()
    (name,) = signatures
    return str(signatures[name]), found[name]


def compare(work: Work) -> tuple[int, int, float, bool]:
    """Return p-values, those that differ, the largest other difference, and equal signatures."""
    pair, test, planned, kept = work
    metric = next(iter(kept.values())).metric
    signature, expected = theirs(pair, test, metric, kept)
    found = ours(test, planned, kept)
    wrong = sum(a.p_value != b.p_value for a, b in zip(expected, found, strict=True))
    differences = [
        abs(one - other)
        for a, b in zip(expected, found, strict=True)
        for one, other in ((a.score, b.value), (a.mean, b.mean), (a.ci, b.ci))
        if one is not None or other is not None
    ]
    same = signature == found[0].signature.partition("|refs:")[0]
    return len(found) - 1, wrong, max(differences), same


def main(folder: Path) -> None:
    planned, kept = score(folder)
    named = {pair: f"wmt22_{src}-{tgt}" for pair, (src, tgt) in PAIRS.items()}
    n = [len(kept[task, metric]) for task in named.values() for metric in THEIRS]
    expect(n == [5] * 9, f"kept: statistics of {sum(n)} outputs under a metric")
    tests = get_args(significance.Test)
    keys = [(test, metric, pair) for test in tests for metric in THEIRS for pair in PAIRS]
    work: list[Work] = [
        (pair, test, planned[named[pair]], kept[named[pair], metric]) for test, metric, pair in keys
    ]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        done = dict(zip(keys, pool.map(compare, work, chunksize=1), strict=True))
    for test in tests:
        for metric in THEIRS:
            p_values, wrong, worst, _ = zip(
                *(done[test, metric, pair] for pair in PAIRS), strict=True
            )
            seen = f"{test} {metric}: {sum(wrong)} of {sum(p_values)} p-values differ, "
            holds = sum(p_values) == 12 and not any(wrong) and max(worst) <= 1e-9
            expect(holds, f"{seen}scores, means and intervals by at most {max(worst):.0e}")
    expect(all(same for *_, same in done.values()), "signatures are those of PairedTest")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
