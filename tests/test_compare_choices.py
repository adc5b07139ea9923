"""Two systems on multiple choice: verdicts, means, and values that stand for a part alone."""

import json

import pytest
from echo_lab import Lab, selection

from bayling_eval import answers, evaluate, responses, run, store
from bayling_eval.compare import compare
from bayling_eval.evaluate import Order
from bayling_eval.plan import SuiteSelection, SuiteTasks
from bayling_eval.store import Cell, System

LANGUAGES = ("deu_Latn", "eng_Latn", "ind_Latn", "rus_Cyrl", "spa_Latn", "zho_Hans")
ACCURACIES = ("acc", "acc_norm", "acc_bytes")


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path, None)


def quiz(n: int | None = None, use: str = "sample_questions", languages: str = "@all"):
    part = None if n is None else SuiteSelection(n=n, seed=1)
    return SuiteTasks(use=use, languages=languages, selection=part)


def system(lab: Lab, name: str, *tables: SuiteTasks, score: bool = True, **order) -> System:
    """Run echo under a name, and score it."""
    run.run([lab.model(name)], selection(*(tables or (quiz(),))), lab.order(**order), _quiet)
    found = store.find(lab.results, name)
    for cell in found.cells() if score else ():
        evaluate.score_cell(cell, Order(data=lab.data))
    return found


def _quiet(_: str):
    return lambda _: None


def answer(cell: Cell, right: dict[str, int]) -> None:
    """Have a system choose the right answer of the first so many questions of each language."""
    tasks, log = dict(cell.plan().tasks), responses.read(cell.responses).answers
    ids, changed = list(log), []
    for number, (name, planned) in enumerate(tasks.items()):
        own = ids[64 * number : 64 * number + 64]
        asked = _gold(cell, planned.task)
        for row, gold in enumerate(asked):
            chosen = gold if row < right[planned.lang] else (gold + 1) % 4
            for choice in range(4):
                text = json.dumps([-1.0 if choice == chosen else -900.0, False])
                record = log[own[4 * row + choice]]
                changed.append(record.model_copy(update={"answer": text}))
        answered = answers.digest_lines(r.answer for r in changed[64 * number :])
        tasks[name] = planned.model_copy(update={"answers_digest": answered})
    responses.append(cell.responses / "run.jsonl", changed)
    store.save(cell.path(store.PLAN), store.Plan(tasks=tasks))
    evaluate.score_cell(cell, Order())


def _gold(cell: Cell, task: str) -> list[int]:
    origin = answers.Origin.of(cell.plan().tasks[task], None, ())
    texts = answers.load(
        cell, cell.plan().tasks[task], origin, responses.read(cell.responses), None
    )
    choices = [source.split("\n- ")[1:] for source in texts.sources]
    right = texts.references["ref"]
    return [own.index(one) for own, one in zip(choices, right, strict=True)]


def too_long(cell: Cell, task: str, row: int) -> None:
    """Have a prompt of one question of a task exceed the model's context."""
    tasks, log = dict(cell.plan().tasks), responses.read(cell.responses).answers
    start = 64 * list(tasks).index(task)
    own = list(log)[start : start + 64]
    record = log[own[4 * row]].model_copy(update={"answer": "", "finish_reason": "too_long"})
    responses.append(cell.responses / "run.jsonl", [record])
    found = responses.read(cell.responses).answers
    digest = answers.digest_lines(found[one].answer for one in own)
    tasks[task] = tasks[task].model_copy(update={"answers_digest": digest})
    store.save(cell.path(store.PLAN), store.Plan(tasks=tasks))
    evaluate.score_cell(cell, Order())


def test_the_same_answers_show_no_change_and_have_a_mean_of_all_alone(lab):
    found = compare(system(lab, "one"), system(lab, "two"))
    assert [row.metric for row in found.rows] == [name for name in ACCURACIES for _ in LANGUAGES]
    assert {(r.verdict, r.delta, r.p_value, r.p_adjusted) for r in found.rows} == {
        ("no_change", 0.0, 1.0, 1.0)
    }
    assert {(r.tgt_lang, r.src_lang, r.n) for r in found.rows} == {(None, None, 16)}
    assert {r.lang for r in found.rows} == set(LANGUAGES)
    assert [(m.group, m.metric, m.delta, m.n, m.n_expected) for m in found.macro] == [
        ("sample_questions all", metric, 0.0, 6, 6) for metric in ACCURACIES
    ]
    assert {diff for row in found.rows for diff in row.settings_diff} == set()
    assert found.incomplete == []


def test_what_got_worse_regresses_and_nothing_else(lab):
    one, two = system(lab, "one", score=False), system(lab, "two", score=False)
    answer(two.cells()[0], dict.fromkeys(LANGUAGES, 16))
    answer(one.cells()[0], {**dict.fromkeys(LANGUAGES, 16), "rus_Cyrl": 2, "zho_Hans": 15})
    found = compare(one, two)
    verdicts = {row.lang: row.verdict for row in found.rows if row.metric == "acc"}
    # One of sixteen is no finding; 14 of 16 have p = 2 / 2^14.
    assert verdicts == {**dict.fromkeys(LANGUAGES, "no_change"), "rus_Cyrl": "regressed"}
    worst = found.rows[0]
    assert (worst.lang, worst.candidate_value, worst.baseline_value) == ("rus_Cyrl", 0.125, 1.0)
    assert worst.ci_low <= worst.delta == -0.875 <= worst.ci_high < 0
    mean = next(m for m in found.macro if m.metric == "acc")
    assert mean.delta == pytest.approx(-(14 + 1) / 16 / 6)
    assert mean.ci_low <= mean.delta <= mean.ci_high
    back = compare(two, one)
    assert {r.lang: r.verdict for r in back.rows if r.metric == "acc"}["rus_Cyrl"] == "improved"


def test_translations_and_questions_are_judged_apart(lab):
    tables = (quiz(), quiz(use="sample", languages="cym_Latn"))
    found = compare(system(lab, "one", *tables), system(lab, "two", *tables))
    seen = {(row.family, row.metric) for row in found.rows}
    assert seen == {
        *(("sample", metric) for metric in ("chrf++", "chrf", "bleu")),
        *(("sample_questions", metric) for metric in ACCURACIES),
    }
    assert {m.group for m in found.macro} == {
        "sample all", "sample eng_Latn-x", "sample x-eng_Latn", "sample_questions all",
    }  # fmt: skip
    only = compare(system(lab, "one", *tables), system(lab, "two", *tables), names=["acc_norm"])
    assert {(row.family, row.metric) for row in only.rows} == {("sample_questions", "acc_norm")}


# Values that do not speak for a whole task


def test_a_task_with_documents_left_out_has_no_verdict_and_says_why(lab):
    one, two = system(lab, "one"), system(lab, "two")
    too_long(one.cells()[0], "sample_questions_rus_Cyrl", 5)
    found = compare(one, two)
    rows = {row.lang: row for row in found.rows if row.metric == "acc"}
    missing = rows.pop("rus_Cyrl")
    assert (missing.verdict, missing.delta, missing.candidate_value) == ("missing", None, None)
    assert missing.reason == (
        "one: 1 of 16 documents have a prompt that exceeds the model's context; they are left out"
    )
    assert {row.verdict for row in rows.values()} == {"no_change"}
    mean = next(m for m in found.macro if m.metric == "acc")
    assert (mean.n, mean.n_expected) == (5, 6)
    assert mean.reason == "1 of 6 tasks have no comparison"
    assert found.incomplete == []
    # It is not the other side's doing.
    (other,) = [r for r in compare(two, one).rows if (r.lang, r.metric) == ("rus_Cyrl", "acc")]
    assert other.reason.startswith("one: 1 of 16 documents")


def test_even_the_same_documents_left_out_on_both_sides_have_no_verdict(lab):
    one, two = system(lab, "one"), system(lab, "two")
    for found in (one, two):
        too_long(found.cells()[0], "sample_questions_rus_Cyrl", 5)
    rows = [row for row in compare(one, two).rows if row.lang == "rus_Cyrl"]
    assert {row.verdict for row in rows} == {"missing"}


def test_a_limit_is_never_judged_and_left_out_beside_the_whole(lab):
    one, two = system(lab, "one", limit=4), system(lab, "two", limit=4)
    found = compare(one, two)
    assert {(r.verdict, r.reason) for r in found.rows} == {
        ("missing", "one: only the first 4 documents (--limit)")
    }
    assert {(m.n, m.delta) for m in found.macro} == {(0, None)}
    one = system(lab, "one")
    found = compare(one, two)
    assert {(r.verdict, r.reason) for r in found.rows} == {("missing", "two has no outputs for it")}
    assert len(found.rows) == len(LANGUAGES) * len(ACCURACIES)
    found = compare(one, system(lab, "two"))
    assert len(found.rows) == len(LANGUAGES) * len(ACCURACIES)
    assert {r.verdict for r in found.rows} == {"no_change"}


def test_declared_subsets_are_judged_and_never_mixed(lab):
    found = compare(system(lab, "one", quiz(5)), system(lab, "two", quiz(5)))
    assert {(r.verdict, r.n) for r in found.rows} == {("no_change", 5)}
    other = compare(system(lab, "three", quiz(6)), system(lab, "four", quiz(5)))
    assert {r.delta for r in other.rows} == {None}
    assert {r.verdict for r in other.rows} == {"missing"}


def test_a_task_that_lacks_answers_is_incomplete(lab):
    one, two = system(lab, "one"), system(lab, "two", score=False)
    cell = two.cells()[0]
    tasks = dict(cell.plan().tasks)
    name = "sample_questions_spa_Latn"
    tasks[name] = tasks[name].model_copy(update={"answers_digest": None})
    store.save(cell.path(store.PLAN), store.Plan(tasks=tasks))
    evaluate.score_cell(cell, Order())
    found = compare(one, two)
    assert found.incomplete == [
        f"two: {name}: not all of its requests are answered: run the same again"
    ]
    rows = {(row.lang, row.verdict) for row in found.rows}
    assert rows == {
        ("spa_Latn", "missing"),
        *((lang, "no_change") for lang in LANGUAGES if lang != "spa_Latn"),
    }


def test_other_questions_are_incomparable(lab, tmp_path):
    # Two data folders whose files differ in one choice.
    folders = []
    for number in range(2):
        folder = tmp_path / str(number) / "xcopa" / "data" / "et"
        folder.mkdir(parents=True)
        for split in ("test", "val"):
            lines = [
                {"premise": f"P{i}.", "choice1": f"Aa{i}.", "choice2": "Bb.", "question": "cause",
                 "label": i % 2, "idx": i, "changed": False}
                for i in range(20)
            ]  # fmt: skip
            lines[7]["choice2"] = f"Bb{number}."
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (folder / f"{split}.et.jsonl").write_text(text)
        folders.append(tmp_path / str(number))
    systems = []
    for name, lab.data in zip(("one", "two"), folders, strict=True):
        systems.append(system(lab, name, quiz(use="xcopa", languages="et")))
    found = compare(*systems)
    assert {(row.verdict, row.reason) for row in found.rows} == {("incomparable", "sources differ")}
