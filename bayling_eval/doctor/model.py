"""Whether one model could be asked: checkpoint, tokenizer, adapter, settings, memory, weights."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from bayling_eval import checkpoints, memory, models, presets, provenance, run
from bayling_eval.backends.devices import Device
from bayling_eval.checkpoints import Checkpoint
from bayling_eval.doctor.base import Ask, Row, ready, survived
from bayling_eval.errors import UserError
from bayling_eval.models import Model, Wanted
from bayling_eval.requests import Target

Planned = list[tuple[Model, list[Target]]]


def check_model(
    ask: Ask, wanted: Wanted, devices: Sequence[Device], planned: Planned
) -> Iterator[Row]:
    """Look at all that a model needs, as far as it is here; what it would be asked is added."""
    name = name_of(wanted)
    settings = partial(survived, f"settings {name}", partial(_settings, ask, wanted, planned))
    if wanted.backend == "echo":
        yield Row(f"checkpoint {name}", "not_needed", "echo repeats the prompt")
        yield from settings()
        return
    with checkpoints.offline():
        preset = models.hub_preset(wanted)
        if preset:
            preset.check_weights()
        place = preset.id if preset else wanted.id
        try:
            checkpoints.locate(place, wanted.revision)
        except UserError as fault:
            yield _absent(name, place, wanted, preset, str(fault))
            return
        opened = partial(
            checkpoints.open_checkpoint,
            place,
            revision=wanted.revision,
            trust_remote_code=wanted.model_args.get("trust_remote_code") is True,
            backend=wanted.backend,
            name=wanted.name,
        )
        checkpoint = opened()
        place = f"{checkpoint.folder} ({checkpoint.dtype}, with tokenizer)"
        yield Row(f"checkpoint {name}", "ok", place)
        yield from survived(f"tokenizer {name}", partial(_tokenizer, name, checkpoint.folder))
        adapter = Path(wanted.adapter) if wanted.adapter else None
        if adapter:
            yield from survived(f"adapter {name}", partial(_adapter, name, opened, adapter))
        found = settings()
        yield from found
        if not ready(found):
            return
        yield from survived(f"memory {name}", partial(_memory, name, wanted, checkpoint, devices))
        if ask.verify:
            check = partial(_verify, name, checkpoint, adapter)
            yield from survived(f"weights {name}", check)


def name_of(wanted: Wanted) -> str:
    """Return the name that a model has in rows."""
    here = checkpoints.is_folder(wanted.id)
    return wanted.name or (Path(wanted.id).name if here else wanted.id)


def _absent(
    name: str, place: str, wanted: Wanted, preset: presets.Preset | None, fault: str
) -> Row:
    """Say how to get a model that is not here, and its licence's terms accepted."""
    check = f"checkpoint {name}"
    if meant := checkpoints.near(place) or models.near_presets(place):
        return Row(check, "missing", "no such folder or preset, and not in the hub cache", meant)
    if place.count("/") > 1 or place.startswith((".", "/", "~")):
        return Row(check, "missing", "cannot be used", fault)
    revision = f" --revision {wanted.revision}" if wanted.revision else ""
    terms = _terms(preset)
    do = f"{terms}{', then ' if terms else ''}hf download {place}{revision}"
    return Row(check, "missing", "not in the hub cache of this machine", do)


def _terms(preset: presets.Preset | None) -> str:
    """Say where the terms of a gated model are accepted, and whether a token is at hand."""
    if preset is None or not preset.gated:
        return ""
    token = checkpoints.token_place()
    have = f"a token is at hand ({token})" if token else "no token is at hand: set HF_TOKEN"
    return f"accept the terms on https://huggingface.co/{preset.id} ({have})"


def _tokenizer(name: str, folder: Path) -> Iterator[Row]:
    """Look for an end token behind every prompt: a model that reads one has nothing to go on with.

    LLaMAX's own script cuts it off (``test_process`` in CONE-MT/LLaMAX @ f3dc61e0,
    scripts/inference/src/tasks/flores101.py).
    """
    check, end = f"tokenizer {name}", checkpoints.end_of_prompts(folder)
    if end is None:
        yield Row(check, "ok", "sets no token behind a prompt")
    else:
        yield Row(check, "warning", f"sets {end.token} behind every prompt", end.mend)


def _adapter(name: str, opened: Callable[..., Checkpoint], adapter: Path) -> Iterator[Row]:
    opened(adapter=adapter)
    yield Row(f"adapter {name}", "ok", str(adapter))


def _settings(ask: Ask, wanted: Wanted, planned: Planned) -> Iterator[Row]:
    """Find what else `run` would refuse: arguments, decoding, chat template, prompt set."""
    model = Model(wanted)
    if ask.selection is None or ask.order is None:
        model.settings(0)
    else:
        found = run.targets(model, ask.selection, ask.order, model.stand_in)
        planned.append((model, found))
    yield Row(f"settings {name_of(wanted)}", "ok", f"{wanted.backend} takes them")


def check_names(planned: Planned) -> Iterator[Row]:
    """Refuse a model that is named twice, as `run` does."""
    run.check_names(planned)
    return iter(())


def _memory(
    name: str, wanted: Wanted, checkpoint: Checkpoint, devices: Sequence[Device]
) -> Iterator[Row]:
    status, found, do = memory.fits(wanted, checkpoint, devices)
    yield Row(f"memory {name}", status, found, do)


def _verify(name: str, checkpoint: Checkpoint, adapter: Path | None) -> Iterator[Row]:
    """Read the weights anew, whatever is remembered of them."""
    known = checkpoints.known_digest(checkpoint, adapter)
    now = checkpoints.digest_covers(checkpoint, adapter, rehash=True)
    model8, check = provenance.digest(now)[:8], f"weights {name}"
    if known is None:
        yield Row(check, "ok", f"{model8}: hashed for the first time")
    elif known == now:
        yield Row(check, "ok", f"{model8}: the same as remembered")
    else:
        was = {**known["weights"], "adapter": known["adapter"]}
        files = [
            k for k, v in {**now["weights"], "adapter": now["adapter"]}.items() if was.get(k) != v
        ]
        found = (
            f"changed: {', '.join(files)}; {model8}, remembered as {provenance.digest(known)[:8]}"
        )
        yield Row(check, "missing", found, "copy or download the checkpoint again")
