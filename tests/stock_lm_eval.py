"""Stock lm-eval, for tests that compare with it: what it asks, and what it makes of the answers.

As a script (``stock_lm_eval.py CASES OUT``, both JSON) it runs ``lm_eval.simple_evaluate`` in a
process that never imports the adapter, so that nothing in lm-eval is replaced.
"""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_SAID = ("#### 0", " #### 1\n", "#### 1", "It is 2.", "#### 2, or 3", "no idea", "")


@dataclass(frozen=True)
class Case:
    """One call of ``simple_evaluate``."""

    path: str
    """YAML of the task."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Its keyword arguments."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the command line gives as ``--metadata``."""
    data: str = ""
    """Data folder."""


def answer(kind: str, context: str, rest: Any, occurrence: int) -> Any:
    """Answer from the request alone; ties between log-likelihoods are common."""
    draw = random.Random(json.dumps([kind, context, rest, occurrence], sort_keys=True))
    if kind == "loglikelihood":
        return -float(draw.randint(1, 6)), draw.random() < 0.5
    return draw.choice(_SAID)


def evaluate(cases: Mapping[str, Case], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return stock lm-eval's logged samples of each case."""
    asked, found = folder / "cases.json", folder / "samples.json"
    asked.write_text(json.dumps({name: asdict(case) for name, case in cases.items()}))
    command = [sys.executable, __file__, str(asked), str(found)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(found.read_text())


def plain(value: Any) -> Any:
    """Return a value as JSON would bring it back."""
    return json.loads(json.dumps(value, default=lambda array: array.tolist()))


def _run(case: Case) -> list[dict[str, Any]]:
    from lm_eval import evaluator
    from lm_eval.tasks import TaskManager

    if case.data:
        os.environ["BAYLING_DATA"] = case.data
    manager = TaskManager(include_defaults=False, metadata=dict(case.metadata))
    results = evaluator.simple_evaluate(
        model=model(),
        tasks=[case.path],
        task_manager=manager,
        bootstrap_iters=0,
        log_samples=True,
        **case.options,
    )
    (samples,) = results["samples"].values()
    return [_sample(sample) for sample in samples]


def _sample(sample: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("doc_id", "doc", "target", "filter", "arguments", "resps", "filtered_resps")
    values = {metric: sample[metric] for metric in sample["metrics"]}
    return {**{key: sample[key] for key in kept}, "values": values}


def model() -> Any:
    """Return a model that answers at once; its chat template shows the messages."""
    from lm_eval.api.model import LM

    class Model(LM):
        tokenizer_name = "none"

        def _answers(self, kind: str, requests: Sequence[Any]) -> list[Any]:
            seen: Counter[int] = Counter()
            answers = []
            for request in requests:
                answers.append(answer(kind, *request.args, seen[id(request)]))
                seen[id(request)] += 1
            return answers

        def loglikelihood(self, requests: Any) -> Any:
            return self._answers("loglikelihood", requests)

        def generate_until(self, requests: Any) -> Any:
            return self._answers("generate_until", requests)

        def loglikelihood_rolling(self, requests: Any) -> Any:
            raise NotImplementedError

        def apply_chat_template(self, messages: Any, add_generation_prompt: bool = True) -> str:
            shown = {"messages": messages, "add_generation_prompt": add_generation_prompt}
            return json.dumps(shown, ensure_ascii=False)

    return Model()


def main(asked: str, found: str) -> None:
    """Run every case."""
    import jinja2
    from lm_eval import evaluator, utils

    # The machine is described in every result, which takes seconds.
    evaluator.add_env_info = lambda *_: None
    evaluator.get_git_commit_hash = lambda *_: None
    cases = {name: Case(**case) for name, case in json.loads(Path(asked).read_text()).items()}
    samples = {name: _run(case) for name, case in cases.items()}
    assert "bayling_eval.adapter" not in sys.modules
    assert type(utils.env) is jinja2.Environment
    assert utils.apply_template.__module__ == utils.__name__
    Path(found).write_text(json.dumps(plain(samples)))


if __name__ == "__main__":
    main(*sys.argv[1:])
