"""Runs with a prompt set: whose cells they are, what they are made from, what asks again."""

import pytest
from conftest import sentences, write_lines
from echo_lab import PAIRS, TASKS, Lab, selection, some

from bayling_eval import prompt_sets, requests, run
from bayling_eval.errors import UserError
from bayling_eval.forecast import forecast
from bayling_eval.plan import SuiteTasks
from bayling_eval.sides import settings_diff

QUESTIONS = SuiteTasks(use="sample_questions", languages="deu_Latn")


class Worded(Lab):
    """A lab whose model is asked with a prompt set."""

    prompt_set: str | None = "sentence"

    def model(self, called="echo", **wanted):
        return super().model(called, **{"prompt_set": self.prompt_set, **wanted})


@pytest.fixture
def lab(tmp_path, small_data):
    return Worded(tmp_path, small_data)


@pytest.fixture
def dev(small_data):
    """Files of examples in the four languages."""
    folder = small_data / "flores200" / "flores200_dataset" / "dev"
    for lang in ("eng_Latn", "deu_Latn", "zho_Hans", "tha_Thai"):
        write_lines(folder / f"{lang}.dev", sentences(lang, seed=4, n=20))
    return folder


def targets(lab, *tables, **order):
    return run.targets(lab.model(), selection(*tables), lab.order(**order))


def test_each_set_has_cells_of_its_own_and_only_for_translation(lab):
    found = {}
    for lab.prompt_set in (None, prompt_sets.TASK, "bayling-en", "bayling-zh", "sentence"):
        translation, questions = targets(lab, some(), QUESTIONS)
        assert translation.settings.settings.prompt_set == translation.prompting.prompt_set
        assert questions.settings.settings.prompt_set is None
        found[lab.prompt_set] = (translation.settings.digest, questions.settings.digest)
    assert found[None] == found[prompt_sets.TASK]
    assert len({digest for digest, _ in found.values()}) == 4
    assert len({digest for _, digest in found.values()}) == 1


@pytest.mark.parametrize(
    ("said", "suite", "shots"),
    [(None, None, 5), (None, 2, 2), (0, 2, 0), (3, None, 3)],
)
def test_the_set_says_how_many_examples_where_nobody_else_does(lab, said, suite, shots):
    (one,) = targets(lab, some(num_fewshot=suite), num_fewshot=said)
    assert one.prompting.num_fewshot == shots
    lab.prompt_set = "bayling-zh"
    (one,) = targets(lab, some())
    assert one.prompting.num_fewshot == 0


def test_files_of_examples_are_inputs_where_examples_are_asked_for(lab, dev):
    (target,) = targets(lab, some())
    names = {
        task.name: {file.path for file in requests.data_files(task, lab.data, target.prompting)}
        for task in target.tasks
    }
    for name, pair in zip(TASKS, PAIRS, strict=True):
        own = {f"flores200/flores200_dataset/dev/{lang}.dev" for lang in pair.split("-")}
        assert {path for path in names[name] if path.endswith(".dev")} == own
    (target,) = targets(lab, some(), num_fewshot=0)
    for task in target.tasks:
        files = requests.data_files(task, lab.data, target.prompting)
        assert not [file for file in files if file.path.endswith(".dev")]


def test_a_changed_row_of_examples_asks_again_what_could_show_it(lab, dev):
    lab.ask()
    assert len(lab.asked()) == 90
    lab.ask()
    assert (lab.asked(), lab.rendered) == ([], [])
    lines = sentences("tha_Thai", seed=4, n=20)
    write_lines(dev / "tha_Thai.dev", [*lines[:19], "อื่น"])
    lab.ask()
    assert lab.rendered == [TASKS[1]]
    assert 0 < len(lab.asked()) < 30
    assert lab.unfinished() == []


def test_other_words_under_the_same_name_ask_again(lab, monkeypatch):
    lab.prompt_set = "bayling-zh"
    lab.ask()
    before = lab.asked()
    found = prompt_sets.find("bayling-zh")
    reworded = found.model_copy(update={"prompt": found.prompt + "!"})
    monkeypatch.setattr(prompt_sets, "table", lambda: {"bayling-zh": reworded})
    lab.ask()
    assert lab.rendered == TASKS
    assert set(lab.asked()).isdisjoint(before)
    # A note is no part of what is asked.
    noted = reworded.model_copy(update={"note": "new"})
    monkeypatch.setattr(prompt_sets, "table", lambda: {"bayling-zh": noted})
    lab.ask()
    assert (lab.rendered, lab.asked()) == ([], [])


def test_the_words_of_the_task_ask_what_the_task_asks(lab):
    lab.prompt_set = "bayling-en"
    worded = lab.expected()
    lab.prompt_set = None
    assert lab.expected() == worded


@pytest.mark.parametrize(
    ("prompt_set", "said"),
    [
        ("alma-target", "has no words for zho_Hans-deu_Latn, which flores200_zho_Hans-deu_Latn"),
        ("sentence", r"flores200_dataset/dev/eng_Latn\.dev is missing: put it there"),
    ],
)
def test_what_cannot_be_asked_is_found_before_an_engine_starts(lab, monkeypatch, prompt_set, said):
    lab.prompt_set = prompt_set
    monkeypatch.setattr(run.backends, "load", lambda spec: pytest.fail("an engine was started"))
    pairs = SuiteTasks(use="flores200", pairs=("eng_Latn-deu_Latn", "zho_Hans-deu_Latn"))
    with pytest.raises(UserError, match=said):
        run.run([lab.model()], selection(pairs), lab.order(), lambda _: str)
    assert not lab.results.exists()


def test_other_words_under_the_same_name_are_other_settings(lab, monkeypatch):
    lab.prompt_set = "bayling-zh"
    (before,) = targets(lab, some())
    found = prompt_sets.find("bayling-zh")
    reworded = found.model_copy(update={"prompt": found.prompt + "!"})
    monkeypatch.setattr(prompt_sets, "table", lambda: {"bayling-zh": reworded})
    (after,) = targets(lab, some())
    sides = (before.settings.settings, after.settings.settings)
    (said,) = settings_diff(*sides)
    assert said.startswith("prompt_set_digest: ")
    assert before.settings.digest != after.settings.digest


def test_too_few_examples_are_found_before_an_engine_starts(lab, dev, monkeypatch):
    monkeypatch.setattr(run.backends, "load", lambda spec: pytest.fail("an engine was started"))
    said = "prompt set sentence: 20 rows of dev are left for 21 examples of eng_Latn-deu_Latn"
    with pytest.raises(UserError, match=said):
        run.run([lab.model()], selection(some()), lab.order(num_fewshot=21), lambda _: str)
    assert not lab.results.exists()


def test_a_model_in_two_wordings_is_asked_in_both_and_in_one_only_once(lab):
    def run_both(*names):
        models = [lab.model(prompt_set=name) for name in names]
        return run.run(models, selection(some(), QUESTIONS), lab.order(), lambda _: str)

    outcomes = run_both("bayling-zh", "alma")
    assert [outcome.fault for outcome in outcomes] == [None, None]
    # 16 questions of four choices, which no set rewords, are asked once.
    assert [outcome.answered for outcome in outcomes] == [90 + 64, 90]
    for names in (("alma", "alma"), ("task", None), ("alma", "bayling-en", "alma")):
        with pytest.raises(UserError, match="echo is named twice: name each model once"):
            run_both(*names)
        models = [lab.model(prompt_set=name) for name in names]
        with pytest.raises(UserError, match="echo is named twice"):
            forecast(models, selection(some()), lab.order(), lambda _: None)
