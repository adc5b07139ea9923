"""The engine without a model: repeatable, one request at a time, and counted."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayling_eval import backends
from bayling_eval.backends.base import BackendSpec, Request, prompt_digest
from bayling_eval.errors import UserError


def echo(**model_args):
    return backends.load(BackendSpec("echo", "any", model_args=model_args))


def generate(context, number=1, **more):
    return Request(f"{number:032x}", "generate_until", context, gen_kwargs={}, **more)


def score(continuation, number=1):
    return Request(f"{number:032x}", "loglikelihood", "context", continuation=continuation)


def answers(*requests, **model_args):
    return list(echo(**model_args).answer(iter(requests)))


# Answers


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Provide the German translation for this sentence: a cat sat", "a cat sat"),
        ("English: one\nGerman: eins\nEnglish: two  words", "two words"),
        ("no instruction", "no instruction"),
        ("ends with a line feed: x\n", ""),
        ("", ""),
    ],
)
def test_the_prompts_own_words_come_back(prompt, answer):
    (found,) = answers(generate(prompt))
    assert (found.answer, found.finish_reason) == (answer, "stop")
    assert (found.prompt_tokens, found.output_tokens) == (len(prompt.split()), len(answer.split()))
    assert (found.prompt_digest, found.spans_join) == (prompt_digest(prompt), None)


@given(st.text())
def test_any_prompt_has_the_same_short_answer_each_time(prompt):
    first, again = answers(generate(prompt), generate(prompt))
    assert first == again
    assert first.answer.split() == prompt.rpartition("\n")[2].rpartition(": ")[2].split()[:21]


def test_messages_are_read_as_their_texts():
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "say: yes"}]
    asked = json.dumps({"messages": messages, "add_generation_prompt": True})
    (found,) = answers(generate(asked, chat=True))
    assert found.answer == "yes"
    assert found.prompt_digest == prompt_digest("be kind\nsay: yes")


def test_a_log_likelihood_depends_on_the_request_and_the_length():
    found = [answers(score(text, n))[0] for text, n in ((" yes", 1), (" yes", 1), (" yes", 2**127))]
    assert found[0] == found[1]
    (nats, greedy), (other, _) = (json.loads(one.answer) for one in found[1:])
    # 4 bytes; the share of the id's first 8 digits is 0 and, 0x80000000 of 0xffffffff, a half.
    assert (nats, greedy) == (-0.8, False)
    assert other == pytest.approx(-2.8)
    assert found[0].finish_reason is None
    assert found[0].spans_join is False
    assert found[0].prompt_digest == prompt_digest("context yes")


# What it notes, and when


def test_the_trace_notes_each_request_once_it_is_asked(tmp_path):
    trace = tmp_path / "trace"
    answering = echo(trace=str(trace)).answer(generate("x", number) for number in range(3))
    for asked in (1, 2, 3):
        next(answering)
        assert trace.read_text().split() == [f"{number:032x}" for number in range(asked)]
    assert list(answering) == []


def test_traces_of_two_engines_add_up(tmp_path):
    for number in (1, 2):
        answers(generate("x", number), trace=str(tmp_path / "trace"))
    assert len((tmp_path / "trace").read_text().split()) == 2


def test_a_request_is_answered_before_the_next_is_taken():
    taken = []

    def requests():
        for number in range(3):
            taken.append(number)
            yield generate("x", number)

    answering = echo().answer(requests())
    next(answering)
    assert taken == [0]


def test_the_delay_is_waited_for_each_request():
    start = time.monotonic()
    answers(generate("x", 1), generate("x", 2), delay=0.05)
    assert time.monotonic() - start >= 0.1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"dealy": 1}, "unknown model argument of echo 'dealy'. Did you mean 'delay'"),
        ({"delay": "long"}, "delay is 'long': it has to be seconds"),
        ({"delay": -1}, "delay is -1: it has to be seconds"),
        ({"delay": float("nan")}, "delay is nan: it has to be seconds"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, said):
    with pytest.raises(UserError, match=said):
        echo(**arguments)
