"""The transformers engine where memory is short or users err."""

import json
from types import SimpleNamespace

import pytest
import torch
from tiny_model import PAIRS, PROMPTS, ask, generation, make, make_tokenizer, scoring
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
)

from bayling_eval.backends.base import BackendSpec
from bayling_eval.backends.transformers import Transformers
from bayling_eval.errors import RuntimeFault, UserError

pytest_plugins = ["tiny_fixtures"]


# Batches and memory


def test_windows_and_small_batches_answer_all(folder, engine):
    requests = [generation(p, max_gen_toks=4) for p in PROMPTS]
    requests += [scoring(*pair) for pair in PAIRS]
    small = make(folder, batch_tokens=1)
    for ours, theirs in zip(ask(engine, requests), ask(small, requests), strict=True):
        if ours.finish_reason:
            assert ours == theirs
        else:
            assert json.loads(ours.answer) == pytest.approx(json.loads(theirs.answer), abs=1e-4)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
    ids=repr,
)
def test_out_of_memory_halves_the_batch(engine, monkeypatch, error):
    requests = [generation(p, max_gen_toks=4) for p in PROMPTS]
    expected, forward = ask(engine, requests), engine._model.forward
    sizes = []

    def small_only(input_ids, **kwargs):
        sizes.append(len(input_ids))
        if len(input_ids) > 2:
            raise error
        return forward(input_ids, **kwargs)

    monkeypatch.setattr(engine._model, "forward", small_only)
    assert ask(engine, requests) == expected
    assert sizes[:3] == [6, 3, 1]


def test_one_prompt_that_does_not_fit_names_the_settings(engine, monkeypatch):
    def never(input_ids, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(engine._model, "forward", never)
    for request in (generation("the cat"), scoring("the", " cat")):
        with pytest.raises(RuntimeFault, match="--model-args.*batch_tokens=8192"):
            ask(engine, [request])


def test_other_faults_are_left_alone(engine, monkeypatch):
    def broken(input_ids, **kwargs):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(engine._model, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        ask(engine, [scoring("the", " cat")])


def test_logits_that_are_no_numbers_are_a_fault(engine, monkeypatch):
    def nan(ids, logits_to_keep, **kwargs):
        return SimpleNamespace(logits=torch.full((1, len(logits_to_keep), 9999), float("nan")))

    monkeypatch.setattr(engine._model, "forward", nan)
    with pytest.raises(RuntimeFault, match="not numbers.*dtype=bfloat16"):
        ask(engine, [scoring("the", " cat")])


# What users get wrong


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            {"batch_token": 5},
            "unknown model argument .* 'batch_token'. Did you mean 'batch_tokens'",
        ),
        ({"batch_tokens": "many"}, "batch_tokens is 'many': it has to be a whole number"),
        ({"batch_tokens": True}, "batch_tokens is True"),
        ({"max_length": 0}, "max_length is 0"),
        ({"add_bos_token": "yes"}, "add_bos_token is 'yes'"),
        ({"device": "warp"}, "it has to be a device such as cpu"),
        ({"device": "cuda:99"}, "no such GPU"),
        ({"device": "cuda:256"}, "it has to be a device such as cpu"),
        ({"device": "cuda:00"}, "it has to be a device such as cpu"),
    ],
    ids=repr,
)
def test_a_wrong_model_argument_is_a_user_error(folder, args, message):
    with pytest.raises(UserError, match=message):
        make(folder, **args)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temprature": 1}, "unknown decoding option 'temprature'. Did you mean 'temperature'"),
        ({"max_length": 9}, "unknown decoding option 'max_length'"),
        ({"max_gen_toks": 0}, "max_gen_toks is 0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"until": [1]}, "until is"),
        ({"do_sample": True}, "needs a temperature"),
        ({"do_sample": True, "temperature": 1.0, "num_beams": 2}, "beams are searched"),
    ],
    ids=repr,
)
def test_a_wrong_decoding_option_is_a_user_error(engine, options, message):
    with pytest.raises(UserError, match=message):
        ask(engine, [generation("the cat", **options)])


def test_an_unknown_dtype_is_a_user_error(folder):
    with pytest.raises(UserError, match="unknown dtype 'float8'"):
        Transformers(BackendSpec("transformers", folder, dtype="float8"))


def test_a_folder_without_a_model_is_a_user_error(folder, tmp_path):
    with pytest.raises(UserError, match="cannot load the tokenizer"):
        make(str(tmp_path))
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="cannot load the model"):
        make(str(tmp_path))


def test_missing_weights_are_a_user_error(folder, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(folder)
    weights = {k: v for k, v in model.state_dict().items() if "layers.1.mlp" not in k}
    model.save_pretrained(tmp_path, state_dict=weights)
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="3 weights are missing, such as model.layers.1.mlp"):
        make(str(tmp_path))


def grown(folder, tmp_path, special):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<new>"], special_tokens=special)
    if special:
        tokenizer.pad_token = "<new>"  # noqa: S105
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return len(tokenizer)


def test_a_tokenizer_larger_than_the_embedding_is_a_user_error(folder, tmp_path):
    n = grown(folder, tmp_path, special=False)
    with pytest.raises(UserError, match=f"has {n} tokens, the embedding {n - 1} rows"):
        make(str(tmp_path))


def test_a_special_token_beyond_the_embedding_counts_when_it_is_used(folder, tmp_path):
    n = grown(folder, tmp_path, special=True)
    engine = make(str(tmp_path))
    assert ask(engine, [generation(p, max_gen_toks=2) for p in PROMPTS])
    with pytest.raises(UserError, match=f"'<new>', number {n - 1}"):
        ask(engine, [generation("the <new> cat", max_gen_toks=2)])


def test_an_adapter_needs_peft(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(UserError, match="pip install peft"):
        Transformers(BackendSpec("transformers", folder, adapter="somewhere"))
