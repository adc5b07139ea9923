"""Checks that several test files make: devices handed in, and a cache of the hub to look into."""

import socket

from bayling_eval import doctor, plan, run
from bayling_eval.backends import devices
from bayling_eval.doctor import Ask
from bayling_eval.models import Wanted

GIB = 2**30
CPU = devices.Device("cpu", "CPU, 8 cores", 32 * GIB)
GPU = devices.Device("gpu", "NVIDIA X", 80 * GIB, 79 * GIB)


def examined(**said) -> dict[str, doctor.Row]:
    rows = doctor.examine(Ask(**{"devices": (CPU,), **said}), lambda _: None)
    assert len({row.check for row in rows}) == len(rows)
    # What is in order asks for nothing, and what is missing says what to do.
    for row in rows:
        assert (row.do != "") == (row.status in ("missing", "warning")), row
    return {row.check: row for row in rows}


def model(folder, **said) -> dict:
    return {"models": (Wanted(id=str(folder), **said),)}


def suite(name: str, tmp_path, data=None, languages=None, **said) -> dict:
    order = run.Order(tmp_path / "results" / "deeper", data, limit=said.pop("limit", 2))
    selection = plan.selected(plan.load(name), languages)
    return {"suite": name, "selection": selection, "order": order, **said}


def empty_hub(tmp_path, monkeypatch):
    """Give an empty cache of the hub, and a client that must not be asked."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    asked = []

    def look_up(*host):
        asked.append(host)
        raise OSError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield tmp_path / "hub"
    assert asked == []
