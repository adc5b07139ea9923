"""Requests and their identities, outcomes, and what people are shown."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from adapter_lab import broken, builder
from conftest import CHECKOUT
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.api.task import ConfigurableTask
from own_tasks import TASKS, write_task

from bayling_eval.adapter import Built, Outcome, Prompting
from bayling_eval.backends.base import Request
from bayling_eval.records import Settings


@pytest.fixture
def build(tmp_path):
    return builder(tmp_path)


def requests(built: Built, chosen=None) -> list[Request]:
    return [request for asked in built.ask(chosen) for request in asked.requests]


def ids(built: Built) -> list[str]:
    return [request.request_id for request in requests(built)]


def contexts(built: Built) -> list[str]:
    return [request.context for request in requests(built)]


# Identities

IN_ANOTHER_PROCESS = """\
import json, sys
from pathlib import Path
from bayling_eval.adapter import Built, Prompting
assert "lm_eval" not in sys.modules
sys.path.insert(0, sys.argv[1])
from own_tasks import TASKS, write_task
found = {}
for name in reversed(TASKS):
    built = Built(write_task(Path(sys.argv[2]), name), Prompting(num_fewshot=3), None)
    found[name] = [r.request_id for asked in built.ask() for r in asked.requests]
print(json.dumps(found))
"""


def test_a_request_has_the_same_identity_in_another_process_and_folder(build, tmp_path):
    folders = [str(CHECKOUT / "tests"), str(tmp_path / "elsewhere")]
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, *folders]
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    there = json.loads(done.stdout.splitlines()[-1])
    for name in TASKS:
        here = ids(build(name))
        assert here == there[name], name
        assert len(set(here)) == len(here), name


def test_equal_prompts_of_two_documents_are_two_requests(build):
    built = build(prompting=Prompting(), doc_to_text='"Und?"')
    assert set(contexts(built)) == {"Und?"}
    assert len(set(ids(built))) == 8


def test_equal_choices_and_repeats_are_requests_of_their_own(build):
    choices = list(build("choices_fixed", doc_to_choice="[ja, nein, ja]").ask())
    repeated = list(build("repeated").ask())
    for asked, n in ((choices[0], 3), (repeated[0], 5)):
        assert len(asked.requests) == n
        assert len({request.request_id for request in asked.requests}) == n
    assert len({request.context for request in repeated[0].requests}) == 1
    assert [request.continuation for request in choices[0].requests] == [" ja", " nein", " ja"]


@pytest.mark.parametrize(
    "other",
    [
        Prompting(num_fewshot=2),
        Prompting(num_fewshot=3, seed=5),
        Prompting(num_fewshot=3, system_instruction="Kurz."),
        Prompting(num_fewshot=3, chat=True),
        Prompting(num_fewshot=3, chat=True, fewshot_as_multiturn=True),
        Prompting(num_fewshot=3, gen_kwargs={"max_gen_toks": 21}),
    ],
)
def test_what_changes_a_request_changes_its_identity(build, other):
    pairs = list(zip(requests(build()), requests(build(prompting=other)), strict=True))
    same = [a.request_id == b.request_id for a, b in pairs]
    # Another seed may draw the same examples for a document.
    assert same == [replace(a, request_id=b.request_id) == b for a, b in pairs]
    assert sum(same) < 2


def test_a_task_of_another_name_has_requests_of_its_own(build):
    one, other = build("generate"), build("another")
    assert contexts(one) == contexts(other)
    assert set(ids(one)).isdisjoint(ids(other))


def test_decoding_is_no_part_of_a_choice(build):
    other = Prompting(num_fewshot=3, gen_kwargs={"max_gen_toks": 21})
    assert ids(build("choices")) == ids(build("choices", other))


def test_only_prompts_with_messages_are_for_the_chat_template(build):
    found = requests(build("mutual", Prompting(chat=True)))
    assert {(request.chat, bool(request.context)) for request in found} == {
        (True, True),
        (False, False),
    }
    assert not any(request.chat for request in requests(build("mutual")))


# Selections


@pytest.mark.parametrize("name", ["generate", "same_split", "choices", "prefixed"])
def test_a_selection_is_asked_as_within_the_whole(build, name):
    built = build(name)
    whole = {asked.doc_id: asked.requests for asked in built.ask()}
    alone = build(name, Prompting()).ask()
    shots = {whole[one.doc_id][0].context.removesuffix(one.requests[0].context) for one in alone}
    assert len(shots) > 1

    @settings(max_examples=25, deadline=None)
    @given(st.sets(st.integers(0, 7)))
    def check(chosen):
        found = {asked.doc_id: asked.requests for asked in built.ask(chosen)}
        assert found == {doc_id: whole[doc_id] for doc_id in sorted(chosen)}
        assert list(found) == sorted(chosen)

    check()


@pytest.mark.parametrize(("shots", "rendered"), [(0, 2), (1, 8)])
def test_without_shots_the_chosen_documents_alone_are_rendered(build, monkeypatch, shots, rendered):
    built, stock, calls = build(prompting=Prompting(shots)), ConfigurableTask.fewshot_context, []

    def count(self, doc, **options):
        calls.append(doc)
        return stock(self, doc, **options)

    monkeypatch.setattr(ConfigurableTask, "fewshot_context", count)
    assert [asked.doc_id for asked in built.ask({6, 1})] == [1, 6]
    assert len(calls) == rendered


@pytest.mark.parametrize("name", ["generate", "drawn", "shuffled"])
def test_asking_twice_asks_the_same(build, name):
    built = build(name)
    assert requests(built) == requests(built) == requests(build(name))


# Outcomes


def test_the_likeliest_choice_is_the_output_and_the_first_of_equals(build):
    built = build("choices")
    asked = list(built.ask([0, 2, 3]))
    said = [["[-1.0, false]", "[-1.0, true]", "[-9.0, false]"], ["[-3, true]"] * 3]
    said.append(["[-Infinity, false]", "[-Infinity, false]", "[-2.0, false]"])
    found = list(built.outcomes(asked, said))
    assert [outcome.output for outcome in found] == ["null", "null", "zwei Äpfel"]
    assert [outcome.values["acc", "none"] for outcome in found] == [1.0, 0.0, 0.0]


def test_the_first_filter_gives_the_output_and_every_filter_its_values(build):
    built = build("repeated")
    (asked,) = built.ask([1])
    (outcome,) = built.outcomes([asked], [["Nr. 2", "1", "1", "2 2", "1"]])
    assert outcome == Outcome(
        "2",
        {
            ("exact_match", "first"): 0.0,
            ("exact_match", "vote"): 1.0,
            ("exact_match", "three"): 1.0,
        },
    )


def test_answers_may_be_given_again(build):
    built = build("repeated")
    asked = list(built.ask())
    said = [[str(n % 3) for n in range(k, k + 5)] for k in range(8)]
    first = list(built.outcomes(asked, said))
    assert list(built.outcomes(asked, [["9"] * 5] * 8)) != first
    assert list(built.outcomes(asked, said)) == first


def test_a_selection_is_scored_as_within_the_whole(build):
    built = build("repeated")
    asked = list(built.ask())
    said = [[str(n % 3) for n in range(k, k + 5)] for k in range(8)]
    whole = list(built.outcomes(asked, said))
    assert list(built.outcomes(asked[2:5], said[2:5])) == whole[2:5]


def test_of_no_document_nothing_is_scored(build):
    """Where every prompt of a task exceeds the context, nothing is left to score."""
    assert list(build().outcomes([], [])) == []


def test_an_output_of_several_texts_is_one_line_and_of_a_likelihood_none(build, tmp_path):
    changes = {
        "filter_list": "[{name: two, filter: [{function: take_first_k, k: 2}]}]",
        "process_results": "!function utils.count",
    }
    utils = broken(count="return {'n': len(_[1][0])}")
    several = Built(write_task(tmp_path / "own", "repeated", utils, **changes), Prompting(), None)
    (asked,) = several.ask([0])
    said = ["eins", "zwei", "3", "4", "5"]
    assert list(several.outcomes([asked], [said])) == [Outcome("eins, zwei", {("n", "two"): 2})]
    likely = build("loglikelihood")
    (asked,) = likely.ask([0])
    values = {("acc", "none"): 1, ("perplexity", "none"): -2.5}
    gold = (-2.5, len(b" singt"))
    assert list(likely.outcomes([asked], [["[-2.5, true]"]])) == [Outcome("", values, gold)]
    assert asked.instances[0].resps == [(-2.5, True)]


# What people are shown

CHOICES = "\n- null\n- eins und\n- zwei Äpfel"


@pytest.mark.parametrize(
    ("name", "changes", "question", "target"),
    [
        ("generate", {}, "Frage: Was ist 1 plus 1?\nAntwort:", "#### 1"),
        ("several_targets", {}, "Frage: Was ist 1 plus 1?\nAntwort:", "#### 1, no idea"),
        ("choices", {}, f"Was ist 1 plus 1?{CHOICES}", "eins und"),
        ("choices_by_name", {}, f"Was ist 1 plus 1?{CHOICES}", "eins und"),
        ("choices", {"doc_to_target": "[0, 2]"}, f"Was ist 1 plus 1?{CHOICES}", "null, zwei Äpfel"),
        ("choices", {"doc_to_target": '"{{6 * label}}"'}, f"Was ist 1 plus 1?{CHOICES}", "6"),
        ("choices", {"doc_to_target": "-1"}, f"Was ist 1 plus 1?{CHOICES}", "-1"),
        (
            "multiple_input",
            {},
            "zu groß ist.\n- Der Topf passt nicht auf 1, weil Topf 1"
            "\n- Der Topf passt nicht auf 1, weil der Herd",
            "Der Topf passt nicht auf 1, weil der Herd",
        ),
    ],
)
def test_a_question_is_shown_with_its_choices_and_its_answer_as_text(
    build, name, changes, question, target
):
    built = build(name, Prompting(), **changes)
    (asked,) = built.ask([1])
    assert built.shown(asked) == (question, target)


# Settings


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, Prompting()),
        ({"chat_template": "off", "seed": 0}, Prompting(seed=0)),
        ({"chat_template": "0123456789abcdef"}, Prompting(chat=True)),
        (
            {
                "num_fewshot": 5,
                "system_instruction": "S",
                "fewshot_as_multiturn": True,
                "gen_kwargs": {"temperature": 0.5},
                "seed": 9,
            },
            Prompting(5, False, "S", True, {"temperature": 0.5}, 9),
        ),
    ],
)
def test_prompts_are_made_as_stored_settings_say(stored, expected):
    assert Prompting.of(Settings(**stored)) == expected
