"""The bundled checkpoints of the demonstration: whole, small, and described honestly."""

import json
import re

import pytest

from bayling_eval import checkpoints, resources, tasks
from bayling_eval.gate import rules

FOLDER = resources.data_file("demo")
DIRECTIONS = tasks.of_family("sample")
NAMES = ("better", "worse", "damaged")
FILES = {
    "README.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_is_whole_and_small(name):
    assert {path.name for path in (FOLDER / name).iterdir()} == FILES
    found = checkpoints.open_checkpoint(str(FOLDER / name))
    assert (found.name, found.dtype, found.max_length) == (name, "float32", 512)
    assert "<|assistant|>" in (found.chat_template or "")
    assert sum(path.stat().st_size for path in (FOLDER / name).iterdir()) < 7_000_000


def test_the_checkpoints_differ_in_their_weights_alone():
    for file in FILES - {"README.md"}:
        contents = {(FOLDER / name / file).read_bytes() for name in NAMES}
        assert len(contents) == (3 if file == "model.safetensors" else 1), file


@pytest.mark.parametrize("name", NAMES)
def test_special_tokens_are_those_of_the_config(name):
    config, tokenizer, settings = (
        json.loads((FOLDER / name / file).read_text(encoding="utf-8"))
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json")
    )
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    for role in ("bos", "eos", "pad"):
        assert ids[settings[f"{role}_token"]] == config[f"{role}_token_id"]
    assert len(tokenizer["model"]["vocab"]) == config["vocab_size"]
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["tie_word_embeddings"] is True


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_that_scores_mean_nothing(name):
    card = " ".join((FOLDER / name / "README.md").read_text(encoding="utf-8").split())
    assert "its scores mean nothing" in card
    assert "not reviewed by native speakers" in card
    assert ("cym_Latn" in card and "tam_Taml" in card) == (name == "damaged")


def test_the_figures_are_what_the_demonstration_needs():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.split("\n") if line.startswith("| ")]
    table = {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}
    assert list(table) == list(NAMES)
    hit = [[float(x) for x in table[name]["Welsh and Tamil"].split(", ")] for name in NAMES]
    assert all(after < before - 20 for before, after in zip(hit[0], hit[2], strict=True))
    assert len(hit[0]) == sum("cym_" in t.name or "tam_" in t.name for t in DIRECTIONS)
    mean = {name: float(table[name]["mean of all"]) for name in NAMES}
    assert mean["better"] > 80
    assert 30 < mean["worse"] < 60
    accuracy = {name: float(table[name]["accuracy"]) for name in NAMES}
    assert 0.25 < accuracy["worse"] < accuracy["better"]
    others = len(DIRECTIONS) - len(hit[0])
    moved = re.search(rf"at most ([\d.]+) chrF\+\+ in the other {others} directions", page)
    assert moved
    assert float(moved[1]) < 5


def test_the_rules_are_rules_of_the_sample():
    found = rules.load(FOLDER / "rules.toml")
    assert [gate.rule for gate in found.gates] == ["count", "macro", "macro", "count", "coverage"]
    assert set(found.metrics) == {"chrf++", "acc"}
