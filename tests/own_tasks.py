"""Task files of a user's own with invented documents: one for each way that lm-eval asks."""

from collections.abc import Mapping
from pathlib import Path

from bayling_eval.tasks import Task

UTILS = """\
import random

import datasets


def rows(first, last):
    return [
        {
            "question": f"Was ist {n} plus {n % 3}?",
            "topic": ("Zahlen", "Summen")[n % 2],
            "hint": "" if n % 2 else f"Denk an {n}.  Ja.",
            "passage": f"Der Vogel {n} sitzt auf dem Dach und singt",
            "sentence": f"Der Topf passt nicht auf {n}, weil _ zu groß ist.",
            "options": [f"Topf {n}", "der Herd"],
            "choices": ["null", "eins und", "zwei Äpfel"],
            "label": n % 3,
            "answer": f"#### {n % 3}",
            "many": [f"#### {n % 2}", "no idea"],
        }
        for n in range(first, last)
    ]


def dataset(**metadata):
    splits = {"train": rows(20, 27), "test": rows(0, 8)}
    return {split: datasets.Dataset.from_list(docs) for split, docs in splits.items()}


def kept(docs):
    return docs.filter(lambda doc: doc["label"]).map(lambda doc: {"question": doc["topic"]})


SHUFFLED = []


def shuffled(docs):
    # Once a split, as datasets keeps what it has mapped: lm-eval asks for a split several times.
    for before, after in SHUFFLED:
        if before is docs:
            return after
    after = docs.map(lambda doc: {"choices": random.sample(doc["choices"], 3)})
    SHUFFLED.append((docs, after))
    return after


def drawn(doc):
    return f"{random.random()} {doc['question']}"


def sentence_choices(doc):
    before = doc["sentence"].partition("_")[0]
    return [before + option for option in doc["options"]]


def sentence_end(doc):
    return doc["sentence"].partition("_")[2].strip()


def sentence_gold(doc):
    return doc["label"] % 2
"""

_BASE = {
    "output_type": "generate_until",
    "custom_dataset": "!function utils.dataset",
    "training_split": "train",
    "test_split": "test",
    "doc_to_text": r'"Frage: {{question}}\nAntwort:"',
    "doc_to_target": '"{{answer}}"',
    "generation_kwargs": r'{until: ["\n", "Frage:"], max_gen_toks: 20, do_sample: false}',
    "metadata": "{version: 1.0, family: mine, lang: deu_Latn}",
}
_CHOICE = {
    "output_type": "multiple_choice",
    "generation_kwargs": None,
    "doc_to_text": '"{{question}}"',
    "doc_to_choice": "choices",
    "doc_to_target": "label",
    "metric_list": "[{metric: acc}, {metric: acc_norm}, {metric: acc_bytes}, "
    "{metric: brier_score}]",
}
_NUMBER = r'{function: regex, regex_pattern: "(\\d)"}'
TASKS: Mapping[str, Mapping[str, str | None]] = {
    "generate": {},
    "defaults": {"generation_kwargs": None, "fewshot_delimiter": r'"\n---\n"'},
    "described": {
        "description": '"Thema {{topic}}.{% if hint %} {{hint}}{% endif %}"',
        "doc_to_text": "\"{% if hint %}{{hint | regex_replace(' +', ' ')}} {% endif %}"
        "{{'%s / {}'.format(topic) % label}}: {{question | upper}}\\n\"",
        "target_delimiter": '""',
    },
    "prefixed": {"gen_prefix": '"Die Zahl {{topic}}:"'},
    "prefixed_choices": {**_CHOICE, "gen_prefix": '"Also"'},
    "first_n": {
        "fewshot_config": '{sampler: first_n, split: train, doc_to_text: "F {{topic}}"}',
    },
    "inline_shots": {
        "fewshot_config": '{samples: [{question: "Eins?", answer: "1"}, '
        '{question: "Zwei?", answer: "2"}, {question: "Drei?", answer: "3"}]}',
    },
    "repeated": {
        "repeats": "5",
        "filter_list": f"[{{name: first, filter: [{_NUMBER}, {{function: take_first}}]}}, "
        f"{{name: vote, filter: [{_NUMBER}, {{function: majority_vote}}, "
        "{function: take_first}]}, "
        f"{{name: three, filter: [{_NUMBER}, {{function: take_first_k, k: 3}}, "
        "{function: majority_vote}, {function: take_first}]}]",
        "doc_to_target": '"{{label}}"',
    },
    "several_targets": {"doc_to_target": "many"},
    "processed": {"process_docs": "!function utils.kept", "training_split": None},
    "same_split": {"training_split": None, "fewshot_split": "test"},
    "no_pool": {"training_split": None},
    "validation": {"test_split": None, "validation_split": "test"},
    "choices": {**_CHOICE, "target_delimiter": r'"\n"'},
    "choices_template": {
        **_CHOICE,
        "doc_to_choice": '"{{[topic, choices[0], choices[2]]}}"',
        "doc_to_target": '"{{label}}"',
    },
    "choices_fixed": {**_CHOICE, "doc_to_choice": "[ja, nein, vielleicht]"},
    "choices_by_name": {**_CHOICE, "doc_to_target": '"{{choices[label]}}"'},
    "choices_generated": {"doc_to_choice": "[no idea, eins, zwei]", "doc_to_target": "label"},
    "multiple_input": {
        **_CHOICE,
        "doc_to_text": "!function utils.sentence_gold",
        "doc_to_choice": "!function utils.sentence_choices",
        "doc_to_target": "!function utils.sentence_end",
        "metric_list": "[{metric: acc}]",
    },
    "mutual": {**_CHOICE, "metric_list": "[{metric: acc}, {metric: acc_mutual_info}]"},
    "shuffled": {**_CHOICE, "process_docs": "!function utils.shuffled"},
    "drawn": {"doc_to_text": "!function utils.drawn"},
    "loglikelihood": {
        "output_type": "loglikelihood",
        "generation_kwargs": None,
        "doc_to_text": "\"{{passage.split(' ')[:-1] | join(' ')}}\"",
        "doc_to_target": "\" {{passage.split(' ')[-1]}}\"",
        "target_delimiter": '""',
    },
}
"""What each task's YAML says otherwise than the plainest one; none leaves a line out."""


def write_task(folder: Path, name: str, utils: str = UTILS, **changes: str | None) -> Task:
    """Write a task of ``TASKS``, with further changes, and return it."""
    lines = {**_BASE, **TASKS.get(name, {}), **changes}
    text = "".join(f"{key}: {value}\n" for key, value in lines.items() if value is not None)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(f"task: mine_{name}\n{text}", encoding="utf-8")
    if not (folder / "utils.py").exists():
        (folder / "utils.py").write_text(utils, encoding="utf-8")
    return Task(
        name=f"mine_{name}",
        family="mine",
        src_lang=None,
        tgt_lang=None,
        lang="deu_Latn",
        output_type=str(lines["output_type"]),
        version="1.0",
        chance=None,
        path=path,
    )
