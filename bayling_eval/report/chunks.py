"""Files beside the page that hold what does not fit on it, and are read when it is asked for."""

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Chunk:
    """A fragment of the page in a script of its own.

    A script, as a page that was opened from a disk may load that alone: ``fetch`` of a file beside
    it fails (Chromium 156). There it refuses the attribute ``integrity`` too, so the page's script
    builds the file's text from what it was handed, and compares its digest.
    """

    name: str
    """Name in the folder `samples` beside the page."""
    integrity: str
    """Digest of the file, in the notation of subresource integrity."""
    content: bytes = field(repr=False)
    """The file."""


def pack(key: str, fragment: str) -> Chunk:
    """Pack safe HTML; ``key`` is safe in a file name, and the same input gives the same bytes."""
    packed = base64.b64encode(gzip.compress(fragment.encode("utf-8", "replace"), 9, mtime=0))
    content = f'bayling.chunk({json.dumps(key)},"{packed.decode()}");\n'.encode()
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return Chunk(f"{key}.js", f"sha256-{digest}", content)
