"""Checkpoints: what one is, and whether it is whole, before anything heavy is imported.

Nothing here runs code of a checkpoint or opens a pickle: it reads JSON and safetensors headers.
"""

import difflib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayling_eval import provenance, store
from bayling_eval.errors import UserError

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
CONFIG = ("config.json", "generation_config.json")
# Any one of these is a whole vocabulary.
_VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "tekken.json",
    "vocab.json merges.txt",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
TOKENIZER = (
    *" ".join(_VOCABULARIES).split(),
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
# What loading may read. Code is fetched and not run: that needs trust_remote_code.
_HUB_FILES = ["*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt", "*.safetensors", "*.py"]
# Other formats in subfolders, and Mistral's second copy of its weights.
_NOT_HUB_FILES = ["*/*", "consolidated*"]
_CODE_KEYS = {"auto_map", "custom_pipelines", "model_file"}
_DTYPES = ("float32", "bfloat16", "float16")
_LENGTHS = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len")
_TEXT_CONFIGS = ("text_config", "llm_config", "language_config")
_UNFINISHED = (".tmp", ".incomplete", ".part")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
_TRAINER_STATE = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state).*")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_EMBEDDING = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|embed_in)\.weight$")
_NOT_TEXT = re.compile(r"image|video|vision|audio|speech", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Limit of the format: MAX_HEADER_SIZE in safetensors/src/tensor.rs.
_MAX_HEADER = 100_000_000
# A later write within the clock tick of a file's time would not show; FAT's tick is 2 s.
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True)
class Checkpoint:
    """A model on this disk that has passed the cheap checks."""

    name: str
    """Name of the system: last part of the path, or the hub id with ``--`` for the slash."""
    folder: Path
    """Where it lies."""
    dtype: str
    """Number format that the config states; float32 where it states none."""
    chat_template: str | None
    """Text of the default chat template."""
    max_length: int | None
    """Positions that the config states, in tokens."""
    revision: str | None
    """Commit on the hub, or the revision as asked for; none for a folder."""


def locate(model: str, revision: str | None = None) -> Path:
    """Return the folder of a model: a folder itself, or a hub id, from the hub's cache if there.

    Raises:
        UserError: neither a folder nor on the hub, or the hub cannot be reached.
    """
    path = _path(model)
    # A text that is no path: too long, or with a NUL.
    with suppress(OSError, ValueError):
        if model and path.is_dir():
            if revision is not None:
                raise UserError(f"{model}: a folder has no revision {revision!r}: leave it out")
            return path.absolute()
        if model and path.exists():
            raise UserError(f"{model}: a file: name the folder that holds its config.json")
    return _from_hub(model, revision, _near(path))


def open_checkpoint(
    model: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    adapter: Path | None = None,
    name: str | None = None,
) -> Checkpoint:
    """Check a checkpoint without reading its weights, and say what it is.

    ``name`` is the system's name where the user gave one.

    Raises:
        UserError: not whole, at odds with itself, needs code of its own, or no usable name.
    """
    folder = locate(model, revision)
    _check_finished(folder)
    config = _config(folder)
    if not _has_tokenizer(folder):
        raise UserError(
            f"{folder}: no tokenizer (tokenizer.json, tokenizer.model, or vocab.json with "
            "merges.txt): copy the tokenizer of the model into it"
        )
    code = next(_code(folder), None)
    if code and not trust_remote_code:
        raise UserError(
            f"{code} asks to run code that comes with the checkpoint: if you trust it, "
            "pass --model-args trust_remote_code=True"
        )
    shapes: dict[str, list[int]] = {}
    for file in _weights(folder, config):
        shapes |= _shapes(file)
    _check_vocabulary(folder, config, shapes)
    if adapter is not None:
        _check_adapter(adapter)
    own_name, commit = _origin(model, folder)
    return Checkpoint(
        name=_checked_name(name, own_name),
        folder=folder,
        dtype=_dtype(folder, config),
        chat_template=_chat_template(folder),
        max_length=next((n for n in _stated(config, *_LENGTHS) if isinstance(n, int)), None),
        revision=commit or revision,
    )


def digest_covers(
    checkpoint: Checkpoint, adapter: Path | None = None, *, rehash: bool = False
) -> dict[str, Any]:
    """Return what the model's digest covers: SHA-256 of each file by its name in the folder.

    Weights are read once and then known by size, time and inode; ``rehash`` reads them again.

    Raises:
        UserError: a file is gone, cannot be read, or changes meanwhile.
    """
    known = {} if rehash else _read_cache()
    weights = _all_weights(checkpoint, adapter)
    return _covers(
        checkpoint,
        adapter,
        {f: (None if rehash else _known(f, known)) or _hash_weights(f) for f in weights},
    )


def known_digest(checkpoint: Checkpoint, adapter: Path | None = None) -> dict[str, Any] | None:
    """Return the same as ``digest_covers`` if that needs no weights read, else none."""
    known = _read_cache()
    hashes = {}
    for file in _all_weights(checkpoint, adapter):
        found = _known(file, known)
        if found is None:
            return None
        hashes[file] = found
    return _covers(checkpoint, adapter, hashes)


def _path(model: str) -> Path:
    # Not for `~other`: there may be no such user, and it may be a folder's name.
    return Path(model).expanduser() if model.startswith("~/") else Path(model)


def _from_hub(model: str, revision: str | None, near: str) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    def get(*, local: bool) -> Path:
        found = huggingface_hub.snapshot_download(
            model,
            revision=revision,
            allow_patterns=_HUB_FILES,
            ignore_patterns=_NOT_HUB_FILES,
            local_files_only=local,
        )
        return Path(str(found))

    # The HTTP library's own faults, whichever one this version of the hub's client is built on;
    # an id that cannot be one is a ValueError, and the transfer library raises RuntimeError.
    bases = [base for base in errors.HfHubHTTPError.__bases__ if issubclass(base, Exception)]
    faults: tuple[type[Exception], ...] = (OSError, ValueError, RuntimeError, *bases)
    with suppress(*faults):
        # Loading a tokenizer alone leaves a part of the model in the cache.
        if _is_there(folder := get(local=True)):
            return folder
    try:
        return get(local=False)
    except errors.GatedRepoError:
        why, hint = "the hub asks who you are", "get access on its page, then `hf auth login`"
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        why, hint = "the hub has no such model or revision", "check the spelling"
    except errors.HFValidationError:
        why, hint = "no id that the hub could have", "check the spelling"
    except faults as fault:
        why = f"the hub cannot be reached ({type(fault).__name__})"
        hint = "check the spelling, or fetch it first with `hf download`"
    shown = repr(model if len(model) <= 100 else f"{model[:100]}…")
    at = f" at revision {revision!r}" if revision else ""
    raise UserError(
        f"model {shown}{at}: not a folder, not in this machine's hub cache, and {why}: "
        f"{near or hint}"
    )


def _near(path: Path) -> str:
    """Return a question with the folders beside a missing one that are spelled like it."""
    names: list[str] = []
    with suppress(OSError, ValueError):
        names = [p.name for p in path.parent.iterdir() if p.is_dir()]
    found = difflib.get_close_matches(path.name, sorted(names), n=3, cutoff=0.6)
    spelled = " or ".join(repr(str(path.parent / name)) for name in found)
    return f"did you mean {spelled}?" if spelled else ""


def _is_there(folder: Path) -> bool:
    try:
        _weights(folder, _config(folder))
    except UserError:
        return False
    return _has_tokenizer(folder)


def _has_tokenizer(folder: Path) -> bool:
    return any(all((folder / name).is_file() for name in names.split()) for names in _VOCABULARIES)


def _origin(model: str, folder: Path) -> tuple[str, str | None]:
    """Return the name that a model has by itself, and its commit where it is of the hub's cache."""
    cached = folder.parent.name == "snapshots"
    commit = folder.name if cached else None
    # The way there is kept: a link called `best` is a better name than what it points to.
    if folder == _path(model).absolute():
        repo = folder.parent.parent.name
        if cached and repo.startswith("models--"):
            return repo.removeprefix("models--"), commit
        return (folder.resolve() if ".." in folder.parts else folder).name, None
    return model.replace("/", "--"), commit


def _checked_name(given: str | None, own: str) -> str:
    if given is not None:
        store.check_name(given)
        return given
    try:
        store.check_name(own)
    except UserError as fault:
        raise UserError(f"{fault}; name the system with --name") from None
    return own


def _config(folder: Path) -> dict[str, Any]:
    # The libraries would go on to the base model that it names, which nobody has looked at.
    if (folder / ADAPTER_CONFIG).is_file():
        raise UserError(
            f"{folder}: an adapter ({ADAPTER_CONFIG}): name its base model, and this as the adapter"
        )
    if not (folder / CONFIG[0]).is_file():
        with _readable(folder):
            inside = sorted(p.name for p in folder.iterdir() if (p / CONFIG[0]).is_file())
        hint = f"name one of its checkpoints: {', '.join(inside[:8])}" if inside else ""
        raise UserError(
            f"{folder}: no config.json: "
            f"{hint or 'name the folder that save_pretrained wrote the model to'}"
        )
    return _json(folder / CONFIG[0])


def _check_finished(folder: Path) -> None:
    # A download into a folder keeps its parts in the second one.
    for place in (folder, folder / ".cache" / "huggingface" / "download"):
        if place.is_dir():
            with _readable(place):
                parts = sorted(p.name for p in place.iterdir() if p.suffix in _UNFINISHED)
            if parts:
                raise _cut_off(place, f"has {parts[0]} (delete it if nothing writes it)")


def _code(folder: Path) -> Iterator[str]:
    """Return every place in the configs that has the libraries run code from elsewhere."""
    for name in (*CONFIG, "tokenizer_config.json"):
        if (folder / name).is_file():
            for key in _code_keys(_json(folder / name)):
                yield f"{folder / name}: {key}"


def _code_keys(config: dict[str, Any]) -> Iterator[str]:
    todo: list[tuple[str, Any]] = [("", config)]
    while todo:
        at, value = todo.pop()
        pairs = value.items() if isinstance(value, dict) else ()
        for key, inner in enumerate(value) if isinstance(value, list) else pairs:
            where = f"{at}.{key}".removeprefix(".")
            # An attention with a slash in its name is compiled code from the hub.
            if (key in _CODE_KEYS and inner) or ("attn_impl" in where and "/" in str(inner)):
                yield where
            else:
                todo.append((where, inner))


def _weights(folder: Path, config: Mapping[str, Any]) -> list[Path]:
    """Return the files that the weights are loaded from."""
    with _readable(folder):
        found = sorted(p for p in folder.glob("[!.]*.safetensors") if p.is_file())
    index = folder / INDEX
    main = INDEX if index.is_file() else SINGLE
    if config.get("transformers_weights", main) not in (main, None):
        raise UserError(
            f"{folder / CONFIG[0]}: transformers_weights names other weights than {main}: delete it"
        )
    if index.is_file():
        return _shards(index, found)
    if not found:
        raise _no_weights(folder)
    if any(_SHARD.fullmatch(p.name) for p in found) and folder / SINGLE not in found:
        raise _cut_off(folder, f"has {found[0].name}, and no {INDEX} that names all parts")
    return found


def _shards(index: Path, found: list[Path]) -> list[Path]:
    weight_map = _json(index).get("weight_map")
    names = set(weight_map.values()) if isinstance(weight_map, dict) else set()
    # Never out of the folder: what is hashed here must be what is loaded.
    if not names or any(not isinstance(n, str) or Path(n).name != n for n in names):
        raise UserError(f"{index}: no weight_map of file names: save the checkpoint again")
    shards = [index.parent / name for name in sorted(names)]
    missing = [shard.name for shard in shards if shard not in found]
    if missing:
        raise _cut_off(index, f"{len(missing)} of {len(shards)} parts missing, first {missing[0]}")
    if (single := index.parent / SINGLE) in found and single not in shards:
        raise UserError(
            f"{index.parent}: {SINGLE} beside {INDEX}, which does not name it: the libraries do "
            "not agree on which to load: delete the one that is not meant"
        )
    return shards


def _no_weights(folder: Path) -> UserError:
    pickled = sorted(
        p.name
        for p in folder.iterdir()
        if p.suffix in _PICKLED and not _TRAINER_STATE.fullmatch(p.name)
    )
    if not pickled:
        return UserError(f"{folder}: no weights (*.safetensors): save or fetch the model again")
    return UserError(
        f"{folder}: only pickled weights ({pickled[0]}), which can run code when opened: take the "
        "hub's safetensors conversion or, where you trust them, convert with python -c \"from "
        "transformers import AutoModelForCausalLM; AutoModelForCausalLM.from_pretrained("
        f"'{folder}').save_pretrained('OUT', safe_serialization=True)\" and copy the tokenizer"
    )


def _shapes(path: Path) -> dict[str, list[int]]:
    """Return the shape of each tensor of a safetensors file, from the header.

    Layout: https://github.com/huggingface/safetensors#format
    """
    with _readable(path), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= min(_MAX_HEADER, size) else b""
    try:
        tensors = {k: v for k, v in json.loads(text).items() if k != "__metadata__"}
        shapes = {name: [int(n) for n in tensor["shape"]] for name, tensor in tensors.items()}
        end = max((int(tensor["data_offsets"][1]) for tensor in tensors.values()), default=0)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        raise _cut_off(path, "its header cannot be read") from None
    if 8 + length + end != size:
        raise _cut_off(path, f"has {size} bytes, and its header says {8 + length + end}")
    return shapes


def _check_vocabulary(
    folder: Path, config: Mapping[str, Any], shapes: Mapping[str, list[int]]
) -> None:
    sizes = {s[0] for n, s in shapes.items() if _EMBEDDING.search(n) and s}
    if len(sizes) != 1:
        return
    rows = sizes.pop()
    stated = [n for n in _stated(config, "vocab_size") if isinstance(n, int)]
    # Models that also see may have rows of their own for that: mllama has 8 more.
    spare = rows > max(stated, default=0) and "vision_config" in config
    if stated and rows not in stated and not spare:
        raise UserError(
            f"{folder / CONFIG[0]}: vocab_size is {stated[0]}, but the weights' embedding has "
            f"{rows} rows: one is of another model: copy both from where it was saved"
        )
    largest, token = _largest_token(folder / "tokenizer.json")
    if largest >= rows:
        raise UserError(
            f"{folder / 'tokenizer.json'}: token {token!r} has id {largest}, but the weights' "
            f"embedding has {rows} rows: one is of another model, or the embedding was not resized"
        )


def _largest_token(path: Path) -> tuple[int, str]:
    if not path.is_file():
        return -1, ""
    found = _json(path)
    model, added = found.get("model"), found.get("added_tokens")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    ids: list[tuple[Any, Any]] = []
    if isinstance(vocab, dict):
        ids += [(number, token) for token, number in vocab.items()]
    elif isinstance(vocab, list) and vocab:  # Unigram: pairs of token and score, by id
        ids.append((len(vocab) - 1, vocab[-1][0] if isinstance(vocab[-1], list) else ""))
    for entry in added if isinstance(added, list) else []:
        if isinstance(entry, dict):
            ids.append((entry.get("id"), entry.get("content")))
    # gemma-3-1b has <image_soft_token> just beyond its rows, which no text comes to:
    # https://github.com/huggingface/transformers/issues/37011
    text = [(n, str(t)) for n, t in ids if isinstance(n, int) and not _NOT_TEXT.search(str(t))]
    return max(text, default=(-1, ""))


def _check_adapter(adapter: Path) -> None:
    if not adapter.is_dir():
        raise UserError(f"{adapter}: no such folder: name the folder of the adapter")
    _check_finished(adapter)
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (adapter / name).is_file():
            raise UserError(f"{adapter}: no {name}: save the adapter with PEFT, as safetensors")
    _json(adapter / ADAPTER_CONFIG)
    _shapes(adapter / ADAPTER_WEIGHTS)


def _stated(config: Mapping[str, Any], *keys: str) -> list[Any]:
    """Return what a config says under any of these keys, its own level first."""
    levels = [config, *(config.get(name) for name in _TEXT_CONFIGS)]
    found = [level.get(key) for level in levels if isinstance(level, dict) for key in keys]
    return [value for value in found if value is not None]


def _dtype(folder: Path, config: Mapping[str, Any]) -> str:
    stated = next(iter(_stated(config, "dtype", "torch_dtype")), "float32")
    dtype = str(stated).removeprefix("torch.")
    if dtype not in _DTYPES:
        raise UserError(
            f"{folder / CONFIG[0]}: dtype {stated!r} is not one of {', '.join(_DTYPES)}: correct it"
        )
    return dtype


def _chat_template(folder: Path) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            with _readable(path):
                return path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{path}: not UTF-8: save the tokenizer again") from None
    path = folder / "tokenizer_config.json"
    found = _json(path).get("chat_template") if path.is_file() else None
    for entry in found if isinstance(found, list) else []:
        if isinstance(entry, dict) and entry.get("name") == "default":
            found = entry.get("template")
    return found if isinstance(found, str) else None


def _all_weights(checkpoint: Checkpoint, adapter: Path | None) -> list[Path]:
    files = _weights(checkpoint.folder, _config(checkpoint.folder))
    return files if adapter is None else [*files, adapter / ADAPTER_WEIGHTS]


def _covers(
    checkpoint: Checkpoint, adapter: Path | None, hashes: Mapping[Path, str]
) -> dict[str, Any]:
    folder, template = checkpoint.folder, checkpoint.chat_template
    # Opened with configs that ask for code, the user has trusted it, and it is part of the model.
    code = sorted(p.name for p in folder.glob("*.py")) if any(_code(folder)) else []
    tuned = None
    if adapter is not None:
        tuned = _hash_files(adapter, (ADAPTER_CONFIG,))
        tuned[ADAPTER_WEIGHTS] = hashes[adapter / ADAPTER_WEIGHTS]
    return {
        "weights": {file.name: h for file, h in hashes.items() if file.parent == folder},
        "config": _hash_files(folder, (*CONFIG, *code)),
        "tokenizer": _hash_files(folder, TOKENIZER),
        "chat_template": None if template is None else provenance.digest(template),
        "adapter": tuned,
    }


def _hash_files(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    with _readable(folder):
        there = [name for name in names if (folder / name).is_file()]
        return {name: provenance.digest_file(folder / name) for name in there}


def _hash_weights(path: Path) -> str:
    with _readable(path):
        before = _mark(path)
        found = provenance.digest_file(path)
        if _mark(path) != before:
            raise _cut_off(path, "changed while it was hashed")
    if time.time_ns() - before["mtime_ns"] > _SETTLED_NS:
        _remember(path, {**before, "sha256": found})
    return found


def _mark(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "inode": stat.st_ino}


def _known(path: Path, cache: Mapping[str, Any]) -> str | None:
    """Return the hash of a file that has not changed since it was read."""
    with _readable(path):
        real, mark = path.resolve(), _mark(path)
    # The hub's client names what it stores after its hash.
    if real.parent.name == "blobs" and _SHA256.fullmatch(real.name):
        return real.name
    entry = cache.get(str(real))
    found = entry.get("sha256") if isinstance(entry, dict) else None
    same = (
        isinstance(found, str) and _SHA256.fullmatch(found) and entry == {**mark, "sha256": found}
    )
    return found if same else None


def _cache_file() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bayling_eval" / "hashes.json"


def _read_cache() -> dict[str, Any]:
    # Without a home, or with a broken file, there is nothing to know; it is written anew.
    with suppress(OSError, ValueError, RecursionError, RuntimeError):
        found = json.loads(_cache_file().read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def _remember(path: Path, entry: dict[str, Any]) -> None:
    # Read again, as another process may have added to it; a home that is read-only costs time only.
    with suppress(OSError, RuntimeError):
        known = {**_read_cache(), str(path.resolve()): entry}
        store.write_atomic(_cache_file(), json.dumps(known, indent=1, sort_keys=True).encode())


def _json(path: Path) -> dict[str, Any]:
    try:
        with _readable(path):
            found = json.loads(path.read_bytes())
    except json.JSONDecodeError as fault:
        raise UserError(f"{path}:{fault.lineno}: not JSON: copy the file again") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path}: not JSON: copy the file again") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: not a JSON object: copy the file again")
    return found


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        where = fault.filename or path
        raise UserError(
            f"{where}: cannot be read ({fault.strerror}): check the disk and its permissions"
        ) from None


def _cut_off(path: Path, what: str) -> UserError:
    return UserError(
        f"{path}: {what}: still being written, or cut off: wait for it, or copy it again"
    )
