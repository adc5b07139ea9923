"""From a folder to a model of transformers, or to one line that says why not."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from bayling_eval.backends.base import BackendSpec
from bayling_eval.errors import RuntimeFault, UserError, unknown

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_tokenizer(spec: BackendSpec) -> Any:
    """Load a checkpoint's tokenizer.

    Raises:
        UserError: the folder has none that can be used.
    """
    args = spec.model_args
    options = {"add_bos_token": args["add_bos_token"]} if "add_bos_token" in args else {}
    with _told(f"cannot load the tokenizer of {spec.model}"):
        tokenizer = AutoTokenizer.from_pretrained(
            spec.model,
            local_files_only=True,
            trust_remote_code=args.get("trust_remote_code", False),
            **options,
        )
    if spec.chat_template is not None:
        tokenizer.chat_template = spec.chat_template
    return tokenizer


def load_model(spec: BackendSpec, device: torch.device) -> Any:
    """Load a checkpoint's model and adapter, ready to answer.

    Raises:
        UserError: an unknown number format, a folder that cannot be used, weights missing.
        RuntimeFault: it does not fit into memory.
    """
    if spec.dtype not in _DTYPES:
        raise unknown("dtype", spec.dtype, _DTYPES)
    args = spec.model_args
    attention = "attn_implementation"
    with _told(f"cannot load the model {spec.model}"):
        load: Any = AutoModelForCausalLM.from_pretrained  # its type leaves out the loading info
        model, found = load(
            spec.model,
            dtype=_DTYPES[spec.dtype],
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=args.get("trust_remote_code", False),
            output_loading_info=True,
            **({attention: args[attention]} if attention in args else {}),
        )
        # transformers gives them random values and goes on, with a warning.
        if missing := sorted(found["missing_keys"]):
            raise ValueError(f"{len(missing)} weights are missing, such as {missing[0]}")
    if spec.adapter:
        model = _with_adapter(model, spec.adapter)
    with _told(f"cannot move the model to {device}"):
        return model.to(device).eval()


def _with_adapter(model: Any, folder: str) -> Any:
    try:
        peft = importlib.import_module("peft")
    except ModuleNotFoundError as error:
        raise UserError(f"the adapter {folder} needs peft: pip install peft") from error
    with _told(f"cannot load the adapter {folder}"):
        adapted = peft.PeftModel.from_pretrained(model, folder, local_files_only=True)
        if adapted.active_peft_config.is_prompt_learning:
            raise ValueError("it is not LoRA")
    # The layers are changed in place; the wrapper hides the model's own generate and forward.
    return adapted.get_base_model()


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Make one line of what the libraries raise; a folder, a file or memory is at fault."""
    try:
        yield
    except (OSError, ValueError, ImportError, SafetensorError, RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            raise RuntimeFault(
                f"{what}: out of memory: try --model-args dtype=bfloat16, or free memory"
            ) from error
        line = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise UserError(f"{what}: {line.strip()}") from error


def out_of_memory(error: Exception) -> bool:
    """Return whether this is a lack of memory: a plain RuntimeError where it is the CPU's."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def check_vocabulary(tokenizer: Any, rows: int) -> None:
    """Hold a tokenizer against the rows of the model's embedding.

    Special tokens beyond it are let pass until a prompt has one: Gemma 3 1B's tokenizer has an
    image token, number 262144, that its 262144 rows do not have.

    Raises:
        UserError: the tokenizer has ordinary tokens that the model does not know.
    """
    special = {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    if max(set(tokenizer.get_vocab().values()) - special, default=0) >= rows:
        raise UserError(
            f"the tokenizer has {len(tokenizer)} tokens, the embedding {rows} rows: "
            "use the tokenizer that the model was trained with"
        )


def eos_ids(config: Any, tokenizer: Any) -> list[int]:
    """Return every token that ends a text: the generation config's, and the tokenizer's."""
    named = config.eos_token_id
    ids = set(named if isinstance(named, list) else [named]) | {tokenizer.eos_token_id}
    return sorted(ids - {None})


def find_device(name: str | None) -> torch.device:
    """Return the device of that name; without one the first GPU, else the CPU.

    Raises:
        UserError: there is no such device.
    """
    cuda = torch.cuda.is_available()
    device = torch.device(name or ("cuda" if cuda else "cpu"))
    if device.type == "cuda" and not (cuda and (device.index or 0) < torch.cuda.device_count()):
        raise UserError(f"model argument device is {name!r}, but torch finds no such GPU")
    return device
