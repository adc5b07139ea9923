"""Prompts, filters and per-sample metrics are those of stock lm-eval, which runs beside."""

import json
from itertools import product
from pathlib import Path

import pytest
from conftest import sentences, write_lines
from own_tasks import TASKS, write_task
from stock_lm_eval import Case, answer, evaluate, plain

from bayling_eval import languages, tasks
from bayling_eval.adapter import Asked, Built, Outcome, Prompting
from bayling_eval.tasks import Task

SYSTEM = "Antworte kurz."
PROMPTINGS = {
    "zero": Prompting(),
    "one": Prompting(num_fewshot=1, system_instruction=SYSTEM),
    "three": Prompting(num_fewshot=3, seed=7),
    "decoding": Prompting(gen_kwargs={"temperature": 0.5, "do_sample": True, "until": ["."]}),
    "chat": Prompting(chat=True),
    "chat-turns": Prompting(
        num_fewshot=2, chat=True, fewshot_as_multiturn=True, system_instruction=SYSTEM
    ),
    "chat-one-turn": Prompting(num_fewshot=2, chat=True, system_instruction=SYSTEM, seed=0),
}
TRANSLATIONS = {**PROMPTINGS, "five": Prompting(num_fewshot=5)}
# The second has no file of its own: it is the generic task with that pair.
DIRECTIONS = ["flores200_eng_Latn-deu_Latn", "flores200_deu_Latn-tha_Thai"]
REAL = [f"xcopa_{lang}" for lang in sorted(languages.codes("xcopa"))]
REAL += ["flores200_eng_Latn-zho_Hans", "ntrex128_deu_Latn-eng_Latn", "wmt22_ces_Latn-eng_Latn"]
LIMIT = 25


def case_of(task: Task, prompting: Prompting, data: Path | None = None, **options) -> Case:
    """Return how stock lm-eval is asked for the same as the adapter."""
    return Case(
        path=str(task.path),
        options={
            "num_fewshot": prompting.num_fewshot,
            "system_instruction": prompting.system_instruction,
            "apply_chat_template": prompting.chat,
            "fewshot_as_multiturn": prompting.fewshot_as_multiturn,
            "gen_kwargs": dict(prompting.gen_kwargs) if prompting.gen_kwargs else None,
            "fewshot_random_seed": prompting.seed,
            **options,
        },
        metadata={"src_lang": task.src_lang, "tgt_lang": task.tgt_lang} if task.src_lang else {},
        data=str(data or ""),
    )


def given(asked: Asked) -> list[str]:
    """Answer a document's requests as the model of ``stock_lm_eval`` does."""
    repeats = [n for one in asked.instances for n in range(one.repeats)]
    found = []
    for request, occurrence in zip(asked.requests, repeats, strict=True):
        generates = request.kind == "generate_until"
        rest = request.gen_kwargs if generates else request.continuation
        said = answer(request.kind, request.context, rest, occurrence)
        found.append(said if generates else json.dumps(said))
    return found


def sent(asked: Asked) -> list[list]:
    """Return what a document's requests hand to the engine."""
    return [
        [r.context, dict(r.gen_kwargs) if r.kind == "generate_until" else r.continuation]
        for r in asked.requests
    ]


def by_pipeline(samples: list[dict]) -> dict[str, dict[int, dict]]:
    found: dict[str, dict[int, dict]] = {}
    for sample in samples:
        found.setdefault(sample["filter"], {})[sample["doc_id"]] = sample
    return found


def assert_same(built: Built, asked: list[Asked], samples: list[dict]) -> list[Outcome]:
    """Hold requests, filtered answers and values of a task against stock lm-eval's."""
    pipelines = by_pipeline(samples)
    first = next(iter(pipelines.values()))
    assert [one.doc_id for one in asked] == list(first)
    for one, sample in zip(asked, first.values(), strict=True):
        assert plain(one.doc) == sample["doc"]
        repeats = len(sample["resps"][0])
        assert sent(one) == [args for args in sample["arguments"] for _ in range(repeats)]
    outcomes = list(built.outcomes(asked, [given(one) for one in asked]))
    for one, outcome in zip(asked, outcomes, strict=True):
        expected = {
            (metric, name): value
            for name, rows in pipelines.items()
            for metric, value in rows[one.doc_id]["values"].items()
        }
        assert {key: plain(value) for key, value in outcome.values.items()} == expected
        for name, rows in pipelines.items():
            filtered = [instance.filtered_resps[name] for instance in one.instances]
            assert plain(filtered) == rows[one.doc_id]["filtered_resps"]
        assert plain([one.resps for one in one.instances]) == first[one.doc_id]["resps"]
    return outcomes


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> dict[str, Task]:
    """Every form of a task."""
    folder = tmp_path_factory.mktemp("own")
    return {name: write_task(folder, name) for name in TASKS}


@pytest.fixture(scope="module")
def flores(tmp_path_factory) -> Path:
    """A data folder with 12 invented sentences in three languages."""
    data = tmp_path_factory.mktemp("data")
    for lang in ("eng_Latn", "deu_Latn", "tha_Thai"):
        path = data / "flores200" / "flores200_dataset" / "devtest" / f"{lang}.devtest"
        write_lines(path, sentences(lang, n=12))
    return data


@pytest.fixture(scope="module")
def stock(own, flores, tmp_path_factory) -> dict[str, list[dict]]:
    """What stock lm-eval logs for each task under each prompting."""
    cases = {
        f"{name} {how}": case_of(task, prompting)
        for name, task in own.items()
        for how, prompting in PROMPTINGS.items()
    }
    for name, (how, prompting) in product(DIRECTIONS, TRANSLATIONS.items()):
        cases[f"{name} {how}"] = case_of(tasks.find(name), prompting, flores)
    return evaluate(cases, tmp_path_factory.mktemp("stock"))


@pytest.mark.parametrize("how", PROMPTINGS)
@pytest.mark.parametrize("name", TASKS)
def test_every_form_of_a_task_is_asked_and_scored_as_in_stock_lm_eval(name, how, own, stock):
    built = Built(own[name], PROMPTINGS[how], None)
    outcomes = assert_same(built, list(built.ask()), stock[f"{name} {how}"])
    assert len(outcomes) == (5 if name == "processed" else 8)


@pytest.mark.parametrize("how", TRANSLATIONS)
@pytest.mark.parametrize("name", DIRECTIONS)
def test_translation_is_asked_and_scored_as_in_stock_lm_eval(name, how, flores, stock):
    built = Built(tasks.find(name), TRANSLATIONS[how], flores)
    asked = list(built.ask())
    assert len(asked) == 12
    assert_same(built, asked, stock[f"{name} {how}"])


@pytest.fixture(scope="module")
def stock_on_benchmarks(data_dir, tmp_path_factory) -> dict[str, list[dict]]:
    """What stock lm-eval logs for the first documents of real benchmarks."""
    cases = {
        f"{name} {how}": case_of(tasks.find(name), PROMPTINGS[how], data_dir, limit=LIMIT)
        for name in REAL
        for how in ("zero", "three", "chat-turns")
    }
    return evaluate(cases, tmp_path_factory.mktemp("stock"))


@pytest.mark.data
@pytest.mark.parametrize("how", ["zero", "three", "chat-turns"])
@pytest.mark.parametrize("name", REAL)
def test_benchmarks_are_asked_and_scored_as_in_stock_lm_eval(
    name, how, data_dir, stock_on_benchmarks
):
    built = Built(tasks.find(name), PROMPTINGS[how], data_dir)
    asked = list(built.ask(range(LIMIT)))
    assert len(asked) == LIMIT < len(built.docs)
    assert_same(built, asked, stock_on_benchmarks[f"{name} {how}"])


# What stock lm-eval logged is varied enough for a difference to show


@pytest.mark.parametrize("name", TASKS)
def test_each_prompting_gives_stock_lm_eval_other_prompts(name, stock):
    asked = {how: json.dumps(stock[f"{name} {how}"][0]["arguments"]) for how in PROMPTINGS}
    if TASKS[name].get("output_type"):
        assert asked.pop("decoding") == asked["zero"]
    assert len(set(asked.values())) == len(asked)


@pytest.mark.parametrize(
    ("name", "metric", "pipelines"),
    [
        ("repeated", "exact_match", ("first", "vote", "three")),
        ("several_targets", "exact_match", ("none",)),
        ("choices", "acc", ("none",)),
        ("choices", "acc_norm", ("none",)),
        ("multiple_input", "acc", ("none",)),
        ("mutual", "acc_mutual_info", ("none",)),
        ("loglikelihood", "acc", ("none",)),
    ],
)
def test_stock_lm_eval_finds_right_and_wrong_answers(name, metric, pipelines, stock):
    columns: dict[str, list[float]] = {}
    for how in PROMPTINGS:
        for sample in stock[f"{name} {how}"]:
            columns.setdefault(sample["filter"], []).append(sample["values"][metric])
    assert tuple(columns) == pipelines
    assert all(set(column) == {0.0, 1.0} for column in columns.values())
    assert len(set(map(tuple, columns.values()))) == len(pipelines)
