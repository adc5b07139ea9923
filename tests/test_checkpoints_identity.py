"""Checkpoints: where one lies, and what it is known by."""

import json
import os
import shutil
from pathlib import Path

import huggingface_hub
import pytest
from checkpoint_lab import (
    CONFIG,
    YEAR_2020,
    covers,
    make,
    make_adapter,
    put,
    refused,
)
from huggingface_hub import errors

from bayling_eval import provenance
from bayling_eval.checkpoints import digest_covers, known_digest, locate, open_checkpoint
from bayling_eval.errors import UserError

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
