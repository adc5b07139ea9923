"""The process that runs COMET: segments on stdin, scores on stdout, a JSON document a line.

It runs by its path under the Python of COMET's own environment, which has none of what
bayling_eval needs: nothing but the standard library, torch and COMET may be imported here. The
first line holds the settings, and is answered by ``{"ready": ...}``; each further line is a list of
segments ``{"src", "mt", "ref"}``, answered by their scores. Nothing else is written to stdout.
"""

import gc
import json
import os
import pickle  # for the name of what torch.load raises: nothing is opened with it
import queue
import signal
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Segment = Mapping[str, str]

# Rows of the estimator at once: two layers on top of the encoder, small beside it.
_ESTIMATES = 1024


def main() -> int:
    """Serve one model until stdin ends; return the exit code."""
    # Ctrl-C reaches the whole terminal; who started this process decides when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked = os.fdopen(os.dup(sys.stdin.fileno()), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    settings = json.loads(asked.readline())
    lines: queue.Queue[list[dict[str, str]]] = queue.Queue()
    threading.Thread(target=_read, args=(asked, lines), daemon=True).start()

    def reply(document: Mapping[str, Any]) -> None:
        replies.write(json.dumps(document) + "\n")
        replies.flush()

    try:
        scorer = Scorer(settings)
    # What a checkpoint that is cut off, or of another shape or library, raises.
    except (
        *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, ImportError),
        *(RuntimeError, pickle.UnpicklingError),
    ) as fault:
        reply({"fault": f"{type(fault).__name__}: {_line(fault)}"})
        return 2
    reply({"ready": scorer.device})
    while True:
        try:
            scores = scorer.score(lines.get())
        except TooLarge as fault:
            reply({"memory": _line(fault)})
            return 5
        reply({"scores": scores, "encoded": scorer.encoded})


def _line(fault: BaseException) -> str:
    return " ".join(str(fault).split())[:500]


def _read(source: Any, lines: "queue.Queue[list[dict[str, str]]]") -> None:
    for line in source:
        lines.put(json.loads(line))
    # Whoever asked is gone, perhaps killed: a model must not outlive it and keep a GPU.
    os._exit(0)


class TooLarge(Exception):
    """Memory runs out with a single text."""


class Batches:
    """Batches by length in tokens; smaller ones once memory ran out."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        """Tokens of a batch, padding counted; halved where memory runs out."""

    def run(
        self,
        items: Sequence[T],
        lengths: Sequence[int],
        work: Callable[[list[T]], Sequence[Any]],
    ) -> list[Any]:
        """Return what ``work`` makes of each item, in their order; the longest go first.

        Raises:
            TooLarge: memory does not suffice for one item.
        """
        order = sorted(range(len(items)), key=lambda row: -lengths[row])
        found: list[Any] = [None] * len(items)
        start = 0
        while start < len(order):
            longest = max(1, lengths[order[start]])
            rows = order[start : start + max(1, self.tokens // longest)]
            made = self._tried(work, [items[row] for row in rows], longest)
            if made is None:
                continue
            for row, one in zip(rows, made, strict=True):
                found[row] = one
            start += len(rows)
        return found

    def _tried(
        self, work: Callable[[list[T]], Sequence[Any]], batch: list[T], longest: int
    ) -> Sequence[Any] | None:
        try:
            return work(batch)
        except (MemoryError, RuntimeError) as fault:
            if not lacks_memory(fault):
                raise
            if len(batch) == 1:
                raise TooLarge(f"with a single text of {longest} tokens") from None
        # Out of the handler: the traceback keeps the tensors alive.
        self.tokens = len(batch) // 2 * longest
        _free()
        return None


def lacks_memory(fault: BaseException) -> bool:
    """Return whether an exception says that memory ran out, of a GPU or of the machine."""
    # c10/core/impl/alloc_cpu.cpp of torch says "can't allocate memory" in a plain RuntimeError.
    names = {kind.__name__ for kind in type(fault).__mro__}
    said = str(fault)
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "allocate memory" in said


def _free() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


class Embeddings:
    """Sentence embeddings by text, the ones used least recently given up beyond a size."""

    def __init__(self, size: int) -> None:
        """``size`` is in bytes."""
        self._size, self._used = size, 0
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def __contains__(self, text: str) -> bool:
        return text in self._kept

    def __getitem__(self, text: str) -> Any:
        self._kept.move_to_end(text)
        return self._kept[text]

    def __setitem__(self, text: str, embedding: Any) -> None:
        self._kept[text] = embedding
        self._used += embedding.nbytes
        while self._used > self._size and len(self._kept) > 1:
            self._used -= self._kept.popitem(last=False)[1].nbytes


class Scorer:
    """One COMET model."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Load the model; ``settings`` are those that ``process.py`` sends."""
        import torch
        from comet import load_from_checkpoint
        from comet.models import RegressionMetric

        self._torch = torch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        model = load_from_checkpoint(settings["checkpoint"], local_files_only=True)
        if settings["precision"] == "fp16":
            model.half()
        self._model = model.eval().to(self.device)
        # Of its subclasses, some read two texts or read them together.
        self._apart = type(model) is RegressionMetric
        self._batches = Batches(settings["tokens"][self.device])
        self._embeddings = Embeddings(settings["embeddings"])
        self.encoded = 0
        """Sequences that went through the encoder so far."""

    def score(self, segments: Sequence[Segment]) -> list[float]:
        """Return the score of each segment; those without a reference have none in them."""
        plain = [{key: _plain(text) for key, text in one.items()} for one in segments]
        with self._torch.inference_mode():
            return self._scores_apart(plain) if self._apart else self._scores_together(plain)

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        encoder = self._model.encoder
        found = encoder.tokenizer(
            list(texts), truncation=True, max_length=encoder.max_positions - 2
        )
        return [len(ids) for ids in found["input_ids"]]

    def _scores_apart(self, segments: Sequence[Segment]) -> list[float]:
        """Encode each text once, whichever segments it stands in and on whichever side."""
        texts = dict.fromkeys(text for one in segments for text in one.values())
        here = {text: self._embeddings[text] for text in texts if text in self._embeddings}
        new = [text for text in texts if text not in here]
        # COMET's own cache takes the printed form of a batch for its key, which torch shortens.
        for text, made in zip(
            new, self._batches.run(new, self._lengths(new), self._encode), strict=True
        ):
            here[text] = self._embeddings[text] = made
        scores: list[float] = []
        for part in _parts(segments, _ESTIMATES):
            columns = [
                self._torch.stack([here[one[key]] for one in part]).to(self.device)
                for key in ("src", "mt", "ref")
            ]
            scores += self._model.estimate(*columns).score.float().cpu().tolist()
        return scores

    def _encode(self, texts: list[str]) -> Sequence[Any]:
        found = self._model.encoder.prepare_sample(texts).to(self.device)
        made = self._model.get_sentence_embedding(found["input_ids"], found["attention_mask"])
        self.encoded += len(texts)
        # Each with its own memory: a row alone would keep the whole batch.
        return [row.clone() for row in made.cpu()]

    def _scores_together(self, segments: Sequence[Segment]) -> list[float]:
        """Score models that read source, output and reference as one sequence."""
        keys = list(segments[0]) if segments else []
        columns = [self._lengths([one[key] for one in segments]) for key in keys]
        lengths = [sum(row) for row in zip(*columns, strict=True)]
        return self._batches.run(segments, lengths, self._predict)

    def _predict(self, batch: list[Segment]) -> list[float]:
        made = self._moved(self._model.prepare_for_inference(batch))
        sequences = len(made) if isinstance(made, tuple) else len(batch[0])
        found: list[float] = self._model.predict_step(made).scores.float().cpu().tolist()
        self.encoded += len(batch) * sequences
        return found

    def _moved(self, value: Any) -> Any:
        """Put the tensors of a batch on the device; COMET nests them in tuples and mappings."""
        if isinstance(value, self._torch.Tensor):
            return value.to(self.device)
        if isinstance(value, tuple):
            return tuple(self._moved(one) for one in value)
        if isinstance(value, Mapping):
            return {key: self._moved(one) for key, one in value.items()}
        return value


def _plain(text: str) -> str:
    """Replace lone surrogates, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


if __name__ == "__main__":
    sys.exit(main())
