"""Tasks of ``own_tasks``, built by the adapter or loaded as lm-eval does, and code beside them."""

import inspect

from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager
from own_tasks import UTILS, write_task

from bayling_eval.adapter import Built, Prompting

SHOTS = Prompting(num_fewshot=3)


def builder(tmp_path):
    """Return what builds a task of ``own_tasks`` with the adapter."""

    def make(name: str = "generate", prompting: Prompting = SHOTS, **changes) -> Built:
        return Built(write_task(tmp_path, name, **changes), prompting, None)

    return make


def loader(tmp_path):
    """Return what loads a task of ``own_tasks`` as lm-eval does."""

    def make(name: str = "generate", **changes) -> ConfigurableTask:
        path = write_task(tmp_path, name, **changes).path
        (task,) = TaskManager(include_defaults=False).load(str(path))["tasks"].values()
        return task

    return make


def broken(**changes) -> str:
    """Return the code beside a task, with more functions in it."""
    functions = (f"def {name}(*_, **__):\n    {code}\n" for name, code in changes.items())
    return "\n\n".join((UTILS, *functions))


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)
