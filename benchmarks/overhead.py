"""Everything but the engine: 404 directions through `run` with the echo backend, beside lm-eval.

Both render the same stock tasks and get their answers at once, in one run on one machine; lm-eval
on fewer tasks, so read milliseconds a document. Ours includes digests, request ids and the log on
disk, and starts a process of its own; lm-eval's is `simple_evaluate` without bootstrap, after its
imports. Tokenisation with a fast tokenizer is timed apart: both sides need it once a prompt.

    python benchmarks/overhead.py --data FOLDER [--docs 1012] [--tasks 404] [--stock-tasks 4]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FAMILY = "flores200"


def enlarge(data: Path, target: Path, docs: int) -> None:
    """Write every language with `docs` lines, the published ones over and over with a number."""
    source = data / FAMILY / "flores200_dataset" / "devtest"
    folder = target / FAMILY / "flores200_dataset" / "devtest"
    folder.mkdir(parents=True)
    for path in source.glob("*.devtest"):
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        tiled = (f"{lines[i % len(lines)]} {i // len(lines)}" for i in range(docs))
        (folder / path.name).write_text("".join(f"{line}\n" for line in tiled), encoding="utf-8")


def directions(count: int) -> list[str]:
    from bayling_eval import tasks

    pairs = [t for t in tasks.of_family(FAMILY) if "eng_Latn" in (t.src_lang, t.tgt_lang)]
    return [f"{task.src_lang}-{task.tgt_lang}" for task in pairs[:count]]


def ours(work: Path, pairs: list[str], shots: int) -> dict[str, float]:
    suite = work / "suite.toml"
    suite.write_text(f'[[tasks]]\nuse = "{FAMILY}"\npairs = {json.dumps(pairs)}\n')
    command = [sys.executable, "-m", "bayling_eval", "run", str(suite), "--backend", "echo"]
    command += ["--no-score", "-q", "--num-fewshot", str(shots), "--results", str(work / "results")]
    found = {}
    for name in ("first", "again"):
        started = time.monotonic()
        subprocess.run(command, check=True)
        found[name] = time.monotonic() - started
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return found


STOCK = """
import json, resource, sys, time
import lm_eval
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

class Instant(LM):
    def generate_until(self, requests, disable_tqdm=False):
        return ["x" for _ in requests]
    def loglikelihood(self, requests, disable_tqdm=False):
        return [(-1.0, False) for _ in requests]
    loglikelihood_rolling = loglikelihood

folder, shots, *names = sys.argv[1:]
started = time.monotonic()
lm_eval.simple_evaluate(
    Instant(), tasks=names, num_fewshot=int(shots), bootstrap_iters=0, log_samples=False,
    task_manager=TaskManager(include_path=folder, include_defaults=False),
)
print(json.dumps(time.monotonic() - started))
"""


def stock(pairs: list[str], shots: int) -> float:
    from bayling_eval import resources

    names = [f"{FAMILY}_{pair}" for pair in pairs]
    command = [sys.executable, "-c", STOCK, str(resources.folder("tasks")), str(shots), *names]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.strip().split("\n")[-1])


def tokenising(data: Path, pairs: list[str], shots: int, docs: int) -> float:
    """Return milliseconds a prompt with a fast tokenizer, in batches of 2,000."""
    from tokenizers import Tokenizer

    from bayling_eval import resources, tasks
    from bayling_eval.adapter import Built, Prompting

    tokenizer = Tokenizer.from_file(str(resources.data_file("demo/better/tokenizer.json")))
    spent = count = 0.0
    for pair in pairs:
        built = Built(tasks.find(f"{FAMILY}_{pair}"), Prompting(num_fewshot=shots), data)
        prompts = [asked.requests[0].context for asked in built.ask()]
        started = time.monotonic()
        tokenizer.encode_batch(prompts)
        spent += time.monotonic() - started
        count += len(prompts)
    return spent / count * 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=os.environ.get("BAYLING_DATA"), required=False)
    parser.add_argument("--docs", type=int, default=1012)
    parser.add_argument("--tasks", type=int, default=404)
    parser.add_argument("--stock-tasks", type=int, default=4)
    options = parser.parse_args()
    print(
        "| shots | ours, ms a document | again, s | peak MB | lm-eval, ms a document | ratio "
        "| tokenising, ms a prompt |\n|---|---|---|---|---|---|---|"
    )
    for shots in (0, 5):
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            enlarge(Path(options.data), work / "data", options.docs)
            os.environ["BAYLING_DATA"] = str(work / "data")
            pairs = directions(options.tasks)
            mine = ours(work, pairs, shots)
            each = mine["first"] / (len(pairs) * options.docs) * 1000
            peers = pairs[: options.stock_tasks]
            theirs = stock(peers, shots) / (len(peers) * options.docs) * 1000
            tokens = tokenising(work / "data", peers, shots, options.docs)
        print(
            f"| {shots} | {each:.3f} | {mine['again']:.1f} | {mine['peak_mb']:.0f} | "
            f"{theirs:.2f} | {theirs / each:.0f} | {tokens:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
