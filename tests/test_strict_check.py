"""Tasks as lm-eval builds them, the strict check, and what is relied on in lm-eval."""

import json
import os
import time
from pathlib import Path

import pytest
import yaml
from lm_eval import tasks as lm_eval_tasks
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml
from lm_eval.tasks.xcopa import utils as xcopa_utils

from bayling_eval import languages, resources, strict_check, tasks
from bayling_eval.errors import UserError

TASKS = resources.folder("tasks")
GOOD = """\
task: mine_{name}
output_type: generate_until
custom_dataset: !function utils.dataset
test_split: test
doc_to_text: "{{{{source}}}}"
doc_to_target: "{{{{target}}}}"
generation_kwargs: {{until: ["\\n"]}}
metadata: {{version: 1.0, family: mine, lang: deu_Latn}}
"""
UTILS = """\
import datasets


def dataset(**metadata):
    return {"test": datasets.Dataset.from_list([{"source": "eins", "target": "one"}])}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of a user's own tasks, one good one in it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "good.yaml").write_text(GOOD.format(name="good"))
    (folder / "utils.py").write_text(UTILS)
    return folder


@pytest.fixture
def flores(tmp_path: Path) -> Path:
    """A data folder with three invented sentences in two languages of FLORES-200."""
    folder = tmp_path / "data" / "flores200" / "flores200_dataset" / "devtest"
    folder.mkdir(parents=True)
    (folder / "deu_Latn.devtest").write_text("Eins ist da.\nZwei auch.\nDrei [fehlt].\n")
    (folder / "fra_Latn.devtest").write_text("Un est là.\nDeux aussi.\nTrois [manque].\n")
    return tmp_path / "data"


@pytest.fixture
def xcopa(tmp_path: Path) -> Path:
    """A data folder with two invented questions in each language of XCOPA."""
    for code in languages.codes("xcopa").values():
        folder = tmp_path / "data" / "xcopa" / "data" / code
        folder.mkdir(parents=True)
        rows = [
            {
                "premise": f"Regen {code} {part}.",
                "choice1": "Es goss.",
                "choice2": "Äpfel sind rot.",
                "question": question,
                "label": label,
                "idx": label,
                "changed": False,
            }
            for label, (question, part) in enumerate([("cause", "fiel"), ("effect", "kam ")])
        ]
        for split in ("val", "test"):
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{split}.{code}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path / "data"


# Tasks as lm-eval builds them


def test_a_pair_without_a_file_is_the_generic_task_with_that_pair(flores, monkeypatch):
    monkeypatch.setenv("BAYLING_DATA", str(flores))
    ours = strict_check.build(tasks.find("flores200_deu_Latn-fra_Latn"))
    manager = TaskManager(
        include_path=str(TASKS),
        include_defaults=False,
        metadata={"src_lang": "deu_Latn", "tgt_lang": "fra_Latn"},
    )
    stock = manager.load("flores200_pair")["tasks"]["flores200_pair"]
    assert ours.config.task == "flores200_deu_Latn-fra_Latn"
    for task in (ours, stock):
        task.build_all_requests()
    assert [r.args for r in ours.instances] == [r.args for r in stock.instances]
    name = languages.get("fra_Latn").name
    prompt, settings = stock.instances[0].args
    assert prompt == f"Provide the {name} translation for this sentence: Eins ist da."
    assert settings == {
        "do_sample": False,
        "temperature": 0.0,
        "until": ["\n\n"],
        "max_gen_toks": 1024,
    }


def test_shots_of_a_translation_task_leave_the_evaluated_sentence_out(flores, monkeypatch):
    monkeypatch.setenv("BAYLING_DATA", str(flores))
    task = strict_check.build(tasks.find("flores200_deu_Latn-fra_Latn"))
    task.set_config(key="num_fewshot", value=2)
    task.set_fewshot_seed(0)
    task.build_all_requests()
    for request, doc in zip(task.instances, task.task_docs, strict=True):
        assert request.args[0].count(doc["source"]) == 1
        assert doc["reference"] not in request.args[0]
        assert request.args[0].count("translation for this sentence:") == 3


def test_translation_is_scored_against_its_references(flores, monkeypatch):
    monkeypatch.setenv("BAYLING_DATA", str(flores))
    task = strict_check.build(tasks.find("flores200_deu_Latn-fra_Latn"))
    scores = {}
    for doc in task.task_docs:
        for metric, item in task.process_results(doc, [f" {doc['reference']} \n"]).items():
            scores.setdefault(metric, []).append(item)
    assert set(scores) == {"bleu", "chrf", "chrf++"} == set(task.higher_is_better())
    for metric, items in scores.items():
        assert task.aggregation()[metric](items) == pytest.approx(100.0)


@pytest.mark.parametrize("shots", [0, 1])
def test_xcopa_prompts_are_those_of_lm_eval(xcopa, monkeypatch, shots):
    monkeypatch.setenv("BAYLING_DATA", str(xcopa))
    for task in tasks.of_family("xcopa"):
        code = languages.codes("xcopa")[task.lang]
        ours = strict_check.build(task)
        config = load_yaml(Path(lm_eval_tasks.__file__).parent / "xcopa" / f"default_{code}.yaml")
        config.pop("tag", None)
        assert config["dataset_name"] == code
        theirs = ConfigurableTask(
            config=config | {"custom_dataset": lambda _=ours, **__: _.dataset}
        )
        for built in (ours, theirs):
            built.set_config(key="num_fewshot", value=shots)
            built.set_fewshot_seed(1234)
            built.build_all_requests()
        assert [r.args for r in ours.instances] == [r.args for r in theirs.instances]
        doc, answers = ours.task_docs[0], [(-1.0, False), (-2.0, False)]
        scores = ours.process_results(doc, answers)
        assert set(scores) == {"acc", "acc_norm", "acc_bytes"}
        assert scores["acc"] == theirs.process_results(doc, answers)["acc"] == 1.0


# The strict check


def test_check_passes_a_good_folder(mine):
    assert strict_check.check(None, ["mine_good"], (mine,)) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{{source}}", "{{sorce}}", "'sorce' is undefined"),
        ("{{source}}", "{% if %}", "TemplateSyntaxError"),
        ("utils.dataset", "utils.data_set", "has no function 'data_set'"),
        ("test_split: test", "test_split: tset", "KeyError"),
        ("test_split:", "tset_split:", "tset_split"),
        ("generate_until", "generate_untill", "generate_untill"),
    ],
)
def test_check_names_the_file_that_lm_eval_cannot_build(mine, old, new, message):
    (mine / "bad.yaml").write_text(GOOD.format(name="bad").replace(old, new))
    with pytest.raises(UserError, match=rf"bad\.yaml: lm-eval cannot run mine_bad .*{message}"):
        strict_check.check(None, ["mine_good", "mine_bad"], (mine,))


def test_check_finds_a_broken_file_that_lm_eval_leaves_out(mine):
    (mine / "bad.yaml").write_text("task: mine_bad\ntag: [b\n")
    with pytest.raises(UserError, match=r"bad\.yaml:3"):
        strict_check.check(None, None, (mine,))


def test_check_finds_a_task_that_lm_eval_leaves_out_because_of_a_tag(mine):
    (mine / "a.yaml").write_text(GOOD.format(name="a") + "tag: mine_b\n")
    (mine / "b.yaml").write_text(GOOD.format(name="b"))
    with pytest.raises(UserError, match=r"b\.yaml: lm-eval does not list 'mine_b'"):
        strict_check.check(None, ["mine_good"], (mine,))


def test_check_reports_what_is_not_in_the_data_folder(flores, monkeypatch):
    monkeypatch.delenv("BAYLING_DATA", raising=False)
    names = ["flores200_deu_Latn-fra_Latn", "flores200_deu_Latn-ita_Latn", "xcopa_est_Latn"]
    lines = strict_check.check(flores, names)
    assert [line.partition(":")[0] for line in lines] == names[1:]
    assert "BAYLING_DATA" not in os.environ
    (line,) = strict_check.check(None, names[:1])
    assert line == "flores200_deu_Latn-fra_Latn: no data folder"


@pytest.mark.data
@pytest.mark.slow
def test_every_bundled_task_builds_with_lm_eval(data_dir):
    start = time.monotonic()
    lines = strict_check.check(data_dir)
    absent = {
        task.name
        for task in tasks.of_family("wmt22")
        if not list(
            (data_dir / "wmt22" / "txt" / "references").glob(
                "generaltest2022.{}-{}.ref.*".format(
                    *(languages.codes("wmt22")[key] for key in (task.src_lang, task.tgt_lang))
                )
            )
        )
    }
    assert {line.partition(":")[0] for line in lines} == absent
    assert len(absent) < 21
    assert time.monotonic() - start < 300  # 25 s on an idle core with shortened files


# What is relied on in lm-eval: if one of these fails after an upgrade, see strict_check.py first


def test_lm_eval_lists_tasks_of_a_folder_and_drops_broken_ones(mine):
    (mine / "bad.yaml").write_text("task: mine_bad\ntag: [b\n")
    manager = TaskManager(include_path=[str(mine)], include_defaults=False)
    assert manager.all_subtasks == ["mine_good"]


def test_lm_eval_merges_includes_without_merging_metadata(mine):
    (mine / "_base").write_text("metadata: {version: 1}\noutput_type: generate_until\n")
    (mine / "good.yaml").write_text("include: _base\nmetadata: {family: mine}\n")
    merged = load_yaml(mine / "good.yaml")
    assert merged == {"metadata": {"family": "mine"}, "output_type": "generate_until"}


def test_lm_eval_has_the_functions_that_xcopa_names():
    named = [
        yaml.safe_load(path.read_text().replace("!function ", ""))["doc_to_text"]
        for path in (TASKS / "xcopa").glob("*.yaml")
    ]
    assert len(named) == 11
    for name in [*named, "lm_eval.tasks.xcopa.utils.doc_to_choice"]:
        assert callable(getattr(xcopa_utils, name.rpartition(".")[2]))
