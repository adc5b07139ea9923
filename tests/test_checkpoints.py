"""Checkpoints: invented folders of a few hundred bytes; the hub is faked at its one call.

The safetensors files are made by hand, as the package comes only with an engine; layout:
https://github.com/huggingface/safetensors#format
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import errors

from bayling_eval import checkpoints, provenance
from bayling_eval.checkpoints import digest_covers, known_digest, locate, open_checkpoint
from bayling_eval.errors import UserError

ROWS = 8
CONFIG = {"model_type": "llama", "vocab_size": ROWS, "max_position_embeddings": 64}
YEAR_2020 = 1_577_836_800


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A hash cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bayling_eval" / "hashes.json"


def put(path: Path, value) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def weights(path: Path, names=("model.embed_tokens.weight",), rows=ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = rows * 2 * 4
    tensors = {
        name: {"dtype": "F32", "shape": [rows, 2], "data_offsets": [i * size, (i + 1) * size]}
        for i, name in enumerate(names)
    }
    header = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    data = bytes(range(256)) * (size * len(names) // 256 + 1)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[: size * len(names)])
    # What has just been written is not remembered: see test_what_was_just_written.
    os.utime(path, (YEAR_2020, YEAR_2020))
    return path


def tokenizer(rows=ROWS, added=()) -> dict:
    vocab = {f"w{i}": i for i in range(rows)}
    added_tokens = [{"id": i, "content": token} for i, token in added]
    return {"model": {"type": "BPE", "vocab": vocab}, "added_tokens": added_tokens}


def make(folder: Path) -> Path:
    put(folder / "config.json", CONFIG)
    put(folder / "tokenizer.json", tokenizer())
    put(folder / "tokenizer_config.json", {"chat_template": "{{ messages }}"})
    weights(folder / "model.safetensors")
    return folder


def make_sharded(folder: Path) -> Path:
    make(folder)
    (folder / "model.safetensors").unlink()
    names = {"model.embed_tokens.weight": 1, "lm_head.weight": 2}
    files = {name: f"model-0000{i}-of-00002.safetensors" for name, i in names.items()}
    for name, file in files.items():
        weights(folder / file, [name])
    put(folder / "model.safetensors.index.json", {"weight_map": files})
    return folder


def make_adapter(folder: Path) -> Path:
    put(folder / "adapter_config.json", {"peft_type": "LORA"})
    weights(folder / "adapter_model.safetensors", ["lora_A.weight"])
    return folder


@pytest.fixture
def model(tmp_path):
    return make(tmp_path / "run" / "my-model")


def refused(folder, *said: str, **options) -> str:
    """Return the one line that a checkpoint is refused with."""
    with pytest.raises(UserError) as caught:
        open_checkpoint(str(folder), **options)
    text = str(caught.value)
    assert "\n" not in text
    for part in said:
        assert part in text
    return text


def covers(folder: Path, adapter: Path | None = None, **options) -> dict:
    return digest_covers(open_checkpoint(str(folder), adapter=adapter), adapter, **options)


@pytest.fixture
def read(monkeypatch):
    """Names of the files that were hashed."""
    names: list[str] = []
    real = provenance.digest_file

    def counting(path: Path) -> str:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(provenance, "digest_file", counting)
    return names


# What a checkpoint is


def test_a_whole_checkpoint(model):
    found = open_checkpoint(str(model))
    assert found == checkpoints.Checkpoint(
        name="my-model",
        folder=model,
        dtype="float32",
        chat_template="{{ messages }}",
        max_length=64,
        revision=None,
    )


def test_a_sharded_checkpoint(tmp_path):
    folder = make_sharded(tmp_path / "m")
    put(folder / "left-over.safetensors", "not read, as the index does not name it")
    assert set(covers(folder)["weights"]) == {
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    }


@pytest.mark.parametrize(
    ("config", "dtype"),
    [
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "float16"}, "float16"),
        ({"torch_dtype": "float16", "dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "torch.bfloat16"}, "bfloat16"),
        ({"text_config": {"torch_dtype": "bfloat16"}}, "bfloat16"),
        ({"dtype": None}, "float32"),
    ],
)
def test_dtype(model, config, dtype):
    put(model / "config.json", config)
    assert open_checkpoint(str(model)).dtype == dtype


def test_an_unknown_dtype(model):
    put(model / "config.json", {"dtype": "int4"})
    refused(model, "config.json", "'int4'", "bfloat16")


@pytest.mark.parametrize(
    ("config", "length"),
    [({"n_positions": 32}, 32), ({"text_config": {"max_position_embeddings": 16}}, 16), ({}, None)],
)
def test_max_length(model, config, length):
    put(model / "config.json", config)
    assert open_checkpoint(str(model)).max_length == length


def test_chat_template(model):
    tool_use = {"name": "tool_use", "template": "T"}
    named = [tool_use, {"name": "default", "template": "D"}]
    put(model / "tokenizer_config.json", {"chat_template": named})
    assert open_checkpoint(str(model)).chat_template == "D"
    put(model / "tokenizer_config.json", {"chat_template": [tool_use]})
    assert open_checkpoint(str(model)).chat_template is None
    put(model / "chat_template.jinja", "the file wins")
    assert open_checkpoint(str(model)).chat_template == "the file wins"
    (model / "chat_template.jinja").write_bytes(b"\xff")
    refused(model, "chat_template.jinja", "UTF-8")


def test_a_name_that_cannot_be_used(tmp_path):
    folder = make(tmp_path / "epoch 3")
    refused(folder, "'epoch 3'", "--name")
    assert open_checkpoint(str(folder), name="epoch-3").name == "epoch-3"
    refused(folder, "'a/b'", name="a/b")


def test_the_name_is_that_of_the_path_as_given(model, monkeypatch):
    (model.parent / "best").symlink_to(model)
    assert open_checkpoint(str(model.parent / "best")).name == "best"
    monkeypatch.chdir(model)
    assert open_checkpoint(".").name == "my-model"
    assert open_checkpoint("../my-model/").name == "my-model"
    (model / "inside").mkdir()
    monkeypatch.chdir(model / "inside")
    assert open_checkpoint("..").name == "my-model"


def test_nothing_heavy_is_imported():
    code = (
        "import sys, bayling_eval.checkpoints; "
        "print(*{'torch', 'transformers', 'safetensors', 'huggingface_hub'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# What is refused


def test_no_config(model):
    (model / "config.json").unlink()
    refused(model, str(model), "no config.json")


def test_the_folder_of_a_run_names_its_checkpoints(model):
    refused(model.parent, "no config.json", "my-model")


@pytest.mark.parametrize(
    ("text", "said"),
    [('{\n"a": 1,\n]', "config.json:3: not JSON"), ("[]", "object"), ("[" * 9999, "not JSON")],
)
def test_config_that_is_not_json(model, text, said):
    put(model / "config.json", text)
    refused(model, said)


def test_a_file_that_cannot_be_read(model, monkeypatch):
    def fail(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)
    refused(model, "config.json", "Permission denied")


def test_no_tokenizer(model):
    (model / "tokenizer.json").unlink()
    refused(model, "no tokenizer")
    put(model / "vocab.json", {})
    refused(model, "no tokenizer")
    put(model / "merges.txt", "")
    open_checkpoint(str(model))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "last.ckpt"])
def test_pickled_weights(model, name):
    (model / "model.safetensors").rename(model / name)
    refused(model, name, "run code", "safe_serialization=True", str(model))


def test_no_weights(model):
    (model / "model.safetensors").unlink()
    for name in ("training_args.bin", "optimizer.pt", "rng_state_0.pth"):
        put(model / name, "")
    assert "pickled" not in refused(model, "no weights")


@pytest.mark.parametrize(
    ("file", "config", "said"),
    [
        ("config.json", {"auto_map": {"AutoConfig": "x.C"}}, "config.json: auto_map"),
        ("config.json", {"text_config": {"auto_map": {"A": "x.C"}}}, "text_config.auto_map"),
        ("config.json", {"parts": [{"auto_map": {"A": "x.C"}}]}, "parts.0.auto_map"),
        ("config.json", {"custom_pipelines": {"t": {"impl": "p.P"}}}, "custom_pipelines"),
        ("config.json", {"model_file": "model.py"}, "model_file"),
        ("config.json", {"attn_implementation": "someone/kernel"}, "attn_implementation"),
        ("tokenizer_config.json", {"auto_map": {"A": ["x.T", None]}}, "tokenizer_config.json: au"),
    ],
)
def test_code_that_comes_along(model, file, config, said):
    put(model / file, config)
    refused(model, said, "--model-args trust_remote_code=True")
    open_checkpoint(str(model), trust_remote_code=True)


def test_no_code_is_not_refused(model):
    put(model / "config.json", {**CONFIG, "auto_map": {}, "attn_implementation": "sdpa"})
    open_checkpoint(str(model))


def test_missing_shards(tmp_path):
    folder = make_sharded(tmp_path / "m")
    (folder / "model-00002-of-00002.safetensors").unlink()
    refused(folder, "1 of 2", "model-00002-of-00002.safetensors", "being written, or cut off")


def test_shards_without_their_index(tmp_path):
    folder = make_sharded(tmp_path / "m")
    (folder / "model.safetensors.index.json").unlink()
    refused(folder, "model.safetensors.index.json", "being written, or cut off")


@pytest.mark.parametrize("weight_map", [{}, None, {"a": "../x.safetensors"}, {"a": 1}])
def test_an_index_that_names_no_files_here(tmp_path, weight_map):
    folder = make_sharded(tmp_path / "m")
    put(folder / "model.safetensors.index.json", {"weight_map": weight_map})
    refused(folder, "model.safetensors.index.json", "weight_map")


def test_two_sets_of_weights(tmp_path):
    folder = make_sharded(tmp_path / "m")
    weights(folder / "model.safetensors")
    refused(folder, "does not name it")


def test_weights_that_the_config_names(model):
    put(model / "config.json", {**CONFIG, "transformers_weights": "other.safetensors"})
    refused(model, "transformers_weights")


@pytest.mark.parametrize(
    "name", ["model.safetensors.tmp", "x.part", ".cache/huggingface/download/a.incomplete"]
)
def test_temporary_files(model, name):
    put(model / name, "")
    refused(model, Path(name).name, "being written, or cut off")


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_file_that_is_cut_off(model, keep):
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(whole[:keep])
    refused(model, "model.safetensors", "being written, or cut off")


@pytest.mark.parametrize(
    "header", [b"{}x", b"[]", b'{"a": 1}', b'{"a": {"shape": [Infinity], "data_offsets": [0, 0]}}']
)
def test_a_header_that_is_none(model, header):
    (model / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    refused(model, "header", "being written, or cut off")


def test_a_longer_file(model):
    with (model / "model.safetensors").open("ab") as file:
        file.write(b"x")
    size = (model / "model.safetensors").stat().st_size
    refused(model, f"has {size} bytes", str(size - 1))


@pytest.mark.parametrize(
    "name", ["model.embed_tokens.weight", "wte.weight", "word_embeddings.weight"]
)
def test_a_token_beyond_the_embedding(model, name):
    weights(model / "model.safetensors", [name])
    put(model / "tokenizer.json", tokenizer(added=[(ROWS, "<2deu>")]))
    refused(model, "'<2deu>'", f"id {ROWS}", f"{ROWS} rows")


def test_the_vocabulary_of_a_unigram_tokenizer(model):
    vocab = [[f"w{i}", 0.0] for i in range(ROWS + 3)]
    put(model / "tokenizer.json", {"model": {"type": "Unigram", "vocab": vocab}})
    refused(model, "'w10'", "id 10")


def test_a_token_that_no_text_comes_to(model):
    put(model / "tokenizer.json", tokenizer(added=[(ROWS, "<image_soft_token>")]))
    open_checkpoint(str(model))


@pytest.mark.parametrize("rows", [ROWS - 1, ROWS + 1])
def test_a_config_of_another_vocabulary(model, rows):
    put(model / "tokenizer.json", tokenizer(rows=2))
    weights(model / "model.safetensors", rows=rows)
    refused(model, f"vocab_size is {ROWS}", f"{rows} rows")


def test_rows_for_images(model):
    put(model / "config.json", {"text_config": {"vocab_size": ROWS}, "vision_config": {}})
    weights(model / "model.safetensors", rows=ROWS + 8)
    open_checkpoint(str(model))


def test_a_vocabulary_that_is_not_known(model):
    weights(model / "model.safetensors", ["model.embed_tokens_per_layer.weight"], rows=2)
    open_checkpoint(str(model))


def test_an_adapter(model, tmp_path):
    adapter = make_adapter(tmp_path / "lora")
    found = covers(model, adapter)
    assert set(found["adapter"]) == {"adapter_config.json", "adapter_model.safetensors"}
    assert set(found["weights"]) == {"model.safetensors"}
    put(adapter / "adapter_config.json", {"peft_type": "LORA", "r": 2})
    assert covers(model, adapter) != found
    assert covers(model)["adapter"] is None


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_that_is_not_whole(model, tmp_path, name):
    adapter = make_adapter(tmp_path / "lora")
    put(adapter / name, "{")
    refused(model, name, adapter=adapter)
    (adapter / name).unlink()
    refused(model, f"no {name}", adapter=adapter)
    refused(model, "no such folder", adapter=tmp_path / "lara")


def test_an_adapter_is_not_a_model(tmp_path):
    refused(make_adapter(make(tmp_path / "lora")), "an adapter", "base model")


# Where it lies


@pytest.fixture
def hub(monkeypatch):
    """The hub's client: what it gives locally, what it gives remotely, and what was asked."""

    class Hub:
        local: Path | Exception = errors.LocalEntryNotFoundError("not cached")
        remote: Path | Exception = errors.LocalEntryNotFoundError("offline\nsecond line")
        asked: list[tuple] = []  # noqa: RUF012

        def download(self, model, *, revision, local_files_only, **_):
            self.asked = [*self.asked, (model, revision, local_files_only)]
            found = self.local if local_files_only else self.remote
            if isinstance(found, Exception):
                raise found
            return str(found)

    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.download)
    return hub


def test_a_hub_id(tmp_path, hub):
    commit = "0123456789abcdef" * 2 + "01234567"
    hub.local = make(tmp_path / "models--org--m.1" / "snapshots" / commit)
    found = open_checkpoint("org/m.1", revision="main")
    assert (found.name, found.revision, found.folder) == ("org--m.1", commit, hub.local)
    assert hub.asked == [("org/m.1", "main", True)]
    named_by_folder = open_checkpoint(str(hub.local))
    assert (named_by_folder.name, named_by_folder.revision) == ("org--m.1", commit)


def test_a_part_in_the_cache_is_fetched_whole(tmp_path, hub):
    hub.local, hub.remote = make(tmp_path / "part"), make(tmp_path / "whole")
    (hub.local / "model.safetensors").unlink()
    assert locate("org/m") == hub.remote


def test_the_hub_cannot_be_reached(hub):
    refused("org/m", "'org/m'", "not a folder", "hub cache", "cannot be reached", "hf download")
    hub.remote = errors.HfHubHTTPError.__bases__[0]("proxy")
    refused("org/m", "cannot be reached")


def test_a_folder_that_is_misspelled(model, hub, monkeypatch):
    monkeypatch.chdir(model.parent.parent)
    refused("run/my-modle", "not a folder", "did you mean 'run/my-model'?")


@pytest.mark.parametrize("path", ["/no/such/folder", "./nothing", "", "a\0b", "x" * 5000, "a\nb"])
def test_what_is_no_hub_id_is_not_asked_for(path):
    # The client's own check of ids stands before any connection.
    refused(path, "not a folder", "no id that the hub could have")


def test_a_file_is_not_a_folder(model):
    refused(model / "config.json", "a file")


def test_a_folder_has_no_revision(model):
    refused(model, "revision", revision="v2")


# What it is known by


def test_what_is_covered(model):
    put(model / "generation_config.json", {})
    found = covers(model)
    assert {key: sorted(value) for key, value in found.items() if isinstance(value, dict)} == {
        "weights": ["model.safetensors"],
        "config": ["config.json", "generation_config.json"],
        "tokenizer": ["tokenizer.json", "tokenizer_config.json"],
    }
    assert found["weights"]["model.safetensors"] == provenance.digest_file(
        model / "model.safetensors"
    )
    assert found["chat_template"] == provenance.digest("{{ messages }}")
    assert found["adapter"] is None


def test_one_byte_of_a_weight_changes_it(model):
    before = covers(model)
    data = bytearray((model / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (model / "model.safetensors").write_bytes(data)
    after = covers(model)
    assert after["weights"] != before["weights"]
    assert {**after, "weights": 0} == {**before, "weights": 0}


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_one_byte_of_a_small_file_changes_it(model, name):
    before = covers(model)
    with (model / name).open("a") as file:
        file.write(" ")
    assert covers(model) != before


def test_another_place_does_not(model, tmp_path):
    before = covers(model)
    copy = Path(shutil.copytree(model, tmp_path / "elsewhere" / "copy"))
    assert covers(copy) == before
    assert covers(model.rename(tmp_path / "renamed")) == before


def test_what_lies_beside_does_not(model):
    before = covers(model)
    for name in ("README.md", "training_args.bin", "trainer_state.json", "sub/x.safetensors"):
        put(model / name, "anything")
    put(model / "._model.safetensors", "what a Mac leaves")
    assert covers(model) == before


def test_trusted_code_counts(model):
    put(model / "modeling_x.py", "A = 1")
    assert set(covers(model)["config"]) == {"config.json"}
    put(model / "config.json", {**CONFIG, "auto_map": {"AutoModel": "modeling_x.M"}})
    trusted = open_checkpoint(str(model), trust_remote_code=True)
    assert set(digest_covers(trusted)["config"]) == {"config.json", "modeling_x.py"}


def test_weights_are_read_once(model, read, cache):
    first = covers(model)
    assert "model.safetensors" in read
    read.clear()
    assert covers(model) == first
    assert "model.safetensors" not in read
    assert "tokenizer.json" in read
    assert covers(model, rehash=True) == first
    assert "model.safetensors" in read
    stored = json.loads(cache.read_text())
    assert set(stored) == {str(model / "model.safetensors")}
    assert set(stored[str(model / "model.safetensors")]) == {"size", "mtime_ns", "inode", "sha256"}


def test_known_without_reading(model, tmp_path, read):
    adapter = make_adapter(tmp_path / "lora")
    found = open_checkpoint(str(model), adapter=adapter)
    assert known_digest(found, adapter) is None
    assert read == []
    digest_covers(found)
    assert known_digest(found) == digest_covers(found)
    assert known_digest(found, adapter) is None
    assert digest_covers(found, adapter) == known_digest(found, adapter)
    os.utime(model / "model.safetensors", (YEAR_2020, YEAR_2020 + 1))
    assert known_digest(found) is None


def test_what_was_just_written_is_not_remembered(model, cache):
    # A second write in the same tick of the clock would leave size, time and inode as they are.
    os.utime(model / "model.safetensors")
    covers(model)
    assert not cache.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"PATH": 1}', '{"PATH": {"sha256": "0"}}'])
def test_a_broken_cache_is_written_anew(model, cache, text, read):
    put(cache, text.replace("PATH", str(model / "model.safetensors")))
    first = covers(model)
    read.clear()
    assert covers(model) == first
    assert "model.safetensors" not in read


def test_a_cache_that_cannot_be_written(model, tmp_path, monkeypatch):
    expected = covers(model)
    put(tmp_path / "file", "no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert covers(model) == expected


def test_no_home(model, monkeypatch):
    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", fail)
    assert covers(model)["weights"]


def test_a_blob_of_the_hub_is_known_by_its_name(model, read, tmp_path):
    blob = tmp_path / "blobs" / provenance.digest_file(model / "model.safetensors")
    blob.parent.mkdir()
    expected = covers(model)
    (model / "model.safetensors").rename(blob)
    (model / "model.safetensors").symlink_to(blob)
    read.clear()
    assert known_digest(open_checkpoint(str(model))) == covers(model) == expected
    assert "model.safetensors" not in read
    assert covers(model, rehash=True) == expected
    assert "model.safetensors" in read


def test_a_file_that_changes_while_it_is_hashed(model, monkeypatch, cache):
    real = provenance.digest_file

    def slow(path: Path) -> str:
        found = real(path)
        if path.suffix == ".safetensors":
            os.utime(path, (YEAR_2020, YEAR_2020 + 1))
        return found

    found = open_checkpoint(str(model))
    monkeypatch.setattr(provenance, "digest_file", slow)
    with pytest.raises(
        UserError, match=r"model\.safetensors: changed while .* still being written"
    ):
        digest_covers(found)
    assert not cache.exists()


def test_weights_that_vanish(model, tmp_path):
    adapter = make_adapter(tmp_path / "lora")
    found = open_checkpoint(str(model), adapter=adapter)
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"adapter_model\.safetensors: cannot be read"):
        digest_covers(found, adapter)
