"""How texts become tokens: lm-eval 0.4.13's ``HFLM`` once more, with no engine in it.

Sources: ``lm_eval/models/huggingface.py`` (tok_encode, tok_batch_encode, prefix_token_id,
apply_chat_template), ``lm_eval/api/model.py`` (_encode_pair, loglikelihood) and
``lm_eval/models/utils.py`` (has_bos_prefix, resolve_max_length).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from jinja2 import TemplateError

from bayling_eval.backends.base import Request
from bayling_eval.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Pair:
    """A context and its continuation, encoded together."""

    ids: tuple[int, ...]
    """Tokens of both."""
    start: int
    """Position of the first token that is scored, at least 1."""
    spans_join: bool
    """Whether that token has text of the context too."""


@dataclass(frozen=True)
class Texts:
    """A tokenizer, and how it is asked."""

    tokenizer: Any
    """Of transformers."""
    add_bos_token: bool | None = None
    """Whether BOS is set before every text; null: as the tokenizer does by itself."""
    prefix_token_id: int | None = None
    """What stands for an empty context; null: BOS, else EOS."""

    @property
    def prefix(self) -> int:
        """The token that stands for an empty context.

        Raises:
            UserError: the tokenizer has none.
        """
        for token in (
            self.prefix_token_id,
            self.tokenizer.bos_token_id,
            self.tokenizer.eos_token_id,
        ):
            if token is not None:
                return int(token)
        raise UserError(
            "the tokenizer has neither BOS nor EOS to stand for an empty context: "
            "name a token with --model-args prefix_token_id=ID"
        )

    def prompt(self, request: Request) -> str:
        """Return the text of a request's context, the chat template applied.

        Raises:
            UserError: the tokenizer has no chat template, or the template refuses the messages.
        """
        if not request.chat:
            return request.context
        if not self.tokenizer.chat_template:
            raise UserError(
                "the tokenizer has no chat template: run with --apply-chat-template off"
            )
        chat = json.loads(request.context)
        messages, new_turn = chat["messages"], chat["add_generation_prompt"]
        without_system = [message for message in messages if message["role"] != "system"]
        try:
            try:
                return self._chat(messages, new_turn)
            except TemplateError:  # such as Gemma's "System role not supported"
                return self._chat(without_system, new_turn)
        except (TemplateError, ValueError) as error:
            raise UserError(f"the chat template refuses {request.request_id}: {error}") from error

    def _chat(self, messages: list[dict[str, str]], new_turn: bool) -> str:
        text: str = self.tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=new_turn,
            continue_final_message=not new_turn,
        )
        return text

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a prompt that is to be continued; BOS is never doubled."""
        bos = getattr(self.tokenizer, "bos_token", None)
        return self._encode(text, has_bos=bos is not None and text.startswith(bos)) or (
            self.prefix,
        )

    def encode_pair(self, context: str, continuation: str) -> Pair:
        """Encode a context and a continuation, and say where scoring starts.

        Other than in lm-eval, a token that spans the join is scored, not dropped, and nothing
        is left to score only where there is no text at all.

        Raises:
            UserError: both are empty.
        """
        if context:
            # Trailing space belongs to the first word of the continuation: "▁word" is one token.
            kept = context.rstrip()
            context, continuation = kept, context[len(kept) :] + continuation
            # HFLM looks for the prefix token here, and for BOS where it generates.
            bos = self.tokenizer.decode(self.prefix)
            text = context + continuation
            alone = self._encode(context, has_bos=context.startswith(bos))
            whole = self._encode(text, has_bos=text.startswith(bos))
        else:
            alone, whole = (), self._encode(continuation, has_bos=True)
        if not whole:
            raise UserError("a log-likelihood is asked of no text at all: check the task's choices")
        return self._split(alone, whole)

    def _split(self, alone: tuple[int, ...], whole: tuple[int, ...]) -> Pair:
        start = next(
            (i for i, (a, b) in enumerate(zip(alone, whole, strict=False)) if a != b),
            min(len(alone), len(whole) - 1),
        )
        spans_join = start < len(alone)
        if start == 0 and whole[0] == self.prefix and len(whole) > 1:
            start = 1
        if start == 0:  # nothing to go by
            whole, start = (self.prefix, *whole), 1
        return Pair(whole, start, spans_join)

    def _encode(self, text: str, *, has_bos: bool) -> tuple[int, ...]:
        special = False if has_bos else self.add_bos_token
        options = {} if special is None else {"add_special_tokens": special}
        return tuple(self.tokenizer.encode(text, **options))


def context_length(config: Any, tokenizer: Any) -> int:
    """Return how many tokens a model can take; the text model's where the config has several."""
    text_config = getattr(config, "text_config", None) or config
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        if (length := getattr(text_config, name, None)) is not None:
            return int(length)
    # Tokenizers without a limit say int(1e30), which is no length.
    length = getattr(tokenizer, "model_max_length", None)
    return int(length) if length is not None and length < 1e9 else 2048


def batches(rows: Sequence[T], size: Callable[[T], int], budget: int) -> Iterator[list[T]]:
    """Cut rows, the longest first, so that a padded batch has at most ``budget`` tokens.

    A row that alone is longer makes a batch of its own.
    """
    batch: list[T] = []
    for row in sorted(rows, key=size, reverse=True):
        if batch and (len(batch) + 1) * size(batch[0]) > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
