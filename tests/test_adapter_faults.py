"""Faults of task files are one line, and what is changed around lm-eval is put back."""

import logging
import os
from pathlib import Path

import pytest
from adapter_lab import SHOTS, broken, builder
from own_tasks import write_task

from bayling_eval import tasks
from bayling_eval.adapter import Built, Prompting
from bayling_eval.errors import UserError
from bayling_eval.surroundings import environment, quiet


@pytest.fixture
def build(tmp_path):
    return builder(tmp_path)


# Faults of task files


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("generate", {"doc_to_text": '"{{nothing}}"'}, "UndefinedError: 'nothing' is undefined"),
        ("generate", {"doc_to_text": '"{% if %}"'}, "TemplateSyntaxError: "),
        ("generate", {"doc_to_target": '"{{question.nothing}}"'}, "UndefinedError: "),
        ("generate", {"description": '"{{nothing}}"'}, "UndefinedError: 'nothing' is undefined"),
        ("generate", {"gen_prefix": '"{{nothing}}"'}, "UndefinedError: 'nothing' is undefined"),
        ("generate", {"doc_to_text": "\"{{question | regex_replace('(', '')}}\""}, "error: "),
        ("generate", {"custom_dataset": "!function utils.absent"}, "AttributeError: .*absent"),
        ("generate", {"custom_dataset": "!function absent.f"}, "ImportError: .*absent"),
        ("generate", {"custom_dataset": "!function utils.zero"}, "ZeroDivisionError: "),
        ("generate", {"custom_dataset": "!function utils.stop"}, "StopIteration: "),
        ("generate", {"doc_to_text": "!function utils.stop"}, "StopIteration: "),
        ("generate", {"doc_to_text": "!function utils.later"}, "KeyError: 'late'"),
        ("generate", {"doc_to_text": "!function utils.number"}, "AssertionError: Context is not"),
        ("generate", {"test_split": "absent"}, "KeyError: 'absent'"),
        ("generate", {"metadata": "[a\n b: c"}, r"\w+Error: .*expected"),
        ("generate", {"output_type": "generate"}, "ValueError: Got invalid output_type"),
        ("generate", {"unheard_of": "1"}, "TypeError: .*unheard_of"),
        ("generate", {"doc_to_image": "question"}, "ValueError: too many values"),
        ("generate", {"fewshot_config": "{samples: [{a: 1}]}"}, "ValueError: Sample larger"),
        ("generate", {"filter_list": "[{name: a, filter: [{function: absent}]}]"}, "KeyError: "),
        (
            "generate",
            {"filter_list": "[{name: a, filter: [{function: regex, regex_pattern: (}]}]"},
            "error: missing ",
        ),
        ("choices", {"doc_to_choice": "question"}, "TypeError: doc_to_choice gives 'Was ist"),
        ("choices", {"doc_to_choice": "\"{{('a', 'b')}}\""}, r"TypeError: .* gives \('a', 'b'\)"),
        ("choices", {"doc_to_choice": '"{{question}}"'}, "SyntaxError: "),
        ("choices", {"doc_to_choice": None}, "AssertionError: Answer is not a string"),
    ],
)
def test_a_fault_of_a_task_file_is_one_line_that_names_it(tmp_path, name, changes, said):
    utils = broken(
        zero="return 1 / 0",
        stop="return next(iter([]))",
        later="return _[0]['question'] if _[0]['label'] == 0 else {}['late']",
        number="return 5",
    )
    task = write_task(tmp_path, name, utils, **changes)
    start = rf"{tmp_path}/{name}\.yaml: lm-eval cannot run mine_{name} \({said}"
    with pytest.raises(UserError, match=start) as caught:
        list(Built(task, SHOTS, None).ask())
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(": mend the file")


def test_an_output_type_that_cannot_be_run_is_refused_with_those_that_can(build, tmp_path):
    said = (
        f"{tmp_path}/generate.yaml: mine_generate is of type loglikelihood_rolling, which cannot "
        "be run: known are generate_until, multiple_choice, loglikelihood"
    )
    with pytest.raises(UserError) as caught:
        build(output_type="loglikelihood_rolling", generation_kwargs=None)
    assert str(caught.value) == said


def test_code_that_fails_on_an_answer_is_a_fault_of_the_file(tmp_path):
    utils = broken(score="return {'acc': 1 / 0}")
    task = write_task(tmp_path, "generate", utils, process_results="!function utils.score")
    built = Built(task, SHOTS, None)
    asked = list(built.ask())
    with pytest.raises(UserError, match=r"generate\.yaml: .*ZeroDivisionError"):
        list(built.outcomes(asked, [["a"]] * 8))


def test_missing_data_are_told_as_they_are_with_the_task(tmp_path):
    (tmp_path / "data").mkdir()
    name = "flores200_eng_Latn-deu_Latn"
    with pytest.raises(UserError, match=f"^{name}: ") as caught:
        Built(tasks.find(name), Prompting(), tmp_path / "data")
    assert "mend the file" not in str(caught.value)


# What is changed around lm-eval is put back


@pytest.mark.parametrize("before", [None, "/elsewhere"])
def test_the_data_folder_is_set_while_a_task_is_built(tmp_path, monkeypatch, before):
    if before is None:
        monkeypatch.delenv("BAYLING_DATA", raising=False)
    else:
        monkeypatch.setenv("BAYLING_DATA", before)
    with environment("BAYLING_DATA", Path("/data")):
        assert os.environ["BAYLING_DATA"] == "/data"
    with environment("BAYLING_DATA", None):
        assert os.environ.get("BAYLING_DATA") == before
    utils = broken(where="import os; raise OSError(os.environ['BAYLING_DATA'])")
    task = write_task(tmp_path, "generate", utils, custom_dataset="!function utils.where")
    with pytest.raises(UserError, match="OSError: /data"):
        Built(task, Prompting(), Path("/data"))
    assert os.environ.get("BAYLING_DATA") == before


def test_lm_eval_warns_of_nothing_while_a_task_is_built(build, caplog):
    logger = logging.getLogger("lm_eval.api.task")
    with caplog.at_level(logging.WARNING, "lm_eval"):
        build("no_pool")
        assert caplog.messages == []
        with quiet():
            logger.warning("kept back")
            logger.error("heard")
        logger.warning("heard too")
    assert caplog.messages == ["heard", "heard too"]
