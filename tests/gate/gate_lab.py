"""Rules held against systems or rows made for the purpose."""

import datetime

from bayling_eval.compare import Comparisons, averaged, compare
from bayling_eval.gate.judge import judge
from bayling_eval.gate.outcomes import GateOutcome, Judgement
from bayling_eval.gate.rules import Rules, load
from bayling_eval.macro import Grouping
from bayling_eval.method import Method
from bayling_eval.records import Comparison, MacroRow, ModelFile
from bayling_eval.store import System

TODAY = datetime.date(2027, 3, 31)


def rules_of(folder, text: str) -> Rules:
    path = folder / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def gate(rule: str, **keys: object) -> str:
    """Return one table of rules; the gate is called as its rule unless ``id`` says otherwise."""
    shown = {"id": rule, "rule": rule, **keys}
    lines = [f"{key} = {_toml(value)}" for key, value in shown.items()]
    return "\n".join(["[[gates]]", *lines, ""])


def waiver(expires: datetime.date, **keys: str) -> str:
    said = {"reason": "no data | <b>", "by": "@release", **keys}
    lines = [f"{key} = {_toml(value)}" for key, value in said.items()]
    return "\n".join(["[[waivers]]", *lines, f"expires = {expires}", ""])


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def compared(rules: Rules, candidate, baseline) -> Comparisons:
    rules.check_directions()
    method = rules.compare or Method(trials=2_000)
    found = compare(candidate, baseline, names=rules.metrics, method=method)
    return averaged([found], Grouping(rules.groupings))[0]


def judged(folder, text: str, candidate, baseline) -> Judgement:
    rules = rules_of(folder, text)
    return judge(rules, compared(rules, candidate, baseline), today=TODAY)


def over_rows(folder, text: str, rows: list[Comparison], *means: MacroRow) -> Judgement:
    """Judge a comparison of two systems of which nothing is stored, with these rows and means."""
    rules = rules_of(folder, text)
    rules.check_directions()
    new, old = (
        System(ModelFile(name=name, kind="imported", digest="0" * 64, covers={}), folder / name)
        for name in ("new", "old")
    )
    return judge(rules, Comparisons(new, old, rows, list(means), [], ()), today=TODAY)


def only(found: Judgement) -> GateOutcome:
    (one,) = found.gates
    return one


def row(**values: object) -> Comparison:
    """Return a row with a difference that is no change, unless something else is said."""
    about = {
        "task": "flores200_eng_Latn-deu_Latn",
        "family": "flores200",
        "src_lang": "eng_Latn",
        "tgt_lang": "deu_Latn",
        "lang": None,
        "metric": "chrf++",
        "signature": "s",
        "candidate": "new",
        "baseline": "old",
        "candidate_value": 50.0,
        "baseline_value": 50.0,
        "delta": 0.0,
        "ci_low": -0.1,
        "ci_high": 0.1,
        "stderr": 0.05,
        "p_value": 1.0,
        "p_is_bound": False,
        "p_adjusted": 1.0,
        "detectable_effect": 0.2,
        "minimum_effect": 0.5,
        "n": 1012,
        "verdict": "no_change",
        "settings_diff": [],
    }
    return Comparison(**{**about, **values})


def missing(**values: object) -> Comparison:
    """Return a row that a side has not finished."""
    none = dict.fromkeys(
        ("candidate_value", "baseline_value", "delta", "ci_low", "ci_high", "stderr", "p_value",
         "p_is_bound", "p_adjusted", "detectable_effect", "n", "signature"),
    )  # fmt: skip
    return row(**{**none, "verdict": "missing", "reason": "new has no outputs for it", **values})


def to(lang: str, **values: object) -> Comparison:
    """Return the row from English to a language."""
    return row(**{"task": f"flores200_eng_Latn-{lang}", "tgt_lang": lang, **values})


def direction(pair: str, **values: object) -> Comparison:
    """Return the row of a direction."""
    source, target = pair.split("-")
    return to(target, **{"task": f"flores200_{pair}", "src_lang": source, **values})


def mean(**values: object) -> MacroRow:
    """Return the mean of six directions, which did not change."""
    about = {
        "group": "flores200 all",
        "by": "suite",
        "metric": "chrf++",
        "candidate": "new",
        "baseline": "old",
        "delta": 0.0,
        "ci_low": -0.1,
        "ci_high": 0.1,
        "population_ci_low": -0.2,
        "population_ci_high": 0.2,
        "n": 6,
        "n_expected": 6,
        "members": [],
    }
    return MacroRow(**{**about, **values})
