"""What the adapter relies on in lm-eval where it asks and scores.

If one of these fails after an upgrade, the adapter is to be read again beside lm-eval's source.
"""

import ast
import dataclasses
import inspect
from types import SimpleNamespace

import pytest
from adapter_lab import loader, parameters
from lm_eval.api import task as lm_eval_task
from lm_eval.api.filter import Filter, FilterEnsemble
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from own_tasks import write_task
from stock_lm_eval import model

from bayling_eval.adapter import OUTPUT_TYPES, Built, Prompting


@pytest.fixture
def load(tmp_path):
    return loader(tmp_path)


# Asking


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("name", ["generate", "prefixed", "repeated", "choices", "multiple_input"])
def test_the_adapter_calls_what_build_all_requests_calls(name, chat, load, tmp_path, monkeypatch):
    calls = []

    def spy(method: str):
        stock = getattr(ConfigurableTask, method)

        def call(self, *args, **given):
            said = {**given, "chat_template": given["chat_template"] is not None}
            calls.append((method, args, said | {"metadata": tuple(given.get("metadata", ()))}))
            return stock(self, *args, **given)

        monkeypatch.setattr(ConfigurableTask, method, call)

    load_first = load(name)
    built = Built(
        write_task(tmp_path, name),
        Prompting(2, chat=chat, system_instruction="S", fewshot_as_multiturn=chat),
        None,
    )
    for method in ("fewshot_context", "construct_requests"):
        spy(method)
    load_first.set_config("num_fewshot", 2)
    load_first.set_fewshot_seed(1234)
    load_first.build_all_requests(
        system_instruction="S",
        apply_chat_template=chat,
        fewshot_as_multiturn=chat,
        chat_template=model().apply_chat_template if chat else None,
    )
    stock = list(calls)
    calls.clear()
    assert len(list(built.ask())) == 8
    assert len(calls) == 16
    assert calls == stock


def test_the_methods_that_make_prompts_have_no_other_parameters():
    assert parameters(ConfigurableTask.fewshot_context) == [
        *("self", "doc", "num_fewshot", "system_instruction", "apply_chat_template"),
        *("fewshot_as_multiturn", "chat_template", "gen_prefix"),
    ]
    assert parameters(ConfigurableTask.construct_requests) == ["self", "doc", "ctx", "kwargs"]
    assert parameters(ConfigurableTask.doc_to_prefix) == ["self", "doc"]
    assert parameters(ConfigurableTask.build_all_requests) == [
        *("self", "limit", "samples", "rank", "world_size", "cache_requests"),
        *("rewrite_requests_cache", "system_instruction", "apply_chat_template"),
        *("fewshot_as_multiturn", "chat_template", "tokenizer_name"),
    ]


def test_the_sampler_moves_on_with_each_document_and_a_seed_puts_it_back(load):
    task = load()

    def contexts() -> list[str]:
        task.set_fewshot_seed(5)
        return [task.fewshot_context(doc, num_fewshot=2) for doc in task.eval_docs]

    first = contexts()
    shots = [context.rpartition("Frage: ")[0] for context in first]
    assert len(set(shots)) > 1
    assert contexts() == first
    task.set_fewshot_seed(6)
    assert [task.fewshot_context(doc, num_fewshot=2) for doc in task.eval_docs] != first


def test_documents_are_the_test_split_else_the_validation_split(load):
    assert len(load().eval_docs) == 8
    assert len(load(test_split=None, validation_split="train").eval_docs) == 7
    assert len(load(validation_split="train").eval_docs) == 8


def test_a_chat_template_is_called_with_messages_and_whether_an_answer_begins(load):
    task, calls = load("prefixed"), []

    def template(messages, add_generation_prompt):
        calls.append((messages, add_generation_prompt))
        return "rendered"

    doc = task.eval_docs[0]
    for prefix in (task.doc_to_prefix(doc), None):
        asked = {"num_fewshot": 0, "apply_chat_template": True, "chat_template": template}
        assert task.fewshot_context(doc, gen_prefix=prefix, **asked) == "rendered"
    question = {"role": "user", "content": "Frage: Was ist 0 plus 0?\nAntwort:"}
    begun = {"role": "assistant", "content": "Die Zahl Zahlen:"}
    assert calls == [([question, begun], False), ([question], True)]


def test_requests_are_instances_with_these_fields(load):
    assert [field.name for field in dataclasses.fields(Instance)] == [
        *("request_type", "doc", "arguments", "idx", "metadata", "resps", "filtered_resps"),
        *("task_name", "doc_id", "repeats"),
    ]
    task = load("repeated")
    doc = task.eval_docs[3]
    made = task.construct_requests(doc=doc, ctx="C", metadata=("t", 3, task.config.repeats))
    assert isinstance(made, Instance)
    assert (made.request_type, made.idx, made.repeats, made.doc_id) == ("generate_until", 0, 5, 3)
    assert made.args == ("C", task.config.generation_kwargs)
    assert (made.resps, made.filtered_resps, made.doc) == ([], {}, doc)


def test_choices_are_loglikelihoods_and_mutual_information_asks_each_without_context(load):
    task = load("mutual")
    doc = task.eval_docs[0]
    made = task.construct_requests(doc=doc, ctx="C", metadata=("t", 0, 1))
    choices = [" null", " eins und", " zwei Äpfel"]
    assert [one.args for one in made] == [("C", c) for c in choices] + [("", c) for c in choices]
    assert [one.idx for one in made] == list(range(6))
    assert {one.request_type for one in made} == {"loglikelihood"}


def test_the_decoding_is_all_that_lm_eval_copies_when_it_makes_requests():
    """The adapter replaces ``deepcopy`` in the module by a shallow copy."""
    tree = ast.parse(inspect.getsource(lm_eval_task))
    calls = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("deepcopy")
    ]
    assert calls == ["deepcopy(self.config.generation_kwargs)"]


def test_one_output_type_of_lm_eval_is_left_out():
    assert {*OUTPUT_TYPES, "loglikelihood_rolling"} == set(lm_eval_task.ALL_OUTPUT_TYPES)
    assert len(OUTPUT_TYPES) == 3


# Scoring


def test_a_filter_pipeline_reads_responses_and_documents_and_writes_under_its_name(load):
    seen = []

    class Last(Filter):
        def apply(self, resps, docs):
            seen.append((resps, docs))
            return (answers[-1] for answers in resps)

    assert [field.name for field in dataclasses.fields(FilterEnsemble)] == ["name", "filters"]
    instances = [SimpleNamespace(resps=[n, n + 1], doc={"n": n}, filtered_resps={}) for n in (1, 5)]
    FilterEnsemble("mine", [Last]).apply(instances)
    assert seen == [([[1, 2], [5, 6]], [{"n": 1}, {"n": 5}])]
    assert [one.filtered_resps for one in instances] == [{"mine": 2}, {"mine": 6}]
    pipelines = load("repeated")._filters
    assert [pipeline.name for pipeline in pipelines] == ["first", "vote", "three"]
    assert all(callable(make) and make() for one in pipelines for make in one.filters)
    assert [pipeline.name for pipeline in load()._filters] == ["none"]


def test_what_lm_eval_gives_for_one_document(load):
    generate, choices, words = load(), load("choices"), load("loglikelihood")
    doc = dict(generate.eval_docs[1])
    assert generate.process_results(doc, ["#### 1"]) == {"exact_match": 1.0}
    likely = [(-2.0, False), (-1.0, False), (-3.0, True)]
    assert choices.process_results(doc, likely).keys() == {
        *("acc", "acc_norm", "acc_bytes", "brier_score")
    }
    assert choices.process_results(doc, likely)["acc"] == 1.0
    assert words.process_results(doc, [(-2.5, True)]) == {"perplexity": -2.5, "acc": 1}


def test_what_a_document_says_comes_as_text_number_or_list(load):
    choices, several, sentence = load("choices"), load("several_targets"), load("multiple_input")
    doc = choices.eval_docs[2]
    assert choices.doc_to_text(doc) == "Was ist 2 plus 2?"
    assert choices.doc_to_target(doc) == 2
    assert choices.doc_to_choice(doc) == ["null", "eins und", "zwei Äpfel"]
    assert choices.config.doc_to_choice == "choices"
    assert several.doc_to_target(doc) == ["#### 0", "no idea"]
    assert several.config.doc_to_choice is None
    assert sentence.doc_to_text(doc) == 0
    assert sentence.doc_to_target(doc) == "zu groß ist."
    context = sentence.fewshot_context(doc, num_fewshot=0)
    assert context == [f"Der Topf passt nicht auf 2, weil {x}" for x in ("Topf 2", "der Herd")]
