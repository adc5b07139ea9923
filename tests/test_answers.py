"""From a response log to what is scored: texts, per-sample values, and what cannot be scored."""

import json
from pathlib import Path

import pytest
from conftest import SEGMENTS, sentences, write_lines
from echo_lab import Lab, some
from own_tasks import write_task

from bayling_eval import answers, plan, responses, store
from bayling_eval.answers import Origin, Texts
from bayling_eval.errors import IncompleteError, UserError
from bayling_eval.imports import import_outputs
from bayling_eval.metrics import MetricSpec, make
from bayling_eval.plan import SuiteTasks
from bayling_eval.records import PlannedTask
from bayling_eval.sources import DataFile, Parallel
from bayling_eval.store import Cell
from bayling_eval.tables import Sample
from bayling_eval.tasks import Task

QUIZ = SuiteTasks(use="sample_questions", languages="deu_Latn")


@pytest.fixture
def lab(tmp_path, small_data):
    return Lab(tmp_path, small_data)


def cells(lab: Lab) -> list[Cell]:
    return [cell for system in store.systems(lab.results) for cell in system.cells()]


def load(lab: Lab, cell: Cell, task: str, include: tuple[Path, ...] = ()) -> Texts:
    planned = cell.plan().tasks[task]
    origin = Origin.of(planned, lab.data, include)
    return answers.load(cell, planned, origin, responses.read(cell.responses), lab.data)


def quiz(lab: Lab) -> tuple[Cell, Texts]:
    """Answer sixteen questions in German and load them."""
    lab.ask(QUIZ)
    (cell,) = cells(lab)
    return cell, load(lab, cell, "sample_questions_deu_Latn")


def change(cell: Cell, row: int, choice: int, **update) -> None:
    """Append another record for one choice of one document, and plan it as a run would."""
    task, planned = next(iter(cell.plan().tasks.items()))
    ids = list(dict.fromkeys(r.request_id for r in _records(cell)))
    record = responses.read(cell.responses).answers[ids[4 * row + choice]]
    responses.append(cell.responses / "run.jsonl", [record.model_copy(update=update)])
    found = responses.read(cell.responses).answers
    digest = answers.digest_lines(found[one].answer for one in ids)
    plan_ = {task: planned.model_copy(update={"answers_digest": digest})}
    store.save(cell.path(store.PLAN), store.Plan(tasks=plan_))


def _records(cell: Cell) -> list[responses.Response]:
    lines = (cell.responses / "run.jsonl").read_bytes().splitlines(keepends=True)[1:]
    return [responses.decode(line) for line in lines]


# What was asked and what came back


def test_a_direction_shows_the_benchmarks_own_columns(lab):
    lab.ask(some())
    (cell,) = cells(lab)
    texts = load(lab, cell, "flores200_eng_Latn-deu_Latn")
    assert list(texts.sources) == sentences("eng_Latn")
    assert {name: list(lines) for name, lines in texts.references.items()} == {
        "ref": sentences("deu_Latn")
    }
    # Echo says the end of the prompt again, which is the source.
    assert list(texts.outputs) == sentences("eng_Latn")
    assert texts.documents[:4] == ("https://example.org/0",) * 3 + ("https://example.org/1",)
    assert (texts.doc_ids, texts.unscored) == (tuple(range(SEGMENTS)), frozenset())
    seen = texts.segments(("ref",))
    assert (seen.tgt_lang, list(seen.hypotheses)) == ("deu_Latn", sentences("eng_Latn"))


def test_a_subset_keeps_the_numbers_of_its_documents(lab):
    lab.ask(some(n=7))
    (cell,) = cells(lab)
    texts = load(lab, cell, "flores200_eng_Latn-deu_Latn")
    assert len(texts.doc_ids) == 7
    assert texts.doc_ids != tuple(range(7))
    for row, number in enumerate(texts.doc_ids):
        assert texts.sources[row] == texts.outputs[row] == sentences("eng_Latn")[number]
        assert texts.references["ref"][row] == sentences("deu_Latn")[number]
        assert texts.documents[row] == f"https://example.org/{number // 3}"
    assert [sample.doc_id for sample in texts.samples] == list(texts.doc_ids)


def test_a_question_is_shown_with_its_choices_and_the_one_that_was_chosen(lab):
    cell, texts = quiz(lab)
    records = _records(cell)
    for row, source in enumerate(texts.sources):
        question, *choices = source.split("\n- ")
        assert question
        assert len(choices) == 4
        nats = [json.loads(r.answer)[0] for r in records[4 * row : 4 * row + 4]]
        assert texts.outputs[row] == choices[nats.index(max(nats))]
        assert texts.references["ref"][row] in choices
        right = float(texts.outputs[row] == texts.references["ref"][row])
        assert texts.values["acc"][row] == right
        assert texts.request_ids[row] == records[4 * row].request_id
    assert set(texts.values) == {"acc", "acc_norm", "acc_bytes"}
    assert (texts.documents, texts.scored.documents_digest) == (None, None)
    assert [file.sha256 for file in texts.origin.files] == list(texts.scored.data_files.values())


def test_what_is_no_number_is_left_out_and_a_filter_is_named(lab, tmp_path):
    write_task(tmp_path / "mine", "choices")
    write_task(tmp_path / "mine", "repeated")
    lab.ask(include=tmp_path / "mine")
    (cell,) = cells(lab)
    include = (tmp_path / "mine",)
    # brier_score hands on pairs.
    assert set(load(lab, cell, "mine_choices", include).values) == {"acc", "acc_norm", "acc_bytes"}
    repeated = load(lab, cell, "mine_repeated", include)
    assert set(repeated.values) == {
        f"exact_match:filter={name}" for name in ("first", "vote", "three")
    }
    assert {len(column) for column in repeated.values.values()} == {8}
    # Five answers a document; the first request stands for it.
    assert len(_records(cell)) == 8 * 3 + 8 * 5
    assert len(set(repeated.request_ids)) == 8


# What cannot be scored


def test_a_document_with_a_prompt_too_long_is_left_out_and_counted(lab):
    cell, before = quiz(lab)
    change(cell, 2, 3, answer="", finish_reason="too_long")
    texts = load(lab, cell, "sample_questions_deu_Latn")
    assert texts.unscored == frozenset({2})
    assert texts.outputs == (*before.outputs[:2], "", *before.outputs[3:])
    for name, column in texts.values.items():
        kept = before.values[name]
        assert column == (*kept[:2], *kept[3:])
    seen = texts.segments(("ref",))
    assert len(seen.hypotheses) == len(seen.references["ref"]) == 15
    statistics = make(MetricSpec("acc")).statistics(seen)
    assert statistics.values.shape == (15, 2)
    scored = texts.scored
    assert (scored.n_unscored, scored.n_empty) == (1, 0)
    # The documents are the same: it is not another question that was asked.
    assert scored.sources_digest == before.scored.sources_digest
    assert len(texts.samples) == 16


def test_where_every_prompt_is_too_long_nothing_is_scored(lab):
    cell, _ = quiz(lab)
    for row in range(16):
        change(cell, row, 0, answer="", finish_reason="too_long")
    texts = load(lab, cell, "sample_questions_deu_Latn")
    assert (len(texts.unscored), texts.values, set(texts.outputs)) == (16, {}, {""})
    assert texts.segments(("ref",)).hypotheses == []


def test_a_missing_answer_is_named_with_what_to_do(lab):
    cell, _ = quiz(lab)
    log = cell.responses / "run.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-2]))
    message = r"echo: 2 of 64 answers for sample_questions_deu_Latn are missing.*run the same again"
    with pytest.raises(IncompleteError, match=message):
        load(lab, cell, "sample_questions_deu_Latn")
    log.write_bytes(b"".join(lines[:-1]) + lines[-1].replace(b'"answer":"[-', b'"answer":"[+'))
    message = r"1 of 64 answers .*1 damaged records, the first at .*run\.jsonl:65"
    with pytest.raises(IncompleteError, match=message):
        load(lab, cell, "sample_questions_deu_Latn")


def test_answers_that_changed_since_they_were_planned_are_refused(lab):
    cell, _ = quiz(lab)
    ids = [record.request_id for record in _records(cell)]
    record = responses.read(cell.responses).answers[ids[0]]
    other = record.model_copy(update={"answer": "[-0.5, true]"})
    responses.append(cell.responses / "run.jsonl", [other])
    with pytest.raises(IncompleteError, match="are not those that were planned"):
        load(lab, cell, "sample_questions_deu_Latn")


def test_another_number_of_documents_than_was_planned_is_refused(lab):
    cell, _ = quiz(lab)
    (task,) = cell.plan().tasks.values()
    fewer = {task.task: task.model_copy(update={"n": 15})}
    store.save(cell.path(store.PLAN), store.Plan(tasks=fewer))
    with pytest.raises(IncompleteError, match="planned on 15 segments"):
        load(lab, cell, "sample_questions_deu_Latn")


def test_code_of_a_task_that_fails_on_an_answer_is_named(lab, tmp_path):
    folder = tmp_path / "mine"
    utils = "def process(doc, results):\n    return {'exact_match': 1 / len(results[0])}\n"
    (folder).mkdir()
    (folder / "docs.jsonl").write_text('{"q": "was: nun"}\n')
    files = f"{{data_files: {{test: {folder / 'docs.jsonl'}}}, cache_dir: {tmp_path / 'hub'}}}"
    changes = {
        "custom_dataset": None, "dataset_path": "json", "dataset_kwargs": files,
        "training_split": None, "doc_to_text": '"{{q}}"', "doc_to_target": '"x"',
        "process_results": "!function utils.process",
    }  # fmt: skip
    write_task(folder, "generate", utils, **changes)
    lab.ask(include=folder)
    (cell,) = cells(lab)
    (record,) = _records(cell)
    assert load(lab, cell, "mine_generate", (folder,)).values == {"exact_match": (1 / 3,)}
    responses.append(cell.responses / "run.jsonl", [record.model_copy(update={"answer": ""})])
    (task,) = cell.plan().tasks.values()
    empty = task.model_copy(update={"answers_digest": answers.digest_lines([""])})
    store.save(cell.path(store.PLAN), store.Plan(tasks={task.task: empty}))
    with pytest.raises(UserError, match=r"generate\.yaml: .*ZeroDivisionError"):
        load(lab, cell, "mine_generate", (folder,))


# Imported outputs


def test_imported_outputs_need_no_prompt(lab, tmp_path):
    write_lines(tmp_path / "out" / "eng_Latn-deu_Latn.txt", sentences("deu_Latn", 3))
    chosen = plan.selected(plan.load("flores200"))
    import_outputs(lab.results, "mine", chosen, tmp_path / "out", lab.data)
    (cell,) = cells(lab)
    texts = load(lab, cell, "flores200_eng_Latn-deu_Latn")
    assert list(texts.outputs) == sentences("deu_Latn", 3)
    assert (texts.values, texts.doc_ids) == ({}, tuple(range(SEGMENTS)))
    assert texts.samples[4].document == "https://example.org/1"


def test_only_translations_can_be_imported(lab, tmp_path):
    write_lines(tmp_path / "out" / "eng_Latn-deu_Latn.txt", sentences("deu_Latn", 3))
    chosen = plan.selected(plan.load("flores200"))
    import_outputs(lab.results, "mine", chosen, tmp_path / "out", lab.data)
    (cell,) = cells(lab)
    name = "sample_questions_deu_Latn"
    planned = PlannedTask(
        task=name, family="sample_questions", src_lang=None, tgt_lang=None, lang="deu_Latn", n=16,
        answers_digest="0",
    )  # fmt: skip
    origin = Origin.of(planned, None, ())
    log = responses.read(cell.responses)
    with pytest.raises(IncompleteError, match=f"{name}: outputs of a translation task alone"):
        answers.load(cell, planned, origin, log, None)


# What is kept to be shown


FILE = DataFile("x", 2, "0" * 64)
WMT = Parallel(
    "wmt22", "eng_Latn", "deu_Latn", ("One.", "Two."),
    {"A": ("Eins.", "Zwei."), "B": ("1.", "2.")}, ("doc1", "doc2"), (FILE,),
)  # fmt: skip


def made(
    references=WMT.references, documents=WMT.documents, unscored=(), outputs=("ein", " zwo\n")
):
    task = Task(
        "t", "wmt22", "eng_Latn", "deu_Latn", None, "generate_until", "1", None, Path("t.yaml")
    )
    return Texts(
        Origin(task, tuple(references), WMT.files, WMT),
        WMT.sources, references, documents, outputs, (0, 1), ("id0", "id1"), "digest", {},
        frozenset(unscored),
    )  # fmt: skip


def test_samples_of_a_direction():
    expected = Sample("t", 1, "id1", "doc2", "Two.", ("A", "B"), ("Zwei.", "2."), " zwo\n")
    assert made().samples[1] == expected


def test_samples_without_documents_have_none():
    assert {sample.document for sample in made(documents=None).samples} == {None}
    assert made(documents=None).scored.documents_digest is None


def test_references_of_different_length_are_no_samples():
    with pytest.raises(ValueError, match="shorter"):
        _ = made({"A": ("Eins.", "Zwei."), "B": ("1.",)}).samples


def test_metrics_see_the_references_asked_for_and_trimmed_outputs():
    seen = made().segments(("B",))
    assert (seen.hypotheses, seen.references) == (["ein", "zwo"], {"B": ["1.", "2."]})
    assert made(unscored=[0]).segments(("A",)).references == {"A": ["Zwei."]}


def test_outputs_with_nothing_to_read_are_counted_among_the_scored_alone():
    assert made(outputs=("", " \n")).scored.n_empty == 2
    found = made(outputs=("", " \n"), unscored=[0]).scored
    assert (found.n_empty, found.n_unscored) == (1, 1)
    assert found.data_files == {"x": "0" * 64}
