"""Runs of the echo backend that several test files make: what is asked is counted by the engine."""

from collections.abc import Iterator
from pathlib import Path

from bayling_eval import backends, plan, responses, run, tasks
from bayling_eval.adapter import Built
from bayling_eval.backends.base import Answer
from bayling_eval.errors import RuntimeFault
from bayling_eval.models import Model, Wanted
from bayling_eval.plan import Suite, SuiteSelection, SuiteTasks
from bayling_eval.requests import WHOLE, Shard, Target, Work, answer

PAIRS = ("eng_Latn-deu_Latn", "eng_Latn-tha_Thai", "zho_Hans-deu_Latn")
TASKS = [f"flores200_{pair}" for pair in PAIRS]


def some(n=None, seed=1, pairs=PAIRS, **more) -> SuiteTasks:
    """Return three directions of invented FLORES-200, or a seeded part of their documents."""
    part = None if n is None else SuiteSelection(n=n, seed=seed)
    return SuiteTasks(use="flores200", pairs=pairs, selection=part, **more)


def selection(*tables: SuiteTasks, include: Path | None = None) -> plan.Selection:
    """Return the tasks of a suite; with a folder of a user's own tasks, only those of it."""
    if include is None:
        return plan.selected(Suite(name="lab", tasks=tables or (some(),)))
    families = {task.family for task in tasks.catalogue((include,)).values() if "mine" in task.name}
    suite = Suite(name="lab", tasks=tuple(SuiteTasks(use=family) for family in sorted(families)))
    return plan.selected(suite, only_tasks="*mine*", include=(include,))


class Lab:
    """A results folder, and the trace of what was asked."""

    def __init__(self, folder: Path, data: Path | None) -> None:
        self.results, self.data, self.trace = folder / "results", data, folder / "trace"
        self._seen = 0
        self.rendered: list[str] = []

    def asked(self) -> list[str]:
        """Return the requests that reached an engine since the last call."""
        lines = self.trace.read_text().split() if self.trace.exists() else []
        new, self._seen = lines[self._seen :], len(lines)
        return new

    def model(self, called: str = "echo", **wanted) -> Model:
        arguments = {"trace": str(self.trace), **wanted.pop("model_args", {})}
        return Model(Wanted(called, backend="echo", model_args=arguments, **wanted))

    def order(self, **order) -> run.Order:
        return run.Order(self.results, self.data, **order)

    def targets(self, *tables: SuiteTasks, include: Path | None = None) -> list[Target]:
        return run.targets(self.model(), selection(*tables, include=include), self.order())

    def works(self, *tables: SuiteTasks, shard: Shard = WHOLE, include=None) -> list[Work]:
        return [Work(one, self.data, shard) for one in self.targets(*tables, include=include)]

    def ask(self, *tables, shard: Shard = WHOLE, engine=None, include=None) -> list[Work]:
        """Answer what is missing, and finish."""
        return self.answer(self.works(*tables, shard=shard, include=include), shard, engine)

    def answer(self, works: list[Work], shard: Shard = WHOLE, engine=None) -> list[Work]:
        self.rendered = []
        if todo := [work for work in works if work.todo]:
            engine = engine or backends.load(self.model().spec)
            answer(todo, engine, shard, self.rendered.append)
            for work in todo:
                work.finish()
        return works

    def expected(self, *tables: SuiteTasks, include=None) -> dict[str, list[list[str]]]:
        """Return the ids that lm-eval's documents make, of each document of each task."""
        return {
            task.name: [
                [request.request_id for request in one.requests]
                for one in built.ask(target.subset.of(len(built.docs)))
            ]
            for target in self.targets(*tables, include=include)
            for task in target.tasks
            for built in [Built(task, target.prompting, self.data)]
        }

    def log(self, *tables: SuiteTasks) -> responses.Log:
        return responses.read(self.targets(*tables)[0].responses)

    def unfinished(self, *tables: SuiteTasks, include=None) -> list[str]:
        """Return the planned tasks that are not known to have all answers."""
        targets = self.targets(*tables, include=include)
        planned = [one for target in targets for one in target.plan().tasks.values()]
        assert planned
        return [one.task for one in planned if one.answers_digest is None]


def flat(expected: dict[str, list[list[str]]]) -> list[str]:
    return [one for documents in expected.values() for ids in documents for one in ids]


class Stops:
    """An engine that fails after some answers, as one does that is out of memory."""

    def __init__(self, lab: Lab, after: int, fault: Exception | None = None) -> None:
        self._engine = backends.load(lab.model().spec)
        self._after, self._fault = after, fault or RuntimeFault("out of memory")

    def answer(self, requests) -> Iterator[Answer]:
        for number, found in enumerate(self._engine.answer(requests)):
            if number == self._after:
                raise self._fault
            yield found
