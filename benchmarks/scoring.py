"""BLEU and chrF++ of 5 systems in 200 directions: `bayling-eval score` beside sacrebleu.

The lines of FLORES-200 are tiled to 1,012 a language, each with a number so that no line comes
twice; outputs are references with words dropped, cut and swapped, other ones for each system.
`score` is the whole command: start-up, reading answers, counting, intervals from 1,000 resamples,
and all files. sacrebleu computes `corpus_score` on the same texts in as many processes, on some of
the directions only, and its time is multiplied; it has neither start-up nor intervals. It does so
twice: as it is called (`corpus_score(outputs, [references])`), and with the references prepared
once for the five systems (`BLEU(references=...)`). With `--spm` spBLEU is timed too, with the model
of a file, or with a small one that is trained first.

    python benchmarks/scoring.py --data FOLDER [--directions 200] [--sample 20] [--jobs 2] [--spm]
"""

import argparse
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overhead import FAMILY, directions, enlarge

SYSTEMS, DOCS = 5, 1012


def lines_of(data: Path, lang: str) -> list[str]:
    path = data / FAMILY / f"{FAMILY}_dataset" / "devtest" / f"{lang}.devtest"
    return path.read_text(encoding="utf-8").rstrip("\n").split("\n")


def perturbed(lines: list[str], system: int) -> list[str]:
    """Return what a system might give: about one word in five is gone, elsewhere, or cut."""
    draw = random.Random(system)  # noqa: S311
    found = []
    for line in lines:
        # Without spaces, pieces of four characters.
        words = line.split(" ") if line.count(" ") > 9 else [*map("".join, zip(*[iter(line)] * 4))]  # noqa: B905
        kept = [word for word in words if draw.random() > 0.1]
        if len(kept) > 2:
            place = draw.randrange(len(kept) - 1)
            kept[place : place + 2] = kept[place + 1], kept[place][:-1]
        found.append((" " if " " in line else "").join(kept))
    return found


def write_systems(work: Path, data: Path, pairs: list[str]) -> None:
    for system in range(SYSTEMS):
        folder = work / f"outputs-{system}"
        folder.mkdir()
        for pair in pairs:
            outputs = perturbed(lines_of(data, pair.split("-")[1]), system)
            (folder / f"{pair}.txt").write_text("".join(f"{o}\n" for o in outputs), "utf-8")
        command = [*PROGRAM, "import", f"system-{system}", "--suite", FAMILY, "-q", "--data"]
        command += [str(data), "--hypotheses", str(folder), "--results", str(work / "results")]
        subprocess.run(command, check=True, capture_output=True)


PROGRAM = [sys.executable, "-m", "bayling_eval"]
SCORE = ("--metric", "bleu", "--metric", "chrf++")
SPM = "spbleu-flores200"


def compiled(work: Path) -> None:
    """Keep bytecode, as an installation does, whatever this shell is set to; make all of it."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(work / "bytecode")
    modules = "pandas, sacrebleu, bayling_eval.cli.score, bayling_eval.metrics.spm"
    subprocess.run([sys.executable, "-c", f"import {modules}"], check=True)


def score(work: Path, data: Path, jobs: int, metrics: Sequence[str]) -> tuple[float, float, float]:
    """Return seconds, CPU seconds, and the most megabytes of all its processes together."""
    command = [*PROGRAM, "score", *metrics, "-q", "--jobs", str(jobs)]
    command += ["--data", str(data), "--results", str(work / "results")]
    started, peak, before = time.monotonic(), 0.0, cpu()
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            peak = max(peak, size_of(process.pid))
            time.sleep(0.3)
    if process.returncode:
        sys.exit("score failed")
    return time.monotonic() - started, cpu() - before, peak


def cpu() -> float:
    """Return the CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def size_of(pid: int) -> float:
    """Return the megabytes of a process and its children, shared pages divided among them."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has just ended
        return 0
    own = sum(int(row.split()[1]) for row in rollup.splitlines() if row.startswith("Pss:"))
    return own / 1024 + sum(size_of(int(child)) for child in children)


def train(data: Path, pairs: list[str], path: Path) -> None:
    """Train a SentencePiece model on some lines of all the languages."""
    from sentencepiece import SentencePieceTrainer

    langs = sorted({lang for pair in pairs for lang in pair.split("-")})
    lines = [line for lang in langs for line in lines_of(data, lang)[: 8_000 // len(langs)]]
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=file,
            vocab_size=8_000,
            hard_vocab_limit=False,
            minloglevel=2,
        )


@dataclass(frozen=True)
class Peer:
    """One direction as sacrebleu is to score it."""

    data: Path
    pair: str
    prepared: bool
    spm: bool = False

    def scorers(self, lang: str, **options: Any) -> dict[str, Any]:
        """Return sacrebleu's metrics for a target language."""
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

        from bayling_eval.metrics.translation import tokenizer_for

        if self.spm:
            return {SPM: BLEU(tokenize="flores200", force=True, **options)}
        return {
            "bleu": BLEU(tokenize=tokenizer_for(lang), force=True, **options),
            "chrf++": CHRF(word_order=2, **options),
        }


Scores = dict[tuple[str, str, int], float]


def by_sacrebleu(peer: Peer) -> tuple[float, float, Scores]:
    """Score one direction of all systems; return both seconds, and the scores."""
    lang = peer.pair.split("-")[1]
    lines = lines_of(peer.data, lang)
    outputs = [perturbed(lines, system) for system in range(SYSTEMS)]
    peer.scorers(lang)  # dictionaries and models
    started, used = time.monotonic(), time.process_time()
    scorers = peer.scorers(lang, **({"references": [lines]} if peer.prepared else {}))
    references = None if peer.prepared else [lines]
    found = {
        (peer.pair, name, system): scorer.corpus_score(outputs[system], references).score
        for system in range(SYSTEMS)
        for name, scorer in scorers.items()
    }
    return time.monotonic() - started, time.process_time() - used, found


def sacrebleu(peers: list[Peer], jobs: int) -> tuple[float, float, Scores]:
    """Return the seconds that processes took together, their CPU seconds, and all scores."""
    found, spent, used = {}, 0.0, 0.0
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        pool.map(by_sacrebleu, peers[:1] * jobs, chunksize=1)  # imports
        for seconds, busy, one in pool.imap_unordered(by_sacrebleu, peers):
            found |= one
            spent, used = spent + seconds, used + busy
    return spent / jobs, used, found


def compare(results: Path, theirs: Scores) -> int:
    """Return how many scores were compared; all must be equal to the last bit."""
    from bayling_eval import store

    ours = {
        (f"{row.src_lang}-{row.tgt_lang}", row.metric, int(row.system.rpartition("-")[2])): row
        for system in store.systems(results)
        for cell in system.cells()
        for row in cell.scores()
    }
    wrong = [key for key, value in theirs.items() if ours[key].value != value]
    if wrong:
        sys.exit(f"not sacrebleu's score: {wrong}")
    return len(theirs)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=os.environ.get("BAYLING_DATA"), required=False)
    parser.add_argument("--directions", type=int, default=200)
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--spm", nargs="?", const="", metavar="MODEL")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        compiled(work)
        data = work / "data"
        enlarge(Path(options.data), data, DOCS)
        # As many into English as out of it, of languages from the whole alphabet.
        listed = sorted(directions(10_000), key=lambda pair: sorted(pair.split("-")))
        pairs = listed[:: max(1, len(listed) // options.directions)][: options.directions]
        write_systems(work, data, pairs)
        sample = pairs[:: max(1, len(pairs) // options.sample)]
        print(f"{len(pairs)} directions, sacrebleu on {len(sample)}, scaled, load {load()}")
        print("| | seconds | CPU seconds | peak MB | sacrebleu / score |\n|---|---|---|---|---|")
        first = score(work, data, options.jobs, SCORE)
        show("score", first)
        show("again", score(work, data, options.jobs, SCORE))
        scale, results = len(pairs) / len(sample), work / "results"
        for label, prepared in (("references prepared once", True), ("as it is called", False)):
            peers = [Peer(data, pair, prepared) for pair in sample]
            against(f"sacrebleu, {label}", sacrebleu(peers, options.jobs), scale, first, results)
        if options.spm is not None:
            model = spm(work, data, pairs, options.spm)
            asked = ("--metric", SPM, "--spm", f"flores200={model}")
            first = score(work, data, options.jobs, asked)
            show("spBLEU added", first)
            peers = [Peer(data, pair, prepared=True, spm=True) for pair in sample]
            against("sacrebleu, spBLEU", sacrebleu(peers, options.jobs), scale, first, results)
    print(f"load {load()}")


def spm(work: Path, data: Path, pairs: list[str], given: str) -> Path:
    """Return a model where sacrebleu looks for it."""
    from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS

    model = work / "sacrebleu" / "models" / SPM_MODELS["flores200"]["url"].rpartition("/")[2]
    os.environ["SACREBLEU"] = str(work / "sacrebleu")
    if given:
        model.parent.mkdir(parents=True)
        shutil.copyfile(given, model)
    else:
        train(data, pairs, model)
    return model


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def show(label: str, found: tuple[float, float, float]) -> None:
    seconds, busy, peak = found
    print(f"| {label} | {seconds:.1f} | {busy:.1f} | {peak:.0f} | |", flush=True)


def against(
    label: str,
    theirs: tuple[float, float, Scores],
    scale: float,
    ours: tuple[float, float, float],
    results: Path,
) -> None:
    """Show sacrebleu's time, and how many times ours it is; every score must be the same."""
    seconds, busy = theirs[0] * scale, theirs[1] * scale
    label = f"{label} ({compare(results, theirs[2])} scores equal)"
    ratio = f"{seconds / ours[0]:.1f} (CPU {busy / ours[1]:.1f})"
    print(f"| {label} | {seconds:.0f} | {busy:.0f} | | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
