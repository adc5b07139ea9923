"""Suites: names and TOML files, and faults with their line."""

from pathlib import Path

import pytest

from bayling_eval import plan, tasks
from bayling_eval.errors import UserError
from bayling_eval.subsets import Subset


def names(suite: plan.Suite, languages: str | None = None, **more) -> list[str]:
    return [task.name for task in plan.selected(suite, languages, **more).tasks]


def suite(tmp_path: Path, text: str) -> plan.Suite:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return plan.load(str(path))


def test_a_family_is_a_suite():
    assert len(names(plan.load("wmt22"))) == 21
    assert plan.selected(plan.load("wmt22")).open_families == {"wmt22"}


def test_a_file_selects_languages_and_pairs(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\n[[tasks]]\nuse = "flores200"\nlanguages = "deu_Latn,tha_Thai"\n'
        '[[tasks]]\nuse = "ntrex128"\npairs = ["deu-fra"]\n'
    )
    suite = plan.load(str(path))
    assert names(suite) == [
        "flores200_deu_Latn-eng_Latn",
        "flores200_deu_Latn-zho_Hans",
        "flores200_eng_Latn-deu_Latn",
        "flores200_eng_Latn-tha_Thai",
        "flores200_tha_Thai-eng_Latn",
        "flores200_tha_Thai-zho_Hans",
        "flores200_zho_Hans-deu_Latn",
        "flores200_zho_Hans-tha_Thai",
        "ntrex128_deu_Latn-fra_Latn",
    ]


def test_languages_on_the_command_line_take_the_place_of_the_suites():
    assert names(plan.load("wmt22"), "ja") == ["wmt22_eng_Latn-jpn_Jpan", "wmt22_jpn_Jpan-eng_Latn"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[[tasks]]\nuse = "flores200"\nlangages = "de"\n',
            r":3: unknown key 'langages'.*'languages'",
        ),
        ('[[tasks]]\nuse = "xcopa"\n\n[[tasks]]\nuse = 3\n', r":5: tasks.1.use: .*string"),
        ('nam = "x"\n[[tasks]]\nuse = "xcopa"\n', r":1: unknown key 'nam'.*'name'"),
        ('name = "x"\n', r"mine.toml:1: tasks: Field required"),
        ("[[tasks]\n", r"mine.toml:1: broken TOML"),
        ('[[tasks]]\nuse = "flores20"\n', r"unknown task family 'flores20'.*'flores200'"),
        ('[[tasks]]\nuse = "xcopa"\nlanguages = "klingon"\n', r"klingon"),
        ('[[tasks]]\nuse = "wmt22"\npairs = ["cs-ja"]\n', r"unknown task 'wmt22_cs-ja'"),
        ('[[tasks]]\nuse = "wmt22', r"mine.toml:2: broken TOML"),
        ('"a(" = 1\n', r"mine.toml:1: "),
        ("x = " + "[" * 20_000, r"mine.toml: broken TOML: nested too deeply"),
        (
            '\n[[tasks]]\nuse = "xcopa"\n[[tasks]]\nuse = "wmt22"\npairs = ["xx-en"]\n',
            r"mine.toml:4: unknown task 'wmt22_xx-en'",
        ),
        (
            '[[tasks]]\nuse = "wmt22"\npairs = ["cs-en"]\nlanguages = "de"\n',
            r"mine.toml:1: no task of wmt22 has one of 'de'",
        ),
        (
            '[[tasks]]\nuse = "xcopa"\nselection = {n = 0, seed = 1}\n',
            r"mine.toml:3: tasks.0.selection.n: .*greater than or equal to 1",
        ),
        (
            '[[tasks]]\nuse = "xcopa"\nselection = {n = 5}\n',
            r"mine.toml:3: tasks.0.selection.seed: Field required",
        ),
        (
            '[[tasks]]\nuse = "xcopa"\nselection = {n = 5, sede = 1, seed = 1}\n',
            r"mine.toml:3: unknown key 'sede'.*'seed'",
        ),
        ('[[tasks]]\nuse = "xcopa"\nnum_fewshot = -1\n', r"mine.toml:3: tasks.0.num_fewshot: "),
        (
            '[[tasks]]\nuse = "xcopa"\napply_chat_template = "yes"\n',
            r"mine.toml:3: tasks.0.apply_chat_template: .*'auto', 'on' or 'off'",
        ),
        (
            '[[models]]\nid = "a"\n[[tasks]]\nuse = "xcopa"\n[[models]]\nid = "b"\nbackedn = "x"\n',
            r"mine.toml:7: unknown key 'backedn'.*'backend'",
        ),
        (
            '[[tasks]]\nuse = "xcopa"\n[[models]]\nname = "a"\n',
            r"mine.toml:3: models.0.id: Field required",
        ),
        (
            '[[tasks]]\nuse = "xcopa"\n[[models]]\nname = "a"\n[[models]]\nid = "b"\n',
            r"mine.toml:3: models.0.id: Field required",
        ),
        (
            '[[tasks]]\nuse = "xcopa"\n[[models]]\nid = "a"\nstep = "last"\n',
            r"mine.toml:5: models.0.step: .*integer",
        ),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        plan.selected(plan.load(str(path)))


# How tasks are asked, and of whom


def test_a_table_says_how_its_tasks_are_asked(tmp_path):
    found = suite(
        tmp_path,
        '[[tasks]]\nuse = "xcopa"\nlanguages = "et"\nnum_fewshot = 3\napply_chat_template = "on"\n'
        "selection = {n = 100, seed = 7}\n"
        '[[tasks]]\nuse = "sample"\nlanguages = "cym_Latn"\n',
    )
    first, second = plan.selected(found).entries
    assert [task.name for task in first.tasks] == ["xcopa_est_Latn"]
    assert (first.num_fewshot, first.subset, first.chat) == (3, Subset(100, 7), "on")
    assert (second.num_fewshot, second.subset, second.chat) == (None, Subset(), None)


def test_a_task_in_two_tables_is_one_task_of_the_selection(tmp_path):
    table = '[[tasks]]\nuse = "sample"\nlanguages = "cym_Latn"\n'
    found = plan.selected(suite(tmp_path, f"{table}{table}num_fewshot = 2\n"))
    assert [len(entry.tasks) for entry in found.entries] == [2, 2]
    assert [task.name for task in found.tasks] == [
        "sample_cym_Latn-eng_Latn", "sample_eng_Latn-cym_Latn",
    ]  # fmt: skip


def test_models_are_listed_in_order_with_what_is_said_of_each(tmp_path):
    found = suite(
        tmp_path,
        '[[tasks]]\nuse = "xcopa"\n'
        '[[models]]\nid = "org/name"\nseries = "s"\nstep = 10\ntokens = 9000000000\n'
        'revision = "main"\nmodel_args = {dtype = "bfloat16", batch_tokens = 9}\n'
        '[[models]]\nid = "other"\nfewshot_as_multiturn = true\ngen_kwargs = {num_beams = 2}\n',
    )
    first, second = found.models
    assert (first.id, first.series, first.step, first.tokens) == ("org/name", "s", 10, 9 * 10**9)
    assert (first.revision, first.model_args) == ("main", {"dtype": "bfloat16", "batch_tokens": 9})
    assert (second.backend, second.gen_kwargs) == (None, {"num_beams": 2})
    assert second.fewshot_as_multiturn is True


def test_a_folder_is_looked_for_beside_the_suite_file_wherever_the_command_runs(
    tmp_path, monkeypatch
):
    for name in ("model", "adapter"):
        (tmp_path / "suites" / name).mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    text = '[[tasks]]\nuse = "xcopa"\n[[models]]\nid = "{}"\nadapter = "{}"\n'
    found = suite(tmp_path / "suites", text.format("model", "adapter")).models[0]
    assert (Path(found.id), Path(found.adapter)) == (
        tmp_path / "suites" / "model", tmp_path / "suites" / "adapter",
    )  # fmt: skip
    # What is not there may be an id on the hub.
    found = suite(tmp_path / "suites", text.format("org/name", "none")).models[0]
    assert (found.id, found.adapter) == ("org/name", "none")


def test_a_glob_keeps_tasks_by_their_names_and_drops_tables_without_any(tmp_path):
    found = suite(tmp_path, '[[tasks]]\nuse = "xcopa"\n[[tasks]]\nuse = "sample"\n')
    assert names(found, only_tasks="*est_Latn") == ["xcopa_est_Latn", "sample_eng_Latn-est_Latn"]
    chosen = plan.selected(found, only_tasks="xcopa_*")
    assert [entry.tasks[0].family for entry in chosen.entries] == ["xcopa"]
    with pytest.raises(UserError, match=r"unknown task of this suite 'xcopa_est'.*_est_Latn'"):
        plan.selected(found, only_tasks="xcopa_est")


def test_a_users_own_family_is_a_suite_and_may_stand_in_one(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "one.yaml").write_text(
        "task: mine_one\nmetadata: {version: 1, family: mine, lang: deu_Latn}\n"
    )
    include = (tmp_path / "mine",)
    assert names(plan.load("mine", include), include=include) == ["mine_one"]
    text = '[[tasks]]\nuse = "mine"\n[[tasks]]\nuse = "sample"\nlanguages = "cy"\n'
    assert len(names(suite(tmp_path, text), include=include)) == 3
    with pytest.raises(UserError, match="unknown suite 'mine'"):
        plan.load("mine")
    with pytest.raises(UserError, match="unknown task family 'mine'"):
        plan.selected(suite(tmp_path, text))


def test_every_suite_with_a_name_can_be_loaded_and_selects_something():
    assert set(tasks.FAMILIES) < set(plan.names())
    for name in plan.names():
        found = plan.load(name)
        assert found.name == name
        assert names(found)


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ("flores20", "unknown suite 'flores20'. Did you mean 'flores200'"),
        ("no.toml", "no suite file"),
    ],
)
def test_an_unknown_suite_is_named(suite, message):
    with pytest.raises(UserError, match=message):
        plan.load(suite)


def test_a_suite_that_is_not_utf8_is_a_clear_error(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b'name = "\xff"\n')
    with pytest.raises(UserError, match="not UTF-8"):
        plan.load(str(path))
