"""Systems made of lines a direction, to be compared."""

import pytest
from conftest import sentences, spoil, write_lines

from bayling_eval import evaluate, plan, store
from bayling_eval.imports import import_outputs
from bayling_eval.store import System

DIRECTIONS = {
    "eng_Latn-deu_Latn": "deu_Latn",
    "deu_Latn-eng_Latn": "eng_Latn",
    "eng_Latn-zho_Hans": "zho_Hans",
    "zho_Hans-eng_Latn": "eng_Latn",
    "eng_Latn-tha_Thai": "tha_Thai",
    "deu_Latn-tha_Thai": "tha_Thai",
}


@pytest.fixture
def system(tmp_path, small_data):
    """Return a function that makes a scored system out of lines a direction."""

    def make(name: str, outputs: dict[str, list[str]], *, score: bool = True) -> System:
        for pair, lines in outputs.items():
            write_lines(tmp_path / name / f"{pair}.txt", lines)
        chosen = plan.selected(plan.load("flores200"))
        import_outputs(tmp_path / "results", name, chosen, tmp_path / name, small_data)
        found = store.find(tmp_path / "results", name)
        for cell in found.cells() if score else ():
            evaluate.score_cell(cell, evaluate.Order(data=small_data))
        return found

    return make


def good(every: int = 4) -> dict[str, list[str]]:
    """Outputs with every n-th segment wrong."""
    return {
        p: spoil(sentences(lang), every, sentences(lang, 5)[0]) for p, lang in DIRECTIONS.items()
    }
