"""The task files and the catalogue of them; test_strict_check.py has lm-eval's view of both."""

import os
import re
import subprocess
import sys
from pathlib import Path

import lm_eval.api.metrics
import pytest
from lm_eval.api.registry import DEFAULT_METRIC_REGISTRY, METRIC_REGISTRY
from sacrebleu.dataset import DATASETS

from bayling_eval import languages, resources, tasks
from bayling_eval.adapter import OUTPUT_TYPES
from bayling_eval.errors import UserError

CHECKOUT = Path(__file__).parent.parent
TASKS = resources.folder("tasks")
HUBS = {"flores101": 2, "flores200": 2, "ntrex128": 1, "sample": 1}
CHANCE = {"sample_questions": 0.25, "xcopa": 0.5}
GOOD = "task: mine_{name}\nmetadata: {{version: 1.0, family: mine, lang: deu_Latn}}\n"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of a user's own tasks, one good one in it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "good.yaml").write_text(GOOD.format(name="good"))
    (folder / "utils.py").write_text("NUMBER = 1\n")
    return folder


# What is there


def test_the_bundled_families_are_those_of_the_catalogue():
    assert tuple(dict.fromkeys(t.family for t in tasks.catalogue().values())) == tasks.FAMILIES


@pytest.mark.parametrize("family", HUBS)
def test_every_language_goes_to_and_from_each_hub_once(family):
    left_out = ("eng_", "gsw_") if family == "ntrex128" else ()
    keys = {key for key in languages.codes(family) if not key.startswith(left_out)} | {"eng_Latn"}
    hubs = ["eng_Latn", "zho_Hans"][: HUBS[family]]
    wanted = {pair for hub in hubs for key in keys - {hub} for pair in ((hub, key), (key, hub))}
    found = [(task.src_lang, task.tgt_lang) for task in tasks.of_family(family)]
    assert len(found) == len(set(found))
    assert set(found) == wanted


# The published folders hold 204 and 102 files, and 128 references of which one is a second Spanish
# one and three are English.
@pytest.mark.parametrize(
    ("family", "number"),
    [
        ("flores200", 203 * 2 + 202 * 2),
        ("flores101", 101 * 2 + 100 * 2),
        ("ntrex128", 124 * 2),
        ("sample", 101 * 2),
        ("sample_questions", 6),
        ("wmt22", 21),
        ("xcopa", 11),
    ],
)
def test_number_of_tasks(family, number):
    assert len(tasks.of_family(family)) == number


def test_wmt22_has_the_pairs_that_sacrebleu_has():
    theirs = {
        tuple(languages.resolve(code, "wmt22") for code in pair.split("-"))
        for pair in DATASETS["wmt22"].langpairs
    }
    assert {(task.src_lang, task.tgt_lang) for task in tasks.of_family("wmt22")} == theirs


def test_names_say_the_languages():
    for task in tasks.catalogue().values():
        rest = "pair" if task.generic else task.lang or f"{task.src_lang}-{task.tgt_lang}"
        assert task.name == f"{task.family}_{rest}"
        assert task.path.stem == task.name
        assert task.chance == CHANCE.get(task.family)
        assert task.output_type == ("multiple_choice" if task.lang else "generate_until")


def test_making_the_task_files_again_changes_nothing(tmp_path):
    stale = tmp_path / "xcopa" / "xcopa_old.yaml"
    stale.parent.mkdir()
    stale.write_text("task: xcopa_old\n")
    script = CHECKOUT / "scripts" / "make_tasks.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])}
    subprocess.run([sys.executable, script, tmp_path], check=True, env=environment)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.glob("*/*.yaml")}
    kept = {path.relative_to(TASKS): path.read_bytes() for path in TASKS.glob("*/*.yaml")}
    assert made == kept


@pytest.mark.parametrize("family", tasks.FAMILIES)
def test_readme_of_a_family_names_its_tags_and_its_generic_task(family):
    readme = (TASKS / family / "README.md").read_text(encoding="utf-8")
    files = [path.read_text() for path in (TASKS / family).glob("*.yaml")]
    lists = [tags for text in files for tags in re.findall(r"^tag: \[(.*)\]$", text, re.M)]
    used = {tag for tags in lists for tag in tags.split(", ")}
    assert used
    assert used == set(re.findall(rf"^\| `({family}[\w-]*)`", readme, re.M))
    generic = (TASKS / family / f"{family}_pair.yaml").is_file()
    assert (f"`{family}_pair`" in readme) == generic
    assert generic == (family not in {"sample", *CHANCE})


def test_reading_the_catalogue_is_quick_and_needs_no_lm_eval():
    code = (
        "import sys, time; from bayling_eval import tasks, strict_check; start = time.monotonic(); "
        "tasks.catalogue(); print(time.monotonic() - start, 'lm_eval' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])}
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, env=environment, capture_output=True
    )
    seconds, imported = run.stdout.decode().split()
    assert imported == "False"
    assert float(seconds) < 2.0  # 0.15 s on an idle core


# How a task is asked and scored, as far as it is known without lm-eval


def about(folder: Path, text: str) -> tasks.Task:
    """Return a task that a file of the user's says more of."""
    (folder / "more.yaml").write_text(GOOD.format(name="more") + text)
    return tasks.find("mine_more", (folder,))


def test_bundled_tasks_have_no_shots_no_filters_and_the_metrics_of_their_kind():
    of_choices = ("acc", "acc_norm", "acc_bytes")
    for task in tasks.catalogue().values():
        assert task.metrics == (of_choices if task.lang else ("bleu", "chrf", "chrf++")), task
        assert (task.num_fewshot, task.filters) == (None, ("none",)), task
        # All their code is ours or lm-eval's.
        assert {name.split(".")[0] for name in task.code} <= {"bayling_eval", "lm_eval"}, task
        assert task.code, task


def test_what_a_file_leaves_out_is_lm_evals_default(mine):
    found = about(mine, "")
    assert (found.num_fewshot, found.filters, found.code) == (None, ("none",), ())
    assert (found.output_type, found.metrics) == ("generate_until", ("exact_match",))
    for output_type in OUTPUT_TYPES:
        metrics = DEFAULT_METRIC_REGISTRY[output_type]
        folder = mine.with_name(output_type)
        folder.mkdir()
        assert about(folder, f"output_type: {output_type}\n").metrics == tuple(metrics)


def test_shots_metrics_and_filters_are_read(mine):
    found = about(
        mine,
        "num_fewshot: 5\n"
        "metric_list:\n  - metric: exact_match\n    aggregation: mean\n  - metric: f1\n"
        "filter_list:\n  - name: strict\n    filter: [{function: take_first}]\n"
        "  - name: flexible\n    filter: [{function: take_first}]\n",
    )
    assert (found.num_fewshot, found.metrics) == (5, ("exact_match", "f1"))
    assert (found.filters, found.code) == (("strict", "flexible"), ())


def test_a_file_may_take_back_what_its_include_says(mine):
    (mine / "_base").write_text(
        "num_fewshot: 5\nmetric_list: [{metric: f1}]\nprocess_docs: !function utils.docs\n"
    )
    assert about(mine, "include: _base\n").code == ("utils.docs",)
    folder = mine.with_name("second")
    folder.mkdir()
    (folder / "_base").write_text((mine / "_base").read_text())
    found = about(folder, "include: _base\nnum_fewshot: 0\nmetric_list: []\nprocess_docs: null\n")
    assert (found.num_fewshot, found.metrics, found.code) == (0, (), ())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("doc_to_text: !function utils.text\n", ("utils.text",)),
        ("custom_dataset: !function a.b\nprocess_docs: !function a.a\n", ("a.a", "a.b")),
        ("class: !function task.Own\n", ("task.Own",)),
        ("class: mine.Own\n", ("mine.Own",)),
        ("fewshot_config: {samples: !function utils.shots}\n", ("utils.shots",)),
        (
            "metric_list: [{metric: acc, aggregation: !function utils.mean}]\n", ("utils.mean",),
        ),
        (
            "filter_list: [{name: a, filter: [{function: custom, filter_fn: !function u.f}]}]\n",
            ("u.f",),
        ),
        ("metric_list: [{metric: !function utils.own}]\n", ("utils.own",)),
        # lm-eval has the library evaluate load these, and that runs what it finds.
        ("metric_list: [{metric: acc}, {metric: ./own}]\n", ("./own",)),
        ("metric_list: [{metric: someone/metric}]\n", ("someone/metric",)),
        ("metric_list: [{metric: exact_match, hf_evaluate: true}]\n", ("exact_match",)),
        # With process_results it looks for none.
        (
            "metric_list: [{metric: own}]\nprocess_results: !function utils.own\n",
            ("utils.own",),
        ),
        ("metric_list: [{metric: acc, hf_evaluate: false}]\ndoc_to_text: '{{class}}'\n", ()),
    ],
)  # fmt: skip
def test_what_would_run_code_is_named(mine, text, code):
    assert about(mine, text).code == code


def test_the_metrics_that_are_no_code_are_those_that_lm_eval_has_itself():
    # They enter themselves when their module is imported.
    assert lm_eval.api.metrics
    assert set(tasks.LM_EVAL_METRICS) == set(METRIC_REGISTRY)


# Faults in task files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: a\ntag: [b\n", r"bad\.yaml:3: not valid YAML"),
        ("task: a\nmetadata: !wrong {}\n", r"bad\.yaml:2: not valid YAML"),
        ("- task: a\n", r"bad\.yaml:1: a task file is a mapping"),
        ("tag: a\n", r"bad\.yaml: no task name"),
        ("task: a\n", r"bad\.yaml: metadata has no version and no family"),
        (
            "task: a\nmetadata: {version: 1, family: a}\n",
            r"has no lang \(or src_lang and tgt_lang\)",
        ),
        ("task: a\nmetadata: {version: 1, family: a, src_lang: deu_Latn}\n", "has no tgt_lang"),
        (
            "task: a\nmetadata: {version: 1, family: a, lang: deu_Latn, chance: half}\n",
            "chance in metadata is 'half'",
        ),
        ("include: _none\ntask: a\n", r"bad\.yaml: includes .*_none, which is not there"),
        ("include: bad.yaml\ntask: a\n", r"bad\.yaml: includes itself"),
        (GOOD.format(name="x") + "num_fewshot: many\n", "num_fewshot is 'many': write a whole"),
        (GOOD.format(name="x") + "num_fewshot: -1\n", "num_fewshot is -1: write a whole number"),
        (GOOD.format(name="x") + "metric_list: [{aggregation: mean}]\n", "metric_list has no met"),
        (
            GOOD.format(name="x") + "metric_list: acc\n",
            r"bad\.yaml: an entry of metric_list has no",
        ),
        (GOOD.format(name="x") + "metric_list: [acc]\n", "an entry of metric_list has no metric"),
        (GOOD.format(name="x") + "filter_list: [{filter: []}]\n", "filter_list has no name"),
        (GOOD.format(name="x") + "filter_list: {name: 3}\n", "filter_list has no name"),
        (GOOD.format(name="good"), r"'mine_good' is defined twice: .*bad\.yaml and .*good\.yaml"),
    ],
)
def test_a_broken_file_is_named(mine, text, message):
    (mine / "bad.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        tasks.catalogue((mine,))


def test_a_name_of_a_bundled_task_cannot_be_taken(mine):
    (mine / "bad.yaml").write_text(GOOD.format(name="x").replace("mine_x", "xcopa_est_Latn"))
    with pytest.raises(UserError, match="'xcopa_est_Latn' is defined twice"):
        tasks.catalogue((mine,))


def test_own_tasks_join_the_bundled_ones_and_groups_are_not_tasks(mine):
    (mine / "group.yaml").write_text("group: all_mine\ntask: [mine_good]\n")
    (mine / "_base").write_text("output_type: multiple_choice\nmetadata: {version: 3}\n")
    (mine / "child.yaml").write_text(
        "include: _base\ntask: child\n"
        "metadata: {version: 2, family: mine, lang: deu_Latn, chance: 1}\n"
    )
    assert [task.name for task in tasks.of_family("mine", (mine,))] == ["child", "mine_good"]
    child = tasks.find("child", (mine,))
    assert (child.output_type, child.version, child.chance) == ("multiple_choice", "2", 1.0)
    assert set(tasks.catalogue()) == set(tasks.catalogue((mine,))) - {"child", "mine_good"}


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no folder of tasks at"):
        tasks.catalogue((tmp_path / "none",))


# Names


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("flores200_eng_Latn-zho_Hans", "flores200_eng_Latn-zho_Hans"),
        ("flores200_deu_Latn-fra_Latn", "flores200_deu_Latn-fra_Latn"),
        ("flores101_eng-zho_simpl", "flores101_eng_Latn-zho_Hans"),
        ("flores101_deu-fra", "flores101_deu_Latn-fra_Latn"),
        ("ntrex128_eng-zho-CN", "ntrex128_eng_Latn-zho_Hans"),
        ("ntrex128_zho-CN-zho-TW", "ntrex128_zho_Hans-zho_Hant"),
        ("wmt22_cs-en", "wmt22_ces_Latn-eng_Latn"),
        ("xcopa_et", "xcopa_est_Latn"),
        ("sample_eng_Latn-deu_Latn", "sample_eng_Latn-deu_Latn"),
        ("sample_questions_zho_Hans", "sample_questions_zho_Hans"),
    ],
)
def test_find_understands_any_pair_and_each_spelling(spelled, name):
    task = tasks.find(spelled)
    assert task.name == name
    assert task.path.is_file()
    assert not task.generic
    if task.src_lang:
        assert name == f"{task.family}_{task.src_lang}-{task.tgt_lang}"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("flores200_deu_Latn-fraa_Latn", "flores200_deu_Latn-fra_Latn"),
        ("flores200_duu_Latn-fra_Latn", "flores200_deu_Latn-fra_Latn"),
        ("flores200_eng_Latn-zho_Hant_", "flores200_eng_Latn-zho_Hant"),
        ("flores200_deu_Latn-deu_Latn", ""),
        ("flores101_deu_Latn-ace_Latn", ""),
        ("wmt22_ces_Latn-fra_Latn", ""),
        ("xcopa_deu_Latn", ""),
        ("sample_deu_Latn-fra_Latn", ""),
        ("sample_eng_Latn-deu_Lat", "sample_eng_Latn-deu_Latn"),
        ("sample_questions_fra_Latn", ""),
        ("nonsense", ""),
    ],
)
def test_find_suggests_for_what_is_not_there(name, hint):
    with pytest.raises(UserError) as caught:
        tasks.find(name)
    message = str(caught.value)
    assert message.startswith(f"unknown task {name!r}.")
    assert message.endswith("`bayling-eval ls tasks` lists them.")
    assert hint in message


def test_unknown_family_is_suggested():
    with pytest.raises(UserError, match="Did you mean 'flores200'"):
        tasks.of_family("flores20")


def test_a_family_does_not_list_its_generic_task():
    assert tasks.find("flores200_pair").generic
    assert all(not task.generic for task in tasks.of_family("flores200"))


# Digests


def test_digest_depends_on_the_files_and_not_on_where_they_lie(mine, tmp_path):
    (mine / "_base").write_text("output_type: generate_until\n")
    (mine / "good.yaml").write_text("include: _base\n" + GOOD.format(name="good"))
    digest = tasks.digest(tasks.find("mine_good", (mine,)))
    elsewhere = tmp_path / "elsewhere"
    mine.rename(elsewhere)
    task = tasks.find("mine_good", (elsewhere,))
    assert tasks.digest(task) == digest
    seen = {digest}
    for file in ("_base", "utils.py", "good.yaml"):
        with (elsewhere / file).open("a") as stream:
            stream.write("# changed\n")
        seen.add(tasks.digest(task))
    assert len(seen) == 4


def test_digest_tells_the_pairs_of_a_generic_task_apart():
    names = ["flores200_deu_Latn-fra_Latn", "flores200_fra_Latn-deu_Latn", "flores200_pair"]
    assert len({tasks.digest(tasks.find(name)) for name in names}) == 3
