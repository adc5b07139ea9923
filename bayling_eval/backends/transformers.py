"""transformers in this process: log-likelihoods and generation, tokens as lm-eval's HFLM has them.

An answer depends on the request and the seed alone, but for the rounding of padded batches.
"""

import inspect
import itertools
import json
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
import transformers
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from bayling_eval.backends.arguments import check
from bayling_eval.backends.base import Answer, BackendSpec, Request, prompt_digest
from bayling_eval.backends.decoding import Decoding, cut, decoding
from bayling_eval.backends.hf_load import (
    check_vocabulary,
    eos_ids,
    find_device,
    load_model,
    load_tokenizer,
    out_of_memory,
)
from bayling_eval.backends.hf_steps import GumbelNoise, Stops
from bayling_eval.backends.tokens import Pair, Texts, batches, context_length
from bayling_eval.errors import RuntimeFault, UserError

T = TypeVar("T")

_WINDOW = 2048  # requests that are sorted by length together
_MADE = 128  # new tokens a row that a batch is planned for; few translations are longer


@dataclass(frozen=True)
class _Scored:
    request: Request
    text: str
    pair: Pair


@dataclass(frozen=True)
class _Prompt:
    request: Request
    text: str
    ids: tuple[int, ...]
    decoding: Decoding
    room: int
    """New tokens that the options and the model's context allow."""


class Transformers:
    """A causal language model of transformers."""

    def __init__(self, spec: BackendSpec) -> None:
        """Load the tokenizer and the model.

        Raises:
            UserError: an unknown argument, or a checkpoint that cannot be used.
            RuntimeFault: the model does not fit into memory.
        """
        transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        args = spec.model_args
        check(spec)
        self._seed = spec.seed
        self._budget: int = args.get("batch_tokens", 8192)
        self._device = find_device(args.get("device"))
        self._tokenizer = load_tokenizer(spec)
        self._model = load_model(spec, self._device)
        self._rows = check_vocabulary(self._tokenizer, self._model)
        self._texts = Texts(self._tokenizer, args.get("add_bos_token"), args.get("prefix_token_id"))
        self._max_length: int = args.get("max_length") or context_length(
            self._model.config, self._tokenizer
        )
        self._eos = eos_ids(self._model, self._tokenizer)
        # Padding is masked, but needs an embedding; a [PAD] added to the tokenizer alone has none.
        pads = (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id, 0)
        self._pad = next(pad for pad in pads if pad is not None and pad < self._rows)
        eos = self._tokenizer.eos_token_id
        self._eos_text = None if eos is None else self._tokenizer.decode([eos])
        # generate() fills what a GenerationConfig leaves open from the model's own, such as
        # repetition_penalty 1.05 in Qwen2.5's generation_config.json.
        self._model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        self._keeps_logits = "logits_to_keep" in inspect.signature(self._model.forward).parameters

    def answer(self, requests: Iterator[Request]) -> Generator[Answer, None, None]:
        """Answer, window by window, the longest prompts of a window first."""
        while window := list(itertools.islice(requests, _WINDOW)):
            yield from self._score_all([r for r in window if r.kind == "loglikelihood"])
            yield from self._generate_all([r for r in window if r.kind == "generate_until"])

    def _score_all(self, requests: list[Request]) -> Iterator[Answer]:
        # Choices of one token share all that the model reads: one row for them all.
        rows: dict[tuple[int, ...], list[_Scored]] = {}
        for request in requests:
            continuation = request.continuation or ""
            context = self._texts.prompt(request)
            pair = self._texts.encode_pair(context, continuation)
            self._check_ids(pair.ids)
            item = _Scored(request, context + continuation, pair)
            if len(pair.ids) > self._max_length + 1:
                yield _too_long(request, item.text, pair.start, pair.spans_join)
            else:
                rows.setdefault(pair.ids[:-1], []).append(item)
        for batch in batches(list(rows.values()), _width, self._budget):
            yield from self._in_memory(batch, self._score)

    @torch.inference_mode()
    def _score(self, batch: list[list[_Scored]]) -> list[Answer]:
        read = [row[0].pair.ids[:-1] for row in batch]
        ids, mask = self._padded(read, left=False)
        firsts = [min(item.pair.start for item in row) - 1 for row in batch]
        spans = [range(first, len(r)) for first, r in zip(firsts, read, strict=True)]
        # Logits of a whole batch would be 8192 × 150,000 numbers, 5 GB in float32.
        keep = sorted(set().union(*spans))
        column = {position: index for index, position in enumerate(keep)}
        wanted = torch.tensor(keep, device=self._device)
        options = {"logits_to_keep": wanted} if self._keeps_logits else {}
        logits = self._model(ids, attention_mask=mask, use_cache=False, **options).logits
        logits = logits if self._keeps_logits else logits[:, wanted]
        answers = []
        for row, span, of_row in zip(batch, spans, logits, strict=True):
            part = of_row[column[span[0]] : column[span[-1]] + 1]
            nats, greedy = part.float().log_softmax(-1), part.argmax(-1)
            answers += [self._scored(item, nats, greedy) for item in row]
        return answers

    def _scored(self, item: _Scored, nats: torch.Tensor, greedy: torch.Tensor) -> Answer:
        target = torch.tensor(item.pair.ids[item.pair.start :], device=self._device)
        n = len(target)
        total = nats[-n:].gather(1, target[:, None]).sum(dtype=torch.float64).item()
        if math.isnan(total):
            raise RuntimeFault(
                f"the model's logits for {item.request.request_id} are not numbers: "
                "try --model-args dtype=bfloat16 in place of float16"
            )
        return Answer(
            request_id=item.request.request_id,
            answer=json.dumps([total, bool((greedy[-n:] == target).all())]),
            finish_reason=None,
            prompt_digest=prompt_digest(item.text),
            prompt_tokens=item.pair.start,
            output_tokens=n,
            spans_join=item.pair.spans_join,
        )

    def _generate_all(self, requests: list[Request]) -> Iterator[Answer]:
        groups: dict[tuple[object, ...], list[_Prompt]] = {}
        for request in requests:
            asked = decoding(request.gen_kwargs or {}, self._eos_text)
            text = self._texts.prompt(request)
            ids = self._texts.encode(text)
            self._check_ids(ids)
            if (room := min(asked.max_tokens, self._max_length - len(ids))) < 1:
                yield _too_long(request, text, len(ids), None)
                continue
            # Equal room: a row that is full while others go on would leave the position table.
            # Equal length: transformers' penalties count padding as text.
            key = (asked, room, len(ids) if asked.reads_prompt else None)
            groups.setdefault(key, []).append(_Prompt(request, text, ids, asked, room))
        for group in groups.values():
            beams, made = group[0].decoding.num_beams, min(group[0].room, _MADE)
            size = partial(_tokens_of, made=made, beams=beams)
            for batch in batches(group, size, self._budget):
                yield from self._in_memory(batch, self._generate)

    @torch.inference_mode()
    def _generate(self, batch: list[_Prompt]) -> list[Answer]:
        asked, room = batch[0].decoding, batch[0].room
        ids, mask = self._padded([prompt.ids for prompt in batch], left=True)
        config = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=room,
            do_sample=False,
            num_beams=asked.num_beams,
            eos_token_id=self._eos or None,
            pad_token_id=self._pad,
            use_cache=True,
            **dict(asked.others),
        )
        stops = Stops(self._tokenizer, asked.stops, ids.shape[1])
        made = self._model.generate(
            ids,
            attention_mask=mask,
            generation_config=config,
            logits_processor=LogitsProcessorList(self._sampling(batch)),
            stopping_criteria=StoppingCriteriaList([stops] if asked.stops else []),
        )
        rows = made[:, ids.shape[1] :].tolist()
        return [self._made(prompt, row, stops) for prompt, row in zip(batch, rows, strict=True)]

    def _sampling(self, batch: list[_Prompt]) -> list[LogitsProcessor]:
        asked = batch[0].decoding
        if not asked.temperature:
            return []
        # The order of GenerationMixin._get_logits_processor.
        chain: list[LogitsProcessor] = [TemperatureLogitsWarper(asked.temperature)]
        if asked.top_k:
            chain.append(TopKLogitsWarper(asked.top_k))
        if asked.top_p is not None:
            chain.append(TopPLogitsWarper(asked.top_p))
        if asked.min_p is not None:
            chain.append(MinPLogitsWarper(asked.min_p))
        seeds = [f"{self._seed} {prompt.request.request_id}" for prompt in batch]
        return [*chain, GumbelNoise(seeds, self._device)]

    def _made(self, prompt: _Prompt, row: list[int], stops: Stops) -> Answer:
        row = [token for token in row if token >= 0]  # beam search without EOS pads with -1
        end = next((i for i, token in enumerate(row, 1) if token in self._eos), None)
        kept = row[:end]
        found = stops.first_end(kept) if prompt.decoding.stops else None
        kept = kept[:found]
        text = self._tokenizer.decode(kept, skip_special_tokens=True)
        answer = cut(text, prompt.decoding.stops)
        stopped = end is not None or found is not None or answer != text
        return Answer(
            request_id=prompt.request.request_id,
            answer=answer,
            finish_reason="stop" if stopped else "length",
            prompt_digest=prompt_digest(prompt.text),
            prompt_tokens=len(prompt.ids),
            output_tokens=len(kept),
        )

    def _padded(
        self, rows: Sequence[tuple[int, ...]], *, left: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), self._pad)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for index, row in enumerate(rows):
            place = slice(width - len(row), None) if left else slice(len(row))
            ids[index, place] = torch.tensor(row)
            mask[index, place] = 1
        return ids.to(self._device), mask.to(self._device)

    def _check_ids(self, ids: tuple[int, ...]) -> None:
        if max(ids) >= self._rows:
            token = self._tokenizer.convert_ids_to_tokens(max(ids))
            raise UserError(
                f"a prompt has the token {token!r}, number {max(ids)}, but the model's embedding "
                f"has {self._rows} rows: use the tokenizer that the model was trained with"
            )

    def _in_memory(
        self, batch: list[T], ask: Callable[[list[T]], list[Answer]]
    ) -> Iterator[Answer]:
        """Ask; where memory runs out, ask halves."""
        parts = [batch]
        while parts:
            part = parts.pop()
            answers = _unless_out_of_memory(ask, part)
            if answers is not None:
                yield from answers
                continue
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            if len(part) == 1:
                raise RuntimeFault(
                    f"out of memory on {self._device} with a single prompt: lower --model-args "
                    f"max_length={self._max_length} or batch_tokens={self._budget}, or free memory"
                )
            half = len(part) // 2
            parts += [part[half:], part[:half]]


def _width(row: list[_Scored]) -> int:
    return len(row[0].pair.ids) - 1


def _tokens_of(prompt: _Prompt, made: int, beams: int) -> int:
    return (len(prompt.ids) + made) * beams


def _too_long(request: Request, text: str, tokens: int, spans_join: bool | None) -> Answer:
    return Answer(
        request_id=request.request_id,
        answer="",
        finish_reason="too_long",
        prompt_digest=prompt_digest(text),
        prompt_tokens=tokens,
        output_tokens=0,
        spans_join=spans_join,
    )


def _unless_out_of_memory(ask: Callable[[list[T]], list[Answer]], part: list[T]) -> Any:
    """Return the answers, or null if memory ran out; on return nothing holds the batch's memory."""
    try:
        return ask(part)
    except (MemoryError, RuntimeError) as error:
        if out_of_memory(error):
            return None
        raise
