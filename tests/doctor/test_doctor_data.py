"""The doctor on the data of a run, the examples of its prompt sets, and the disk."""

import dataclasses
import shutil
from types import SimpleNamespace

import pytest
from conftest import sentences, write_lines
from doctor_lab import empty_hub, examined, model, suite

from bayling_eval import doctor, presets
from bayling_eval.errors import UserError


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    yield from empty_hub(tmp_path, monkeypatch)


def test_data_that_are_there_have_a_digest_and_the_log_a_size(tmp_path, small_data):
    asked = suite("flores200", tmp_path, small_data, "deu_Latn")
    rows = examined(**asked, **model("any", backend="echo"))
    assert rows["data flores200"].status == "ok"
    assert rows["data flores200"].found.startswith("4 files, digest ")
    assert rows["disk"].status == "ok"
    assert f"free in {tmp_path}" in rows["disk"].found
    assert doctor.ready(rows.values())
    assert not (tmp_path / "results").exists()


def test_a_missing_file_is_named_with_where_it_is_published(tmp_path, small_data):
    asked = suite("flores200", tmp_path, small_data, "fra_Latn")
    rows = examined(**asked, **model("any", backend="echo"))
    row = rows["data flores200"]
    assert row.status == "missing"
    assert "fra_Latn.devtest is missing" in row.do
    assert "https://github.com/facebookresearch/flores" in row.do
    # That prompts cannot be rendered without it is no second fault.
    assert rows["disk"].status == "warning"


def test_without_a_data_folder_the_cache_is_looked_at_and_nothing_is_fetched(
    tmp_path, monkeypatch, hub_cache
):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    asked = suite("xcopa", tmp_path, None, "est_Latn")
    row = examined(**asked)["data xcopa"]
    assert row.status == "missing"
    assert row.found.startswith("no data folder, and 2 of 2 parts not in the cache")
    assert row.do == "bayling-eval data pull xcopa"
    row = examined(**suite("wmt22", tmp_path, None, "hrv_Latn"))["data wmt22"]
    assert "get it from https://github.com/wmt-conference" in row.do
    assert datasets.config.HF_HUB_OFFLINE is False


# A prompt set with examples of its own, which are drawn from FLORES-200's dev.


def german(tmp_path, data, **said) -> dict:
    return {
        **suite("flores200", tmp_path, data, "deu_Latn"),
        **model("any", backend="echo", **said),
    }


def write_dev(data):
    folder = data / "flores200" / "flores200_dataset" / "dev"
    for lang in ("eng_Latn", "deu_Latn", "zho_Hans"):
        write_lines(folder / f"{lang}.dev", sentences(lang, seed=4, n=20))


@pytest.mark.parametrize("said", [{"prompt_set": "sentence"}, {"preset": "thing-7b"}])
def test_missing_examples_are_named_with_their_path(tmp_path, small_data, monkeypatch, said):
    sources = dict.fromkeys(("id", "prompt_set"), "invented")
    thing = presets.Preset(name="thing-7b", id="a/b", prompt_set="sentence", sources=sources)
    monkeypatch.setattr(presets, "table", lambda: {"thing-7b": thing})
    asked = german(tmp_path, small_data, **said)
    rows = examined(**asked)
    assert rows["data flores200"].status == "ok"
    row = rows["data of prompt set sentence"]
    assert row.status == "missing"
    path = small_data / "flores200" / "flores200_dataset" / "dev"
    assert f"{path}/" in row.do
    assert "put it there as it is published" in row.do
    assert "https://github.com/facebookresearch/flores" in row.do
    # That prompts cannot be rendered without them is no second fault.
    assert rows["disk"].status == "warning"
    write_dev(small_data)
    rows = examined(**asked)
    assert rows["data of prompt set sentence"].found.startswith("3 files, digest ")
    assert rows["disk"].status == "ok"
    assert doctor.ready(rows.values())


@pytest.mark.parametrize("named", [None, "bayling-en", "task"])
def test_a_prompt_set_without_examples_needs_no_more_files(tmp_path, small_data, named):
    rows = examined(**german(tmp_path, small_data, prompt_set=named))
    assert not [check for check in rows if check.startswith("data of prompt set")]
    assert rows["disk"].status == "ok"


def test_a_run_without_examples_needs_no_files_of_them(tmp_path, small_data):
    asked = german(tmp_path, small_data, prompt_set="sentence")
    order = dataclasses.replace(asked["order"], num_fewshot=0)
    rows = examined(**{**asked, "order": order})
    assert "data of prompt set sentence" not in rows
    assert rows["disk"].status == "ok"


def test_examples_of_the_hub_come_with_the_words_that_fetch_them(tmp_path, monkeypatch, hub_cache):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    asked = suite("sample", tmp_path, None, "deu_Latn")
    rows = examined(**asked, **model("any", backend="echo", prompt_set="sentence"))
    row = rows["data of prompt set sentence"]
    assert (rows["data sample"].status, row.status) == ("ok", "missing")
    assert row.do == "bayling-eval data pull sample --prompt-set sentence"


def test_an_unknown_prompt_set_is_missing(tmp_path, small_data):
    rows = examined(**german(tmp_path, small_data, prompt_set="centence"))
    assert "Did you mean 'sentence'" in rows["data of prompt sets"].do


def test_a_full_disk_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=100))
    rows = examined(**suite("sample_questions", tmp_path), **model("any", backend="echo"))
    assert rows["disk"].status == "missing"
    assert "--results" in rows["disk"].do
    assert rows["data sample_questions"].found.endswith("in the package")


def test_a_fault_of_rendering_alone_is_missing(tmp_path, monkeypatch):
    def broken(*args):
        raise UserError("a template is broken: mend it")

    monkeypatch.setattr("bayling_eval.doctor.data.forecast", broken)
    rows = examined(**suite("sample_questions", tmp_path), **model("any", backend="echo"))
    assert (rows["disk"].status, rows["disk"].do) == ("missing", "a template is broken: mend it")
