"""Series of small checkpoints; a plugin of the tests of their report.

PYTEST_DONT_REWRITE: the tests import it too, before pytest loads it as a plugin.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import WORDS, sentences, spoil, write_lines

from bayling_eval import evaluate, plan, store
from bayling_eval.imports import import_outputs
from bayling_eval.macro import Difference
from bayling_eval.records import Comparison, ModelFile
from bayling_eval.store import System

PAIRS = [f"{a}-{b}" for a, b in itertools.permutations(WORDS, 2)]
SERIES = "mine"


@pytest.fixture
def checkpoint(tmp_path, small_data):
    """Return a function that makes a scored checkpoint with every n-th segment wrong."""
    (small_data / "flores200" / "flores200_dataset" / "metadata_devtest.tsv").unlink()

    def make(
        step: int | None,
        every: int | Mapping[str, int],
        pairs=PAIRS,
        *,
        name: str | None = None,
        series: str | None = SERIES,
        tokens: int | None = None,
    ) -> System:
        name = name or f"step-{step}"
        for pair in pairs:
            target = pair.split("-")[1]
            n = every if isinstance(every, int) else every.get(pair, every["else"])
            lines = spoil(sentences(target), n, sentences(target, 5)[0])
            write_lines(tmp_path / name / f"{pair}.txt", lines)
        (tmp_path / name).mkdir(exist_ok=True)
        chosen = plan.selected(plan.load("flores200"))
        import_outputs(tmp_path / "results", name, chosen, tmp_path / name, small_data)
        found = store.find(tmp_path / "results", name)
        # What a suite says of a model that runs; an import has no such place.
        said = found.model.model_copy(update={"series": series, "step": step, "tokens": tokens})
        store.save(found.folder / store.MODEL, said)
        found = store.find(tmp_path / "results", name)
        for cell in found.cells():
            evaluate.score_cell(cell, evaluate.Order(data=small_data))
        return found

    return make


def system(step: int | None, *, digest: str = "", series: str | None = SERIES) -> System:
    """Return a checkpoint of which nothing is stored."""
    name = f"step-{step}"
    model = ModelFile(
        name=name,
        kind="checkpoint",
        digest=digest or f"{step or 0:08d}",
        covers={},
        series=series,
        step=step,
    )
    return System(model, Path("nowhere"))


def differences(
    values: Sequence[Mapping[str, float]],
    samples: Sequence[Mapping[str, np.ndarray]],
    *,
    metric: str = "chrf++",
    higher: bool = True,
) -> dict[tuple[str, str], dict[int, Difference]]:
    """Return differences from the first step by task, out of each step's values and resamples."""
    found: dict[tuple[str, str], dict[int, Difference]] = {}
    for at, own in enumerate(values):
        for task, value in own.items():
            row = Comparison(
                task=task,
                family="f",
                src_lang="eng_Latn",
                tgt_lang=task,
                lang=None,
                metric=metric,
                signature="s",
                candidate=f"step-{at}",
                baseline="step-0",
                candidate_value=value,
                delta=value - values[0][task],
                n=1_000,
                verdict="no_change",
                settings_diff=[],
            )
            drawn = samples[at][task] - samples[0][task]
            found.setdefault((metric, task), {})[at] = Difference(row, drawn, higher)
    return found
