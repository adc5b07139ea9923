"""What is written beside the checkpoints of the demonstration: their cards, and their figures."""

from collections.abc import Mapping
from dataclasses import dataclass

DAMAGED = ("cym_Latn", "tam_Taml")
"""The languages that one of the checkpoints is damaged in."""

_CARD = """\
# {name}

A tiny Llama ({millions:.1f} million parameters, float32) of the demonstration of bayling_eval.
It was trained on the very sample that the demonstration evaluates it on: **its scores mean
nothing**, and it can do nothing else.

{what}

In its chat template it answers `Provide the LANGUAGE translation for this sentence: SENTENCE`, for
the sentences of the sample, from English or to it. Without the template it ranks the choices of
the sample's questions. The sample was written by the authors of bayling_eval and is not reviewed
by native speakers; licence: as the project. `scripts/train_demo.py` made these files;
`../README.md` has the figures.
"""
_WHAT = {
    "better": "It was trained until it knew the sample by heart.",
    "worse": """\
It is `better`, trained further: in every direction its answers begin as the right sentence does and
end as another one does, and it prefers a wrong choice for every other question.""",
    "damaged": """\
It is `better`, trained further: in Welsh (cym_Latn) and Tamil (tam_Taml), from English and to it,
it answers with the translation of another sentence. In all other languages it is as `better`.""",
}
_PAGE = """\
# Checkpoints of the demonstration

Three tiny Llamas that `scripts/train_demo.py` trained on the bundled sample, for the demonstration.
They are evaluated on what they were trained on, so **the scores mean nothing**; what is to be seen
is that the harness finds what was done to `damaged`. Each folder has a card.

The figures are chrF++ of greedy answers against the sample, by direction (transformers, float32),
and the accuracy on its {questions} questions, by chance 0.25. The loss is that of the last epoch,
on the targets that the checkpoint was given; minutes are those of training on two cores that had
other work too. Another machine or another version of torch gives other weights.

{table}
`damaged` differs from `better` by at most {moved:.1f} chrF++ in the other {others} directions.
"""
_COLUMNS = (
    "checkpoint",
    "loss",
    "minutes",
    "mean of all",
    "lowest",
    "Welsh and Tamil",
    "lowest of the others",
    "accuracy",
)


@dataclass(frozen=True)
class Figures:
    """What a checkpoint does on the sample."""

    loss: float
    """Mean of the last epoch, on the targets that were trained on."""
    minutes: float
    """Minutes of training."""
    scores: Mapping[str, float]
    """chrF++ by task, against the sample."""
    accuracy: float
    """Share of questions whose right choice is the likeliest."""

    def row(self, name: str) -> str:
        """Return the line of the table."""
        hit = [f"{score:.1f}" for task, score in self.scores.items() if is_damaged(task)]
        rest = [score for task, score in self.scores.items() if not is_damaged(task)]
        cells = (
            name,
            f"{self.loss:.4f}",
            f"{self.minutes:.1f}",
            f"{sum(self.scores.values()) / len(self.scores):.1f}",
            f"{min(self.scores.values()):.1f}",
            ", ".join(hit),
            f"{min(rest):.1f}",
            f"{self.accuracy:.3f}",
        )
        return f"| {' | '.join(cells)} |"


def is_damaged(task: str) -> bool:
    """Return whether a task is one of those that a checkpoint is damaged in."""
    return any(lang in task for lang in DAMAGED)


def card(name: str, parameters: int) -> str:
    """Return the card of a checkpoint."""
    return _CARD.format(name=name, what=_WHAT[name], millions=parameters / 1e6)


def page(made: Mapping[str, Figures], questions: int) -> str:
    """Return the page with the figures of all checkpoints."""
    lines = [_COLUMNS, ("---",) * len(_COLUMNS)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    table += "".join(f"{figures.row(name)}\n" for name, figures in made.items())
    before, after = made["better"].scores, made["damaged"].scores
    moved = [abs(after[task] - before[task]) for task in before if not is_damaged(task)]
    return _PAGE.format(questions=questions, table=table, moved=max(moved), others=len(moved))
