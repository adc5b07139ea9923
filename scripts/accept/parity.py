"""The same checkpoint and tasks in stock lm-eval (`--model hf`) and here: prompts, answers, scores.

Five generation and five multiple-choice tasks, with 0 and 5 examples, chat-templated, with prompts
of several lines and with text that the tokenizer knows byte by byte alone.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import CHECKOUT, DATA, cli, expect, not_degenerate, rows

from bayling_eval import responses, store
from bayling_eval.adapter import Asked, Built, Prompting
from bayling_eval.backends.base import prompt_digest
from bayling_eval.records import Response
from bayling_eval.tasks import find

MODEL = CHECKOUT / "bayling_eval" / "data" / "demo" / "better"
GEN = {"max_gen_toks": 96}
LIMIT = 24


@dataclass(frozen=True)
class Case:
    """One task under some settings."""

    task: str
    shots: int = 0
    chat: bool = False
    system: str | None = None
    multiturn: bool = False

    @property
    def family(self) -> str:
        """Family of the task."""
        return find(self.task).family


CASES = [
    Case("sample_eng_Latn-cat_Latn", chat=True),
    Case("sample_jpn_Jpan-eng_Latn", chat=True, system="You translate.\n\nBe exact.\n"),
    # The checkpoint ends at once where there is no template, so that generation has one throughout.
    Case("sample_eng_Latn-tha_Thai", shots=5, chat=True),
    Case("sample_eng_Latn-swh_Latn", shots=5, chat=True, multiturn=True),
    # Fon has letters that are in no sentence that the tokenizer was trained on.
    Case("flores200_fon_Latn-eng_Latn", chat=True),
    Case("sample_questions_eng_Latn"),
    Case("sample_questions_zho_Hans", chat=True),
    Case("xcopa_swh_Latn", shots=5),
    Case("xcopa_tam_Taml"),
    Case("xcopa_zho_Hans", shots=5, chat=True, multiturn=True),
]

STOCK = """
import json, sys
import lm_eval
from lm_eval.tasks import TaskManager

folder, model, shots, chat, system, multiturn, gen, limit, task, out = json.loads(sys.argv[1])
found = lm_eval.simple_evaluate(
    model="hf", model_args={"pretrained": model, "dtype": "float32"}, tasks=[task],
    num_fewshot=shots, apply_chat_template=chat, system_instruction=system,
    fewshot_as_multiturn=multiturn, gen_kwargs=gen, limit=limit, bootstrap_iters=0, batch_size=16,
    log_samples=True, device="cpu",
    task_manager=TaskManager(include_path=folder, include_defaults=False),
)
samples = [
    {key: sample[key] for key in ("doc_id", "arguments", "resps", "filtered_resps", "metrics")}
    | {name: sample[name] for name in sample["metrics"]}
    for sample in found["samples"][task]
]
with open(out, "w") as file:
    json.dump({"samples": samples, "results": found["results"][task]}, file)
"""


def stock(case: Case, folder: Path) -> dict[str, Any]:
    """Return the samples and results of stock lm-eval."""
    out = folder / "stock.json"
    gen = GEN if find(case.task).output_type == "generate_until" else None
    words = [str(CHECKOUT / "tasks"), str(MODEL), case.shots, case.chat, case.system,
             case.multiturn, gen, LIMIT, case.task, str(out)]  # fmt: skip
    environment = {**os.environ, "BAYLING_DATA": str(DATA), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", STOCK, json.dumps(words)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{case}: {done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def ours(case: Case, folder: Path) -> tuple[list[Asked], dict[str, Response], list[dict[str, Any]]]:
    """Run the case here; return what was asked, the answers and the score rows."""
    options: list[object] = ["--num-fewshot", case.shots, "--limit", LIMIT, "--tasks", case.task]
    options += [
        "--model-args",
        "dtype=float32",
        "--apply-chat-template",
        "on" if case.chat else "off",
    ]
    options += ["--gen-kwargs", json.dumps(GEN)]
    options += ["--system-instruction", case.system] if case.system else []
    options += ["--fewshot-as-multiturn" if case.multiturn else "--no-fewshot-as-multiturn"]
    cli("run", case.family, "-m", MODEL, *options, "--results", folder, "-q")
    (system,) = store.systems(folder)
    (cell,) = system.cells()
    built = Built(find(case.task), Prompting.of(cell.settings), DATA)
    asked = list(built.ask(range(min(LIMIT, len(built.docs)))))
    answers = dict(responses.read(cell.responses).answers)
    return asked, answers, rows("scores", "--results", folder)


def compare(case: Case) -> tuple[list[str], list[str], list[float]]:
    """Hold one case against stock lm-eval; return the outputs, what differs, log-likelihoods."""
    with tempfile.TemporaryDirectory() as name:
        theirs = stock(case, Path(name))
        asked, answers, scores = ours(case, Path(name) / "results")
    samples = sorted(theirs["samples"], key=lambda sample: int(sample["doc_id"]))
    expect(len(samples) == len(asked), f"{case}: {len(asked)} documents on both sides")
    outputs: list[str] = []
    differing: list[str] = []
    nats: list[float] = []
    worst = spanning = too_long = 0.0
    for sample, one in zip(samples, asked, strict=True):
        found = [answers[request.request_id] for request in one.requests]
        for arguments, resp, answer in zip(
            sample["arguments"], sample["resps"], found, strict=True
        ):
            check_prompt(case, arguments, answer)
            if answer.finish_reason == "too_long":  # stock cuts it from the left
                too_long += 1
            elif one.requests[0].kind == "generate_until":
                outputs.append(answer.answer)
                if answer.answer != resp[0]:
                    differing.append(gap(arguments[0], answer.answer, resp[0]))
            elif answer.spans_join:
                spanning += 1
            else:
                worst = max(worst, abs(json.loads(answer.answer)[0] - resp[0][0]))
                nats.append(json.loads(answer.answer)[0])
    print(
        f"     prompts equal; {len(differing)} outputs differ, {spanning:.0f} spanning tokens, "
        f"{too_long:.0f} too long"
    )
    expect(worst <= 1e-4, f"log-likelihoods within {worst:.1e} (limit 1e-4)")
    if not spanning and not differing and not too_long:
        same_scores(case, theirs["results"], scores)
    return outputs, differing, nats


def check_prompt(case: Case, arguments: list[Any], answer: Response) -> None:
    """Hold the digest of the text that our engine saw against stock's text."""
    text = arguments[0] + (arguments[1] if isinstance(arguments[1], str) else "")
    if prompt_digest(text) != answer.prompt_digest:
        expect(False, f"{case}: prompt differs from stock's: {text!r}")


def same_scores(case: Case, results: dict[str, Any], scores: list[dict[str, Any]]) -> None:
    """Hold each score of the task against stock's."""
    compared = {}
    for row in scores:
        theirs = results.get(f"{row['metric']},none")
        if theirs is not None:
            compared[row["metric"]] = abs(row["value"] - theirs)
    wanted = {"bleu", "chrf", "chrf++"} if "-" in case.task else {"acc", "acc_norm", "acc_bytes"}
    worst = max(compared.values())
    expect(set(compared) == wanted and worst < 1e-9, f"{', '.join(compared)} equal")


def gap(prompt: str, mine: str, theirs: str) -> str:
    """Say where two greedy outputs part, and how near the two tokens were."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    sides = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (mine, theirs)]
    pairs = itertools.zip_longest(*sides)
    place = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
    special = not prompt.startswith(tokenizer.bos_token)
    ids = tokenizer(prompt, add_special_tokens=special)["input_ids"] + sides[0][:place]
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, -1]
    top = logits.topk(2)
    tokens = tokenizer.convert_ids_to_tokens(top.indices.tolist())
    return f"token {place}: {tokens}, gap {float(top.values[0] - top.values[1]):.2e}"


def main() -> None:
    outputs: list[str] = []
    differing: list[str] = []
    nats: list[float] = []
    for case in CASES:
        print(f"     {case}", flush=True)
        found = compare(case)
        outputs += found[0]
        differing += found[1]
        nats += found[2]
    from transformers import AutoTokenizer

    not_degenerate(outputs, nats, AutoTokenizer.from_pretrained(MODEL))
    for text in differing:
        print(f"     a greedy output differs at {text}")
    share = len(differing) / len(outputs)
    expect(share < 0.02, f"{len(differing)} of {len(outputs)} greedy outputs differ from stock's")


if __name__ == "__main__":
    main()
