"""Invented comparisons to be drawn, and drawings read back; a plugin of the figures' tests.

PYTEST_DONT_REWRITE: the tests import it too, before pytest loads it as a plugin.
"""

import random
import re
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from bayling_eval import languages
from bayling_eval.aggregate import lines
from bayling_eval.compare import Comparisons, _corrected, _worst_first
from bayling_eval.macro import Difference, Grouping, averages
from bayling_eval.records import Comparison, Score
from bayling_eval.report.figures import svg
from bayling_eval.report.figures.plots import Drawn

MINUS = "\N{MINUS SIGN}"
approx = pytest.approx
GROUPING = Grouping(("suite", "side", "language-family", "script", "speakers"))


@pytest.fixture
def no_pdf(monkeypatch):
    """Leave out the PDFs, which take half of the time and have no marks to read back."""
    monkeypatch.setattr(svg, "_pdf", lambda drawing: b"")


def score(system, about, metric, value):
    return Score(
        system=system,
        model="m",
        settings="s",
        **about,
        selection="all",
        num_fewshot=0,
        metric=metric,
        signature="sig",
        documents_digest="d",
        settings_digest="s",
        value=value,
        higher_is_better=True,
        n=1000,
        status="ok" if value is not None else "missing",
    )


def about(task, src=None, tgt=None, lang=None, family="flores200"):
    return {"task": task, "family": family, "src_lang": src, "tgt_lang": tgt, "lang": lang}


def tasks(directions):
    """Return ``directions`` tasks of the language table, in and out of English."""
    keys = [k for k, one in languages.table().items() if "flores200" in one.aliases]
    found = []
    for key in (k for k in keys if k != "eng_Latn"):
        found.append(about(f"f_eng_Latn-{key}", "eng_Latn", key))
        found.append(about(f"f_{key}-eng_Latn", key, "eng_Latn"))
    return found[:directions]


def compared(own, systems, metric, values, higher=True, *, minimum=0.5, spread=0.4):
    """Compare the first of ``systems`` with each other; ``values`` are scores by system."""
    found = []
    for number, baseline in enumerate(systems[1:], 1):
        made = []
        for at, one in enumerate(own):
            new, old = values[0][at], values[number][at]
            row = Comparison(
                **one,
                metric=metric,
                signature="sig",
                candidate=systems[0],
                baseline=baseline,
                verdict="missing",
                settings_diff=[],
                reason="not run",
            )
            if new is None or old is None:
                made.append(Difference(row, None, higher))
                continue
            samples = np.random.default_rng(at).normal(new - old, spread, 200)
            z = abs(new - old) / spread
            numbers = {
                "candidate_value": new,
                "baseline_value": old,
                "delta": new - old,
                "ci_low": new - old - 1.96 * spread,
                "ci_high": new - old + 1.96 * spread,
                "stderr": spread,
                "p_value": max(0.0001, float(np.exp(-0.72 * z - 0.42 * z * z))),
                "p_is_bound": False,
                "minimum_effect": minimum,
                "n": 1000,
                "verdict": "no_change",
                "reason": None,
            }
            made.append(Difference(row.model_copy(update=numbers), samples, higher))
        judged = sorted(_corrected(made), key=_worst_first)
        found.append((judged, averages(judged, GROUPING)))
    return found


def scores_of(own, systems, metric, values):
    return [
        [score(name, one, metric, values[at][k]) for k, one in enumerate(own)]
        for at, name in enumerate(systems)
    ]


def drawn(directions=40, systems=2, *, metric="chrf++", seed=7, edit=None, names=None, own=None):
    """Return what is drawn of a comparison of invented systems; ``edit`` may change the scores."""
    draw = random.Random(seed)
    names = names or ("step-2000", *(f"base-{n}" for n in range(1, systems)))
    own = own or tasks(directions)
    level = [draw.uniform(15, 65) for _ in own]
    values = [[x + draw.gauss(0.5, 1.5) for x in level]]
    values += [[x + draw.gauss(-2 * n, 0.5) for x in level] for n in range(len(names) - 1)]
    if edit:
        edit(values)
    higher = metric not in ("ter",)
    return assemble(own, names, metric, values, higher)


def assemble(own, names, metric, values, higher=True, **options):
    found = compared(own, names, metric, values, higher, **options)
    pairs = tuple(
        Comparisons(
            SimpleNamespace(name=names[0]),
            SimpleNamespace(name=name),
            [one.row for one in judged],
            macro,
            [],
            tuple(judged),
        )
        for name, (judged, macro) in zip(names[1:], found, strict=True)
    )
    table = lines(metric, [pair.rows for pair in pairs], scores_of(own, names, metric, values))
    ids = {one["task"]: f"dir-{at}" for at, one in enumerate(own)}
    return Drawn(metric, tuple(names), pairs, {metric: table}, ids)


class Read:
    """An SVG read back: where the marks of a group are, in the numbers of its panel's axes."""

    def __init__(self, figure):
        self.root = ET.fromstring(figure.svg)  # noqa: S314

    def group(self, name):
        return self.root.find(f".//*[@data-g='{name}']")

    def ticks(self, panel, axis="x"):
        """Return the line that an axis' labels are on: pixels to numbers."""
        found = {}
        for tick in self.group(panel).iterfind(f".//*[@data-g='{axis}tick']"):
            (text,), (line, *_) = tick.iterfind(".//{*}text"), tick.iterfind(".//{*}path")
            at = re.findall(r"-?[\d.]+", line.get("d"))[0 if axis == "x" else 1]
            found[float(at)] = float(text.text.replace(MINUS, "-"))
        (x0, v0), *_, (x1, v1) = sorted(found.items())
        return lambda x: v0 + (float(x) - x0) * (v1 - v0) / (x1 - x0)

    def marks(self, panel, group, axis="x"):
        """Return the values of a group's marks, in the order of drawing."""
        line = self.ticks(panel, axis)
        found = self.group(group)
        return [] if found is None else [line(use.get(axis)) for use in found.iterfind(".//{*}use")]

    def verdicts(self, panel, group, axis="x"):
        """Return the values of the marks of every verdict, in the order of drawing."""
        names = {e.get("data-g") for e in self.root.iter()}
        own = sorted(n for n in names if n and n.startswith(f"{group}:"))
        return {n.split(":")[-1]: self.marks(panel, n, axis) for n in own}

    def texts(self):
        return [one.text for one in self.root.iterfind(".//{*}text")]

    def boxes(self, group):
        """Return left and right end of each bar of a group, in pixels."""
        found = self.group(group)
        paths = [] if found is None else found.iterfind(".//{*}path")
        return [sorted((n[0], n[2])) for p in paths if (n := numbers(p.get("d")))]


def numbers(text):
    return [float(n) for n in re.findall(r"-?[\d.]+", text)]
