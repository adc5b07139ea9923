"""The arguments of each backend, checked before anything heavy is imported."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bayling_eval.backends.base import BackendSpec
from bayling_eval.errors import UserError, unknown


def _count(value: Any, least: int = 1) -> bool:
    return type(value) is int and value >= least  # not isinstance: True is an int


def _number(value: Any, most: float) -> bool:
    # Comparing leaves out what is not a number.
    return type(value) in (int, float) and 0 <= value <= most


class _Rule(NamedTuple):
    wanted: str
    """What a value has to be."""
    is_right: Callable[[Any], bool]
    """Whether it is."""
    moves: bool = False
    """Whether it may change an answer by more than rounding, so that it is one of the settings."""


# Two digits: torch counts devices in a byte, so that it takes cuda:256 for cuda:0.
_DEVICE = re.compile(r"cpu|mps|cuda(:(0|[1-9][0-9]?))?")
_COUNT = _Rule("a whole number above 0", _count)
_BOOL = _Rule("true or false", lambda value: isinstance(value, bool))
_NAME = _Rule("a name", lambda value: isinstance(value, str))
_BYTES_GIB = _Rule("a number of GiB, at least 0", lambda value: _number(value, 1e6))
_LENGTH = _COUNT._replace(moves=True)
_TEXTS = {
    "add_bos_token": _BOOL._replace(moves=True),
    "prefix_token_id": _Rule("the number of a token", lambda v: _count(v, 0), moves=True),
    "trust_remote_code": _BOOL,
}
_RULES: Mapping[str, Mapping[str, _Rule]] = {
    "transformers": {
        **_TEXTS,
        "device": _Rule(
            "a device such as cpu, cuda, cuda:1 or mps",
            lambda v: _DEVICE.fullmatch(str(v)) is not None,
        ),
        "batch_tokens": _COUNT,
        "max_length": _LENGTH,
        "attn_implementation": _Rule(
            "a name such as sdpa or eager", lambda v: isinstance(v, str), moves=True
        ),
    },
    # Names and meanings: vllm.engine.arg_utils.EngineArgs (0.32), as lm-eval users type them.
    "vllm": {
        **_TEXTS,
        "max_model_len": _LENGTH,
        "max_length": _LENGTH,
        "tensor_parallel_size": _COUNT,
        "pipeline_parallel_size": _COUNT,
        "distributed_executor_backend": _Rule("mp or ray", lambda v: v in ("mp", "ray")),
        "disable_custom_all_reduce": _BOOL,
        "enable_expert_parallel": _BOOL,
        "quantization": _NAME._replace(moves=True),
        "kv_cache_dtype": _NAME._replace(moves=True),
        "load_format": _NAME,
        "gpu_memory_utilization": _Rule(
            "a share above 0, at most 1", lambda v: _number(v, 1) and v
        ),
        "kv_cache_memory_bytes": _COUNT,
        "cpu_offload_gb": _BYTES_GIB,
        "max_num_seqs": _COUNT,
        "max_num_batched_tokens": _COUNT,
        "block_size": _COUNT,
        "enable_prefix_caching": _BOOL,
        "enable_chunked_prefill": _BOOL,
        "enforce_eager": _BOOL,
    },
    "echo": {
        "trace": _Rule("the path of a file", lambda value: isinstance(value, str)),
        "delay": _Rule("seconds, an hour at most", lambda value: _number(value, 3600)),
    },
}
# What lm-eval's own models take under names that mean something else here.
_ELSEWHERE = {
    "batch_size": "leave it out: batches are cut by tokens, and vLLM makes its own",
    "data_parallel_size": "leave it out: start one run a GPU with --shard I/N and "
    "CUDA_VISIBLE_DEVICES",
    "lora_local_path": "name the adapter with --adapter PATH",
    "max_lora_rank": "leave it out: it is read from the adapter",
    "peft": "name the adapter with --adapter PATH",
    "pretrained": "name the model with -m MODEL",
    "revision": "use --revision",
    "seed": "use --seed",
    "tokenizer": "put the tokenizer into the checkpoint's folder",
}


def check(spec: BackendSpec) -> None:
    """Check names and types of a backend's arguments.

    Raises:
        UserError: an unknown argument or a wrong value.
    """
    rules = _RULES[spec.backend]
    for name, value in spec.model_args.items():
        if name not in rules and name in _ELSEWHERE:
            raise UserError(f"model argument {name} is not known here: {_ELSEWHERE[name]}")
        if name == "device" and spec.backend == "vllm":
            raise UserError("model argument device: vLLM takes what CUDA_VISIBLE_DEVICES shows it")
        if name not in rules:
            raise unknown(f"model argument of {spec.backend}", name, rules)
        if not rules[name].is_right(value):
            raise UserError(
                f"model argument {name} is {value!r}: it has to be {rules[name].wanted}"
            )
    if {"max_length", "max_model_len"} <= set(spec.model_args):
        raise UserError("model arguments max_length and max_model_len are one: give either")


def named(backend: str, model_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by the names that the engine itself gives them."""
    own = {"max_length": "max_model_len"} if backend == "vllm" else {}
    return {own.get(name, name): value for name, value in model_args.items()}


def moving(backend: str, model_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that may change an answer; unknown ones are left in."""
    rules = _RULES[backend]
    found = {k: v for k, v in named(backend, model_args).items() if k != "dtype"}
    return {k: v for k, v in found.items() if k not in rules or rules[k].moves}
