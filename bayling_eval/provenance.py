"""Digests and versions: what makes two things the same thing."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def digest(value: Any) -> str:
    """Return the SHA-256 (hex) of a JSON value in canonical form: sorted keys, no spaces."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate can come out of a JSON escape; it must not stop the hashing.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest_lines(lines: Iterable[str]) -> str:
    """Return the SHA-256 (hex) of a sequence of texts; where one ends counts."""
    return digest(list(lines))


def digest_file(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(*packages: str) -> dict[str, str]:
    """Return the installed version of each package; one that is not installed is left out."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
