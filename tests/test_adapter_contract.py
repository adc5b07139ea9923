"""What the adapter relies on in lm-eval: templates, loading, settings and examples.

If one of these fails after an upgrade, the adapter is to be read again beside lm-eval's source.
"""

import ast
import dataclasses
import random
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from adapter_lab import loader, parameters
from conftest import CHECKOUT
from lm_eval import defaults, evaluator, utils
from lm_eval.api.task import ConfigurableTask
from lm_eval.config.task import FewshotConfig, TaskConfig
from lm_eval.tasks import TaskManager
from own_tasks import UTILS, write_task
from stock_lm_eval import model

from bayling_eval.adapter import Built, Prompting


@pytest.fixture
def load(tmp_path):
    return loader(tmp_path)


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """Run ``simple_evaluate`` up to where tasks are asked; return the task as it is then."""
    reached = []
    monkeypatch.setattr(evaluator, "evaluate", lambda **given: reached.append(given) or {})
    monkeypatch.setattr(evaluator, "add_env_info", lambda *_: None)

    def run(name: str = "generate", changes=None, **options) -> ConfigurableTask:
        path = str(write_task(tmp_path, name, **(changes or {})).path)
        manager = TaskManager(include_defaults=False)
        evaluator.simple_evaluate(model=model(), tasks=[path], task_manager=manager, **options)
        (task,) = reached[-1]["task_dict"]["tasks"].values()
        return task

    return run


# Versions


def test_the_pin_is_exact_and_installed():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    (pin,) = [one for one in project["dependencies"] if re.match("lm[-_.]eval", one)]
    assert pin == f"lm-eval=={version('lm-eval')}"


# Templates


def test_templates_are_rendered_through_the_module(load, monkeypatch):
    task = load(
        "choices_template",
        description='"D {{topic}}"',
        gen_prefix='"P {{topic}}"',
        fewshot_config='{doc_to_text: "F {{topic}}"}',
    )
    rendered = []
    stock = utils.apply_template
    monkeypatch.setattr(
        utils, "apply_template", lambda text, doc: rendered.append(text) or stock(text, doc)
    )
    task.set_fewshot_seed(0)
    doc = task.eval_docs[0]
    prefix = task.doc_to_prefix(doc)
    context = task.fewshot_context(doc, num_fewshot=1, gen_prefix=prefix)
    task.construct_requests(doc=doc, ctx=context, metadata=("t", 0, 1))
    assert set(rendered) == {
        "D {{topic}}",
        "P {{topic}}",
        "F {{topic}}",
        "{{question}}",
        "{{[topic, choices[0], choices[2]]}}",
        "{{label}}",
    }


def test_no_module_of_lm_eval_holds_the_function_that_is_replaced():
    holders = [
        path
        for path in Path(utils.__file__).parent.rglob("*.py")
        if "apply_template" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        and "apply_template" in [alias.name for alias in node.names]
    ]
    assert holders == []


# Loading


def test_a_task_is_loaded_by_path_with_metadata(tmp_path):
    own = UTILS.replace('f"Was ist {n} plus {n % 3}?"', 'metadata["word"]')
    own = own.replace("def rows(first, last)", "def rows(first, last, metadata)")
    own = own.replace("7)", "7, metadata)").replace("8)", "8, metadata)")
    path = write_task(tmp_path, "generate", own).path
    manager = TaskManager(include_defaults=False, metadata={"word": "zwei", "lang": "eng_Latn"})
    assert manager.all_tasks == []
    loaded = manager.load(str(path))
    assert list(loaded["tasks"]) == ["mine_generate"]
    task = loaded["tasks"]["mine_generate"]
    assert type(task) is ConfigurableTask
    assert task.config.metadata["lang"] == "eng_Latn"
    assert task.eval_docs[0]["question"] == "zwei"
    task.config.task = "other"
    task.build_all_requests()
    assert task.instances[0].task_name == "other"


def test_two_loads_share_nothing_that_the_adapter_sets(load):
    one, two = load(), load()
    one.set_config("generation_kwargs", {"until": ["changed"]}, update=True)
    one.set_config("num_fewshot", 4)
    assert two.config.generation_kwargs["until"] == ["\n", "Frage:"]
    assert two.config.num_fewshot is None


# Settings


@pytest.mark.parametrize(
    ("own", "asked", "expected"),
    [(None, 3, 3), (None, 0, 0), ("2", 3, 3), ("2", None, 2), (None, None, 0), ("0", 3, 0)],
)
def test_simple_evaluate_sets_the_number_of_shots(evaluated, own, asked, expected):
    task = evaluated(changes={"num_fewshot": own}, num_fewshot=asked)
    assert task.config.num_fewshot == expected


def test_simple_evaluate_updates_the_decoding_of_generating_tasks_alone(evaluated):
    asked = {"until": ["."], "temperature": 0.5}
    assert evaluated(gen_kwargs=asked).config.generation_kwargs == {
        "until": ["."],
        "temperature": 0.5,
        "max_gen_toks": 20,
        "do_sample": False,
    }
    assert evaluated("choices", gen_kwargs=asked).config.generation_kwargs is None
    untouched = {"until": ["\n", "Frage:"], "max_gen_toks": 20, "do_sample": False}
    assert evaluated(gen_kwargs={}).config.generation_kwargs == untouched


def test_simple_evaluate_seeds_the_choice_of_shots(evaluated):
    assert evaluated(fewshot_random_seed=7).sampler.rnd.getstate() == random.Random(7).getstate()
    task = evaluated()
    assert Prompting().seed == defaults.DEFAULT_OTHER_SEED == 1234
    for shots in (task.sampler.rnd, task.fewshot_rnd):
        assert shots.getstate() == random.Random(1234).getstate()


def test_simple_evaluate_seeds_what_task_code_draws_from(evaluated, tmp_path, monkeypatch):
    seeds = []
    monkeypatch.setattr(random, "seed", lambda seed: seeds.append(("random", seed)))
    monkeypatch.setattr(np.random, "seed", lambda seed: seeds.append(("numpy", seed)))
    evaluated()
    stock = list(seeds)
    seeds.clear()
    Built(write_task(tmp_path, "generate"), Prompting(), None)
    assert seeds == stock == [("random", 0), ("numpy", 1234)]


def test_simple_evaluate_has_no_other_options():
    """A new one may change prompts or scores."""
    assert (
        parameters(evaluator.simple_evaluate)
        == (
            "model model_args tasks num_fewshot batch_size max_batch_size device use_cache "
            "cache_requests rewrite_requests_cache delete_requests_cache limit samples "
            "bootstrap_iters check_integrity write_out log_samples evaluation_tracker "
            "system_instruction apply_chat_template fewshot_as_multiturn gen_kwargs task_manager "
            "verbosity predict_only random_seed numpy_random_seed torch_random_seed "
            "fewshot_random_seed confirm_run_unsafe_code metadata"
        ).split()
    )
    assert {field.name for field in dataclasses.fields(TaskConfig)} == set(
        "task task_alias tag custom_dataset dataset_path dataset_name dataset_kwargs "
        "training_split validation_split test_split fewshot_split process_docs doc_to_text "
        "doc_to_target doc_to_image doc_to_audio unsafe_code doc_to_choice process_results "
        "use_prompt description target_delimiter fewshot_delimiter fewshot_config num_fewshot "
        "metric_list output_type generation_kwargs repeats filter_list should_decontaminate "
        "doc_to_decontamination_query gen_prefix metadata".split()
    )


# Prompt sets


def test_what_examples_look_like_is_a_copy_made_when_the_task_is_built(load):
    assert [field.name for field in dataclasses.fields(FewshotConfig)] == [
        *("sampler", "split", "process_docs", "fewshot_indices", "samples", "doc_to_text"),
        *("doc_to_choice", "doc_to_target", "gen_prefix", "fewshot_delimiter", "target_delimiter"),
    ]
    task, said = load(), {"doc_to_text": "F {{topic}}", "target_delimiter": "|"}
    doc = task.eval_docs[0]
    for key, value in {**said, "fewshot_delimiter": "/", "description": "D "}.items():
        task.set_config(key, value)
    task.set_fewshot_seed(5)
    before = task.fewshot_context(doc, num_fewshot=1)
    assert re.fullmatch(r"D Frage: .*\nAntwort: #### \d\n\nF Zahlen", before)
    for key, value in {**said, "fewshot_delimiter": "/"}.items():
        setattr(task.fewshot_cfg, key, value)
    after = task.fewshot_context(doc, num_fewshot=1)
    assert re.fullmatch(r"D F \w+\|#### \d/F Zahlen", after)


def test_the_sampler_draws_from_what_is_put_into_it(load):
    task = load("same_split")
    own = [{"question": f"{n}?", "answer": f"{n}"} for n in range(3)]
    task.sampler.replace_df(own)
    task.fewshot_cfg.split = "dev"
    task.set_fewshot_seed(5)
    drawn = random.Random(5).sample(own, 2)
    context = task.fewshot_context(task.eval_docs[0], num_fewshot=2)
    shots = [f"Frage: {doc['question']}\nAntwort: {doc['answer']}\n\n" for doc in drawn]
    assert context == "".join(shots) + "Frage: Was ist 0 plus 0?\nAntwort:"
    assert set(task.features) > {"question", "answer"}
