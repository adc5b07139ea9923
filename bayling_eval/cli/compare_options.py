"""What ``compare``, ``report`` and ``gate`` ask alike: metrics, references, method, averages."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bayling_eval import plan
from bayling_eval.cli import common
from bayling_eval.errors import UserError
from bayling_eval.method import RESAMPLES, TRIALS, Method

if TYPE_CHECKING:
    # Comparing loads numpy, which most verbs do without.
    from bayling_eval.compare import Comparisons
    from bayling_eval.gate.rules import Rules
    from bayling_eval.store import System

C = TypeVar("C", bound=Callable[..., Any])


@dataclass(frozen=True)
class Asked:
    """How the user wants systems to be compared."""

    names: tuple[str, ...]
    """Metrics as written; by default what was scored."""
    references: tuple[str, ...]
    method: Method
    by: tuple[str, ...]
    """Groupings of the averages."""
    weights: str | None
    """``speakers`` or a file."""
    also: tuple[str, ...] = ()
    """Metrics beside these that something else asks for: rules."""

    @property
    def words(self) -> list[str]:
        """Return what says the same on a command line."""
        method = self.method
        found = [word for name in self.names for word in ("--metric", name)]
        found += [word for text in self.references for word in ("--references", text)]
        found += ["--trials", str(method.trials)] if method.trials else []
        found += ["--resamples", str(method.resamples)]
        for name, effect in method.min_effect.items():
            found += ["--min-effect", f"{name}={effect:g}"]
        found += ["--unclustered"] if method.cluster == "none" else []
        found += ["--strict"] if method.strict else []
        found += [word for name in self.by for word in ("--by", name)]
        return found + (["--weights", self.weights] if self.weights else [])


def compare_options(command: C) -> C:
    """Add the options, and hand them on together as ``asked``."""

    @functools.wraps(command)
    def gathered(
        *, names: Any, references: Any, by: Any = (), weights: Any = None, **given: Any
    ) -> Any:
        method = _method(given)
        return command(asked=Asked(names, references, method, by, weights), **given)

    found: Any = gathered
    for option in reversed(_OPTIONS):
        found = option(found)
    return found  # type: ignore[no-any-return]


def average_options(command: C) -> C:
    """Add what averages are asked for, under ``compare_options``."""
    for option in reversed(_AVERAGES):
        command = option(command)
    return command


def compare_each(
    candidate: "System", baselines: "Sequence[System]", asked: Asked, *, quiet: bool
) -> "list[Comparisons]":
    """Compare a candidate with each baseline, with progress."""
    from bayling_eval.compare import averaged, compare, joined
    from bayling_eval.macro import Grouping, Weights, check_grouping

    check_grouping(asked.by)
    weights = Weights.of(asked.weights) if asked.weights else None
    grouping = Grouping(asked.by or Grouping().by, weights)
    found = []
    for baseline in baselines:
        show = common.progress(quiet, f"{candidate.name} / {baseline.name}")
        how: dict[str, Any] = {
            "references": asked.references,
            "method": asked.method,
            "progress": show,
        }
        pair = compare(candidate, baseline, names=asked.names, **how)
        had = {row.metric for row in pair.rows}
        if lacking := [m for m in asked.also if m not in had and m not in asked.names]:
            _check_alike(lacking, had)
            pair = joined(pair, compare(candidate, baseline, names=lacking, **how))
        found.append(pair)
    common.end_progress(quiet)
    return averaged(found, grouping)


def _check_alike(names: Sequence[str], had: set[str]) -> None:
    """Refuse one metric written in two ways: rows are told apart by its name."""
    from bayling_eval.metrics import MetricSpec

    for written in names:
        if (name := MetricSpec.parse(written).name) in had:
            raise UserError(
                f"the rules judge by {written} and the rest is {name}: add --metric {written}"
            )


def under(rules: "Rules", asked: Asked) -> Asked:
    """Put what the command line says of the method over what the rules say.

    Raises:
        UserError: a metric of the rules is code, and nobody agreed to it.
    """
    code = [name for name in rules.metrics if ".py:" in name and name not in asked.names]
    if code:
        raise UserError(
            f"{rules.path}: metric {code[0]} is code of your own that would run: "
            f"add --metric {code[0]} if you trust it"
        )
    own, said = rules.compare or Method(), asked.method
    update: dict[str, Any] = {name: getattr(said, name) for name in said.model_fields_set}
    update["min_effect"] = {**own.min_effect, **said.min_effect}
    return replace(asked, method=own.model_copy(update=update))


def _method(given: dict[str, Any]) -> Method:
    """Take out what is said of the method, and put it over what the suite says."""
    suite, effects = given.pop("suite"), dict(map(_effect, given.pop("effects")))
    own = (plan.load(suite).compare if suite else None) or Method()
    said = {name: given.pop(name) for name in ("trials", "resamples")}
    said["cluster"] = "none" if given.pop("unclustered") else None
    said["strict"] = given.pop("strict") or None
    said["min_effect"] = {**own.min_effect, **effects}
    return own.model_copy(update={k: value for k, value in said.items() if value is not None})


def _effect(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        effect = float(number)
    except ValueError:
        effect = -1.0
    if not name or not 0 <= effect < float("inf"):
        raise UserError(f"--min-effect {text!r} is not METRIC=SIZE: write for example chrf++=1")
    return name, effect


_OPTIONS = (
    click.option(
        "--metric",
        "names",
        multiple=True,
        metavar="M",
        callback=common.say_code,
        help="Metric to compare, bleu:tokenize=char; may be repeated. Default: chrf++, chrf, "
        "bleu and accuracies, as far as they were scored.",
    ),
    common.references_option,
    click.option(
        "--suite",
        metavar="SUITE",
        help="Compare as [compare] of this suite says; options go first.",
    ),
    click.option(
        "--trials",
        type=click.IntRange(1),
        help=f"Randomisation trials a test. Default: {TRIALS}.",
    ),
    click.option(
        "--resamples",
        type=click.IntRange(100),
        help=f"Bootstrap resamples an interval. Default: {RESAMPLES}.",
    ),
    click.option(
        "--min-effect",
        "effects",
        multiple=True,
        metavar="METRIC=SIZE",
        help="Difference under which a real one is no verdict, chrf++=1; may be repeated.",
    ),
    click.option(
        "--unclustered",
        is_flag=True,
        help="Draw and swap segments one by one, also where their documents are known.",
    ),
    click.option(
        "--strict", is_flag=True, help="Do not compare where settings differ or are unknown."
    ),
)
_AVERAGES = (
    click.option(
        "--by",
        multiple=True,
        metavar="GROUPING",
        help="Average over suite, side, language-family, script, speakers or xlmr; may be "
        "repeated. Default: suite and side.",
    ),
    click.option(
        "--weights",
        metavar="speakers|FILE",
        help="Weighted averages too: by speakers, or by a CSV file language,weight.",
    ),
)
