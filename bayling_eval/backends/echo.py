"""An engine without a model: says the prompt's own words again, the same for the same request.

For tests, dry runs and the measurement of everything but the engine.
"""

import json
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from bayling_eval.backends.arguments import check
from bayling_eval.backends.base import Answer, BackendSpec, Request, prompt_digest

# A FLORES segment has 21 words in English.
_WORDS = 21


class Echo:
    """Answers at once, with as many words as a segment of FLORES has."""

    def __init__(self, spec: BackendSpec) -> None:
        """Set up; ``trace=FILE`` notes each request asked, ``delay=SECONDS`` waits before each.

        Raises:
            UserError: an unknown argument or a wrong value.
        """
        check(spec)
        trace, delay = spec.model_args.get("trace"), spec.model_args.get("delay", 0)
        self._trace = Path(str(trace)) if trace else None
        self._delay = float(delay)

    def answer(self, requests: Iterator[Request]) -> Generator[Answer, None, None]:
        """Answer in the order asked."""
        for request in requests:
            if self._trace:
                with self._trace.open("a") as file:
                    file.write(f"{request.request_id}\n")
            if self._delay:
                time.sleep(self._delay)
            yield _answer(request)


def _answer(request: Request) -> Answer:
    prompt = request.context
    if request.chat:
        prompt = "\n".join(m["content"] for m in json.loads(prompt)["messages"])
    if request.kind == "loglikelihood":
        continuation = request.continuation or ""
        share = int(request.request_id[:8], 16) / 0xFFFFFFFF
        nats = -len(continuation.encode()) * (0.2 + share)
        text, reason, made = json.dumps([nats, False]), None, len(continuation.split())
    else:
        words = prompt.rpartition("\n")[2].rpartition(": ")[2].split()[:_WORDS]
        text, reason, made = " ".join(words), "stop", len(words)
    digest = prompt_digest(prompt + (request.continuation or ""))
    return Answer(
        request_id=request.request_id,
        answer=text,
        finish_reason="stop" if reason else None,
        prompt_digest=digest,
        prompt_tokens=len(prompt.split()),
        output_tokens=made,
        spans_join=None if reason else False,
    )
