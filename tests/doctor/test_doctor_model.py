"""The doctor on a model: a whole checkpoint or not, what the hub's cache has, weights hashed."""

import json
import os

import pytest
from doctor_lab import CPU, GPU, empty_hub, examined, model, suite
from fake_checkpoints import make_checkpoint, put

from bayling_eval import checkpoints, doctor, presets
from bayling_eval.models import Wanted


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    yield from empty_hub(tmp_path, monkeypatch)


def test_a_whole_checkpoint_is_ok(tmp_path):
    rows = examined(**model(make_checkpoint(tmp_path / "step-1", max_position_embeddings=64)))
    assert [rows[f"{what} step-1"].status for what in ("checkpoint", "settings", "memory")] == [
        "ok",
        "ok",
        "ok",
    ]
    assert doctor.ready(rows.values())


def test_a_checkpoint_without_a_tokenizer_is_missing_and_says_why(tmp_path):
    folder = make_checkpoint(tmp_path / "step-1")
    (folder / "tokenizer.json").unlink()
    rows = examined(**model(folder))
    assert rows["checkpoint step-1"].status == "missing"
    assert "no tokenizer" in rows["checkpoint step-1"].do
    assert not doctor.ready(rows.values())


def test_an_end_token_behind_every_prompt_is_a_warning(tmp_path):
    folder = make_checkpoint(tmp_path / "step-1", max_position_embeddings=64)
    row = examined(**model(folder))["tokenizer step-1"]
    assert (row.status, row.found) == ("ok", "sets no token behind a prompt")
    path = folder / "tokenizer.json"
    said = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]}
    put(path, {**json.loads(path.read_text()), "post_processor": said})
    rows = examined(**model(folder))
    row = rows["tokenizer step-1"]
    assert (row.status, row.found) == ("warning", "sets </s> behind every prompt")
    assert str(path) in row.do
    assert doctor.ready(rows.values())


def test_one_model_does_not_stop_the_next(tmp_path):
    (tmp_path / "broken").mkdir()
    good = make_checkpoint(tmp_path / "good", max_position_embeddings=64)
    wanted = (Wanted(id=str(tmp_path / "broken")), Wanted(id=str(good)))
    rows = examined(models=wanted)
    assert rows["checkpoint broken"].status == "missing"
    assert rows["checkpoint good"].status == "ok"


def test_what_run_refuses_of_the_settings_is_missing(tmp_path):
    folder = make_checkpoint(tmp_path / "step-1", template=None)
    row = examined(**model(folder, apply_chat_template="on"))["settings step-1"]
    assert "has no chat template" in row.do
    row = examined(**model(folder, model_args={"devise": "cpu"}))["settings step-1"]
    assert "Did you mean 'device'" in row.do


def test_an_adapter_is_a_row_of_its_own(tmp_path):
    folder = make_checkpoint(tmp_path / "base")
    rows = examined(**model(folder, adapter=str(tmp_path / "lora")))
    assert rows["checkpoint base"].status == "ok"
    assert "no such folder" in rows["adapter base"].do
    assert rows["package peft"].check == "package peft"
    rows = examined(**model(folder, adapter=str(tmp_path / "lora"), backend="vllm"))
    assert "package peft" not in rows


def test_an_id_that_is_not_in_the_cache_is_missing_with_its_download(hub_cache):
    row = examined(**model("org/model", revision="v2"))["checkpoint org/model"]
    assert row.status == "missing"
    assert row.do == "hf download org/model --revision v2"


def test_a_folder_that_is_spelled_otherwise_is_suggested(tmp_path, hub_cache):
    make_checkpoint(tmp_path / "step-1000")
    row = examined(**model(tmp_path / "step-100"))["checkpoint " + str(tmp_path / "step-100")]
    assert "did you mean" in row.do


def test_a_name_that_is_nearly_a_presets_is_no_download(hub_cache):
    row = examined(**model("bayling-2-8b"))["checkpoint bayling-2-8b"]
    assert row.do.startswith("presets of a similar name: bayling-2-")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("HF_TOKEN", "a token is at hand (HF_TOKEN)"),
        ("file", "a token is at hand ("),
        (None, "no token is at hand: set HF_TOKEN"),
    ],
)
def test_a_gated_model_names_its_page_and_never_a_token(
    tmp_path, hub_cache, monkeypatch, place, said
):
    secret = "hf_" + "x" * 34
    if place == "file":
        (tmp_path / "token").write_text(secret)
    elif place:
        monkeypatch.setenv(place, secret)
    preset = presets.Preset(
        name="thing-7b",
        id="org/Thing-7B",
        gated=True,
        sources=dict.fromkeys(("id", "gated"), "invented"),
    )
    monkeypatch.setattr(presets, "table", lambda: {"thing-7b": preset})
    row = examined(**model("thing-7b"))["checkpoint thing-7b"]
    assert row.do.startswith("accept the terms on https://huggingface.co/org/Thing-7B (")
    assert row.do.endswith("then hf download org/Thing-7B")
    assert said in row.do
    assert secret not in str(row)


def test_differences_of_weights_are_no_model_to_download(hub_cache, monkeypatch):
    said = dict.fromkeys(("id", "weights"), "invented")
    preset = presets.Preset(name="thing-7b", id="org/Thing-7B", weights="delta", sources=said)
    monkeypatch.setattr(presets, "table", lambda: {"thing-7b": preset})
    row = examined(**model("thing-7b"))["checkpoint thing-7b"]
    assert row.status == "missing"
    assert "differences of weights" in row.do


def test_echo_needs_no_checkpoint():
    assert examined(**model("any", backend="echo"))["checkpoint any"].status == "not_needed"


def test_verify_tells_the_same_from_changed(tmp_path):
    folder = make_checkpoint(tmp_path / "step-1")
    asked = {**model(folder), "verify": True}
    assert examined(**asked)["weights step-1"].found.endswith("hashed for the first time")
    assert examined(**asked)["weights step-1"].found.endswith("the same as remembered")
    # Other bytes under the same size, time and inode: what a remembered digest cannot see.
    path = folder / "model.safetensors"
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    opened = checkpoints.open_checkpoint(str(folder))
    assert checkpoints.known_digest(opened) is not None
    row = examined(**asked)["weights step-1"]
    assert row.status == "missing"
    assert row.found.startswith("changed: model.safetensors; ")


@pytest.mark.parametrize(
    "args", [{"dtype": "fp16"}, {"device": "gpu0"}, {"cpu_offload_gb": {}}, {"max_length": {}}]
)
def test_what_settings_refuse_is_not_reckoned_with(tmp_path, args):
    folder = make_checkpoint(tmp_path / "step-1")
    rows = examined(**model(folder, model_args=args), devices=(GPU, CPU), verify=True)
    assert rows["settings step-1"].status == "missing"
    assert not {"memory step-1", "weights step-1"} & set(rows)


def test_a_template_that_no_task_needs_is_not_asked_for(tmp_path, small_data):
    folder = make_checkpoint(tmp_path / "step-1", template=None, max_position_embeddings=64)
    said = model(folder, preset="llama-3-8b-instruct")
    rows = examined(**suite("sample_questions", tmp_path, None, "deu_Latn"), **said)
    assert rows["settings step-1"].status == "ok"
    rows = examined(**suite("sample", tmp_path, None, "deu_Latn"), **said)
    assert "which preset llama-3-8b-instruct applies" in rows["settings step-1"].do
