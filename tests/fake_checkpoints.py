"""Folders that pass every cheap check of a checkpoint, with weights of a few bytes.

The safetensors file is made by hand; layout: https://github.com/huggingface/safetensors#format
"""

import json
import os
from pathlib import Path
from typing import Any

ROWS = 8
# Files of the last seconds are hashed again each time; these are old.
_YEAR_2020 = 1_577_836_800
_CONFIG = {
    "model_type": "llama",
    "vocab_size": ROWS,
    "hidden_size": 2,
    "intermediate_size": 2,
    "num_attention_heads": 1,
    "num_hidden_layers": 1,
}
_TOKENIZER = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "WhitespaceSplit"},
    "post_processor": None,
    "decoder": None,
    "model": {
        "type": "WordLevel",
        "vocab": {f"w{number}": number for number in range(ROWS)},
        "unk_token": "w0",
    },
}
"""One token a word."""


def put(path: Path, value: Any) -> None:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def make_checkpoint(folder: Path, template: str | None = "{{ messages }}", **config: Any) -> Path:
    """Make a whole checkpoint; ``config`` goes to its ``config.json``."""
    put(folder / "config.json", {**_CONFIG, **config})
    put(folder / "tokenizer.json", _TOKENIZER)
    put(folder / "tokenizer_config.json", {"chat_template": template} if template else {})
    tensor = {"dtype": "F32", "shape": [ROWS, 2], "data_offsets": [0, ROWS * 8]}
    header = json.dumps({"model.embed_tokens.weight": tensor}).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(range(ROWS * 8)))
    os.utime(path, (_YEAR_2020, _YEAR_2020))
    return folder
