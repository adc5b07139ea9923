"""lm-eval's own task objects, driven directly, and the only module that touches lm-eval.

lm-eval owns documents, prompts, shots, filters and per-sample metrics; its evaluation loop takes
2.8 ms a document, because it compiles every template again for every document, so it is left out.
Importing this module does not import lm-eval; its functions do.
"""

import functools
import json
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayling_eval import prompt_sets, sources
from bayling_eval.backends.base import Request
from bayling_eval.errors import UserError
from bayling_eval.prompt_sets import PromptSet
from bayling_eval.records import Settings
from bayling_eval.responses import request_id
from bayling_eval.surroundings import environment, explained, quiet
from bayling_eval.tasks import Task

OUTPUT_TYPES = ("generate_until", "multiple_choice", "loglikelihood")
"""The output types of lm-eval that can be run."""


@dataclass(frozen=True)
class Prompting:
    """How a task's documents become prompts."""

    num_fewshot: int = 0
    """Examples in the prompt."""
    chat: bool = False
    """Whether prompts are messages for a chat template."""
    system_instruction: str | None = None
    """System message."""
    fewshot_as_multiturn: bool = False
    """Whether each example is a turn of its own."""
    gen_kwargs: Mapping[str, Any] | None = None
    """Decoding that takes the place of the task's."""
    seed: int = 1234
    """Seed of the choice of examples."""
    prompt_set: str | None = None
    """Wording that takes the place of a translation task's own."""

    def words(self, task: Task) -> PromptSet | None:
        """Return the prompt set that a task is asked with; none for the task's own wording."""
        named = self.prompt_set if task.tgt_lang else None
        return prompt_sets.find(named) if named else None

    @classmethod
    def of(cls, settings: Settings) -> "Prompting":
        """Return how prompts were made under stored settings; no model is needed for it."""
        return cls(
            num_fewshot=settings.num_fewshot or 0,
            chat=settings.chat_template not in (None, "off"),
            system_instruction=settings.system_instruction,
            fewshot_as_multiturn=settings.fewshot_as_multiturn or False,
            gen_kwargs=settings.gen_kwargs,
            seed=cls.seed if settings.seed is None else settings.seed,
            prompt_set=settings.prompt_set,
        )


@dataclass(frozen=True)
class Asked:
    """One document, and what is asked about it."""

    doc_id: int
    """Number of the document, from 0."""
    doc: Any
    """lm-eval's document."""
    requests: tuple[Request, ...]
    """The requests in lm-eval's order: choices first, repeats of one request together."""
    instances: tuple[Any, ...]
    """lm-eval's requests."""


@dataclass(frozen=True)
class Outcome:
    """One document after the filters of a task."""

    output: str
    """What the model said or chose; the text after the task's first filter."""
    values: Mapping[tuple[str, str], Any]
    """lm-eval's per-sample metrics by metric and filter."""
    gold: tuple[float, int] | None = None
    """Log-likelihood of the right answer in nats, and its bytes; none where there is none."""
    choices: int = 0
    """Number of choices; none of other than multiple-choice tasks."""


@functools.cache
def _hooked() -> None:
    """Give lm-eval a sandboxed template environment that compiles each template once.

    Task code calls ``utils.apply_template`` through the module, so that an attribute is enough.
    In lm-eval's own environment ``{{ lipsum.__globals__ }}`` reaches ``os``.
    """
    from jinja2 import BaseLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from lm_eval import utils
    from lm_eval.api import task

    env = ImmutableSandboxedEnvironment(
        loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True
    )
    env.filters.update(utils.env.filters)

    @functools.cache
    def compiled(text: str) -> Any:
        template = env.from_string(text)
        # Jinja walks a ChainMap of globals at each rendering: 20 of its 30 us.
        template.globals = dict(template.globals)
        return template

    utils.env = env
    utils.apply_template = lambda template, doc: compiled(template).render(doc)
    # Used for the decoding of each request alone, which nobody changes: 30 us.
    task.deepcopy = dict


def build(task: Task) -> Any:
    """Return lm-eval's own task object; its documents are read from ``$BAYLING_DATA``."""
    from lm_eval.tasks import TaskManager

    _hooked()
    pair = {"src_lang": task.src_lang, "tgt_lang": task.tgt_lang} if task.src_lang else {}
    (built,) = (
        TaskManager(include_defaults=False, metadata=pair).load(str(task.path))["tasks"].values()
    )
    built.config.task = task.name
    return built


class Built:
    """One task, set up for asking and scoring."""

    def __init__(self, task: Task, prompting: Prompting, data: Path | None) -> None:
        """Build the task; ``data`` is the data folder, none the hub.

        Raises:
            UserError: lm-eval cannot build it, or its output type cannot be run.
        """
        self.task, self._prompting = task, prompting
        with quiet(), environment("BAYLING_DATA", data), explained(task):
            _seed()
            self._built = build(task)
            self.docs: Sequence[Any] = list(self._built.eval_docs)
            self._set_up(data)
            self._draws = _draws()
            self._check()
        if self._built.OUTPUT_TYPE not in OUTPUT_TYPES:
            raise UserError(
                f"{task.path}: {task.name} is of type {self._built.OUTPUT_TYPE}, which cannot be "
                f"run: known are {', '.join(OUTPUT_TYPES)}"
            )

    def _set_up(self, data: Path | None) -> None:
        """Apply the settings as ``lm_eval.evaluator.simple_evaluate`` does (0.4.13)."""
        built, prompting = self._built, self._prompting
        built.set_config("num_fewshot", prompting.num_fewshot)
        if words := prompting.words(self.task):
            self._reword(words, data)
        if prompting.gen_kwargs and built.OUTPUT_TYPE == "generate_until":
            built.set_config("generation_kwargs", dict(prompting.gen_kwargs), update=True)
        built.set_fewshot_seed(prompting.seed)

    def _reword(self, words: PromptSet, data: Path | None) -> None:
        """Make of the task what it would be with the prompt set's words in its YAML."""
        built, pair = self._built, (str(self.task.src_lang), str(self.task.tgt_lang))
        shows = words.takes_examples(self._prompting.num_fewshot)
        for column in ("source", "reference") if shows else ("source",):
            if column not in built.features:
                raise UserError(f"no column {column!r}, which prompt set {words.name} needs")
        for key, value in words.config(*pair).items():
            built.set_config(key, value)
            # What examples look like lm-eval copied there when it built the task.
            if hasattr(built.fewshot_cfg, key):
                setattr(built.fewshot_cfg, key, value)
        if words.until is not None and built.OUTPUT_TYPE == "generate_until":
            built.set_config("generation_kwargs", {"until": list(words.until)}, update=True)
        if shows:
            columns = ([d["source"] for d in self.docs], [r for d in self.docs for r in _all(d)])
            found = prompt_sets.enough(words, pair, columns, self._prompting.num_fewshot, data)
            # With another split than the evaluated one lm-eval has no document to leave out.
            built.fewshot_cfg.split = sources.DEV_SPLIT
            built.sampler.replace_df([{"source": s, "reference": r} for s, r in found.rows])

    def _check(self) -> None:
        """Find what lm-eval would find after everything is answered: choices and filters."""
        if self.docs:
            self._choices(self.docs[0])
        for pipeline in self._built._filters:
            for make in pipeline.filters:
                make()

    def ask(self, chosen: Collection[int] | None = None) -> Iterator[Asked]:
        """Render the prompts of the documents ``chosen`` (all of them by default), in order.

        The sampler of shots moves on with every document, so that with shots all are rendered.

        Raises:
            UserError: a template of the task cannot be rendered.
        """
        self._built.set_fewshot_seed(self._prompting.seed)
        _draws(self._draws)
        wanted = range(len(self.docs)) if chosen is None else frozenset(chosen)
        with explained(self.task):
            for doc_id, doc in enumerate(self.docs):
                if doc_id in wanted or self._prompting.num_fewshot:
                    asked = self._ask(doc_id, doc)
                    if doc_id in wanted:
                        yield asked

    def _ask(self, doc_id: int, doc: Any) -> Asked:
        built, prompting = self._built, self._prompting
        template: dict[str, Any] = {
            "apply_chat_template": prompting.chat,
            "chat_template": _as_messages if prompting.chat else None,
        }
        context = built.fewshot_context(
            doc,
            num_fewshot=prompting.num_fewshot,
            system_instruction=prompting.system_instruction,
            fewshot_as_multiturn=prompting.fewshot_as_multiturn,
            gen_prefix=built.doc_to_prefix(doc),
            **template,
        )
        made = built.construct_requests(
            doc=doc,
            ctx=context,
            metadata=(self.task.name, doc_id, built.config.repeats),
            **template,
        )
        instances = tuple(made) if isinstance(made, list) else (made,)
        return Asked(doc_id, doc, tuple(self._requests(doc_id, instances)), instances)

    def _requests(self, doc_id: int, instances: Sequence[Any]) -> Iterator[Request]:
        for instance in instances:
            context, rest = instance.args
            kind = instance.request_type
            if kind == "loglikelihood" and not isinstance(rest, str):
                raise TypeError(f"the target {rest!r} is no text to take a log-likelihood of")
            # The unconditional requests of acc_mutual_info have no context to apply a template to.
            chat = self._prompting.chat and bool(context)
            for occurrence in range(instance.repeats or 1):
                identity = request_id(
                    self.task.name,
                    doc_id,
                    [context, rest],
                    kind,
                    choice=instance.idx,
                    occurrence=occurrence,
                )
                generates = kind == "generate_until"
                yield Request(
                    request_id=identity,
                    kind=kind,
                    context=context,
                    chat=chat,
                    continuation=None if generates else rest,
                    gen_kwargs=rest if generates else None,
                )

    def outcomes(
        self, asked: Sequence[Asked], answers: Sequence[Sequence[str]]
    ) -> Iterator[Outcome]:
        """Apply filters and per-sample metrics to the answers of each document, in its order.

        Raises:
            UserError: the task's own code fails on an answer.
        """
        built = self._built
        if not asked:
            return
        instances = [instance for one in asked for instance in one.instances]
        for one, texts in zip(asked, answers, strict=True):
            given = iter(texts)
            for instance in one.instances:
                raw = [next(given) for _ in range(instance.repeats or 1)]
                instance.resps = [_response(instance.request_type, text) for text in raw]
        with explained(self.task):
            for pipeline in built._filters:
                pipeline.apply(instances)
            for one in asked:
                yield self._outcome(one)

    def _outcome(self, asked: Asked) -> Outcome:
        built = self._built
        values: dict[tuple[str, str], Any] = {}
        for pipeline in built._filters:
            results = [instance.filtered_resps[pipeline.name] for instance in asked.instances]
            for metric, value in built.process_results(asked.doc, results).items():
                values[metric, pipeline.name] = value
        first = [one.filtered_resps[built._filters[0].name] for one in asked.instances]
        choices = self._choices(asked.doc)
        if built.OUTPUT_TYPE == "multiple_choice":
            best = max(range(len(choices)), key=lambda index: first[index][0])
            return Outcome(choices[best], values, self._gold(asked, choices), len(choices))
        if built.OUTPUT_TYPE == "generate_until":
            return Outcome(_text(first[0]), values)
        return Outcome("", values, self._gold(asked, choices))

    def _gold(self, asked: Asked, choices: Sequence[str]) -> tuple[float, int] | None:
        """Return the log-likelihood of the right answer, and the bytes of its text.

        Source: lm_eval.api.task.ConfigurableTask.process_results (0.4.13), what is gold.
        """
        built, target = self._built, self._built.doc_to_target(asked.doc)
        scored = [instance.resps[0][0] for instance in asked.instances]
        if built.OUTPUT_TYPE == "loglikelihood":
            return scored[0], len(target.encode())
        gold = built.doc_to_text(asked.doc) if built.multiple_input else target
        if isinstance(gold, (list, tuple)):
            gold = gold[0] if gold else None
        if isinstance(gold, str):
            gold = choices.index(gold) if gold in choices else None
        if not isinstance(gold, int) or not 0 <= gold < len(choices):
            return None
        # As in Winogrande: the choices come first, and what is scored goes on after each.
        text = _text(target) if built.multiple_input else choices[gold]
        return scored[gold], len(text.encode())

    def shown(self, asked: Asked) -> tuple[str, str]:
        """Return what is asked, with its choices, and the right answer, as people read them."""
        built, choices = self._built, self._choices(asked.doc)
        text, target = built.doc_to_text(asked.doc), built.doc_to_target(asked.doc)
        if isinstance(text, int):
            # As in Winogrande: the choices come first, and the target goes on after each.
            text, target = _text(target), text
        question = text + "".join(f"\n- {choice}" for choice in choices)
        targets = target if isinstance(target, list) else [target]
        # lm-eval scores a number without a choice as wrong.
        return question, _text(
            [
                choices[one] if isinstance(one, int) and 0 <= one < len(choices) else one
                for one in targets
            ]
        )

    def _choices(self, doc: Any) -> list[str]:
        if not self._built.config.doc_to_choice:
            return []
        choices = self._built.doc_to_choice(doc)
        if not isinstance(choices, list):
            raise TypeError(f"doc_to_choice gives {choices!r:.60}, which is no list")
        return choices


def _seed() -> None:
    """Seed what task code draws from, as ``simple_evaluate`` does: GPQA shuffles its choices."""
    import numpy as np
    from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED

    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)  # noqa: NPY002


def _draws(state: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """Return where the global generators stand, or put them there."""
    import numpy as np

    if state is not None:
        random.setstate(state[0])
        np.random.set_state(state[1])  # noqa: NPY002
    return random.getstate(), np.random.get_state()  # noqa: NPY002


def _all(doc: Mapping[str, Any]) -> Sequence[str]:
    """Return the references of a translation."""
    return doc.get("references") or [doc["reference"]]


def _as_messages(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
    """Stand in for a chat template: which one it is, only the model knows."""
    return json.dumps(
        {"messages": messages, "add_generation_prompt": add_generation_prompt}, ensure_ascii=False
    )


def _response(kind: str, answer: str) -> Any:
    return answer if kind == "generate_until" else tuple(json.loads(answer))


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)
