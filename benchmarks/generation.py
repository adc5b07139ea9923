"""Our `run` beside the bare engine: the same prompts, the same vLLM, all prompts at once there.

Ours is all that `run` does once its engine is loaded: lm-eval renders the prompts, they go to the
engine's process, are tokenized, and every answer comes back into the log on disk. The bare engine
is `LLM.generate` on token ids, in a process of its own. Both answer one prompt first; starting is
not counted. The two take turns, and the ratio is that of the medians.

Without --model a Llama of random numbers is made, of 66 million parameters on a CPU; --layers and
--hidden make a larger one for a GPU.

    python benchmarks/generation.py --data FOLDER [--directions 8] [--docs 16] [--rounds 5]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

DEMO = Path(__file__).parents[1] / "bayling_eval" / "data" / "demo" / "better"
BARE = """
import json, sys, time
from bayling_eval.backends.base import BackendSpec
from bayling_eval.backends.vllm import VLLM

asked = json.load(open(sys.argv[1]))
engine = VLLM(BackendSpec(**asked["spec"]))  # the same options; from here on only vLLM's own LLM
import vllm

llm = engine._llm
params = vllm.SamplingParams(
    temperature=0.0, max_tokens=asked["max_tokens"], stop=asked["stops"],
    stop_token_ids=engine._eos, skip_special_tokens=False, spaces_between_special_tokens=False,
)
prompts = [vllm.TokensPrompt(prompt_token_ids=ids) for ids in asked["prompts"]]
llm.generate(prompts[:1], params, use_tqdm=False)
llm.reset_prefix_cache()
started = time.perf_counter()
found = llm.generate(prompts, params, use_tqdm=False)
seconds = time.perf_counter() - started
made = sum(len(one.outputs[0].token_ids) for one in found)
print(json.dumps({"seconds": seconds, "tokens": made}))
"""


def random_llama(folder: Path, layers: int, hidden: int, dtype: str) -> Path:
    """Save a Llama of random numbers with the demonstration's tokenizer; return its folder."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=5120,
        hidden_size=hidden,
        intermediate_size=hidden * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 64,
        max_position_embeddings=2048,
        bos_token_id=0,
        eos_token_id=1,
        dtype=dtype,
    )
    model = LlamaForCausalLM(config).to(getattr(torch, dtype))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(DEMO).save_pretrained(folder)
    print(f"{model.num_parameters() / 1e6:.0f} million parameters, {dtype}", flush=True)
    return folder


class Round:
    """One set of prompts, and both ways to have them answered."""

    def __init__(self, args: argparse.Namespace, model: Path, folder: Path) -> None:
        from bayling_eval import plan, run, tasks
        from bayling_eval.models import Model, Wanted
        from bayling_eval.subsets import Subset

        pairs = [t for t in tasks.of_family("flores200") if t.src_lang == "eng_Latn"]
        selection = plan.Selection(
            (plan.Entry(tuple(pairs[: args.directions]), subset=Subset(args.docs, 7)),), frozenset()
        )
        self._gen = {"max_gen_toks": args.max_tokens, "until": ["\n\n"]}
        self._model = Model(
            Wanted(
                str(model),
                backend="vllm",
                gen_kwargs=self._gen,
                model_args=json.loads(args.model_args),
            )
        )
        self._order = run.Order(folder, args.data)
        self._targets = run.targets(self._model, selection, self._order)
        self._folder = folder

    def prompts(self) -> list[tuple[int, ...]]:
        """Return the tokens of every prompt, as the engine's process makes them."""
        from bayling_eval.adapter import Built
        from bayling_eval.backends.hf_load import load_tokenizer
        from bayling_eval.backends.tokens import Texts

        texts = Texts(load_tokenizer(self._model.spec))
        found: list[tuple[int, ...]] = []
        for target in self._targets:
            for task in target.tasks:
                built = Built(task, target.prompting, self._order.data)
                for asked in built.ask(target.subset.of(len(built.docs))):
                    found += [texts.encode(texts.prompt(request)) for request in asked.requests]
        return found

    def ours(self, results: Path) -> dict[str, float]:
        """Answer through `run`'s own way, to the log on disk."""
        from dataclasses import replace

        from bayling_eval import requests
        from bayling_eval.backends.base import Request
        from bayling_eval.backends.process import EngineProcess

        targets = [replace(target, results=results) for target in self._targets]
        works = [requests.Work(target, self._order.data, self._order.shard) for target in targets]
        first = Request("0" * 32, "generate_until", "one", gen_kwargs=self._gen)
        with EngineProcess(self._model.spec, results / "engine.log") as engine:
            list(engine.answer(iter([first])))
            started = time.perf_counter()
            requests.answer(works, engine, self._order.shard, lambda _: None)
            seconds = time.perf_counter() - started
        made = sum(
            answer.output_tokens or 0
            for work in works
            for answer in requests.responses.read(work.log_folder).answers.values()
        )
        return {"seconds": seconds, "tokens": made}

    def bare(self, prompts: list[tuple[int, ...]]) -> dict[str, float]:
        """Answer with `LLM.generate`, all prompts at once."""
        asked = {
            "spec": asdict(self._model.spec),
            "prompts": prompts,
            "max_tokens": self._gen["max_gen_toks"],
            "stops": [*self._gen["until"], "</s>"],
        }
        path = self._folder / "asked.json"
        path.write_text(json.dumps(asked))
        done = subprocess.run(
            [sys.executable, "-c", BARE, str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        found: dict[str, float] = json.loads(done.stdout.strip().split("\n")[-1])
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("BAYLING_DATA"))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--model-args", default='{"max_model_len": 1024}')
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=640)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--directions", type=int, default=8)
    parser.add_argument("--docs", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if not args.data:
        parser.error("no data: give --data FOLDER or set BAYLING_DATA")
    # `run` starts its engine so; the bare engine is to have the same threads.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = args.model or random_llama(folder / "model", args.layers, args.hidden, args.dtype)
        measure(args, Round(args, model, folder), folder)


def measure(args: argparse.Namespace, both: Round, folder: Path) -> None:
    prompts = both.prompts()
    print(f"{len(prompts)} prompts, {sum(map(len, prompts))} tokens", flush=True)
    ours: list[float] = []
    bare: list[float] = []
    for number in range(args.rounds):
        found: dict[str, Any] = {"run": both.ours(folder / f"results-{number}")}
        found["bare"] = both.bare(prompts)
        ours.append(found["run"]["seconds"])
        bare.append(found["bare"]["seconds"])
        print(
            ", ".join(
                f"{k} {v['seconds']:.2f} s {v['tokens']:.0f} tokens" for k, v in found.items()
            )
        )
    ratio = statistics.median(bare) / statistics.median(ours)
    print(f"run has {ratio:.3f} of the bare engine's speed (medians of {args.rounds})")


if __name__ == "__main__":
    main()
