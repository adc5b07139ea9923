"""Comparisons of real systems: what must not move does not, what got worse is found, and no more.

The nine systems of BayLing's repository on five WMT22 directions; on FLORES-200 and NTREX-128,
which name their documents, outputs made from the references. WMT22 is published without document
ids in the layout that is read here: its segments are drawn one by one.
"""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bayling import OUTPUTS, REFERENCES, SYSTEMS
from common import DATA, cli, expect

from bayling_eval import sources

CANDIDATE, BASELINE = "bayling-7b", "bayling-13b"
SPOILED = ("de-fr", "en-ja")
TARGETS = ("deu_Latn", "hin_Deva", "jpn_Jpan", "rus_Cyrl", "swh_Latn", "tha_Thai")
Document = Mapping[str, Any]


def compare(results: Path, *words: str) -> Document:
    found: Document = json.loads(cli("compare", *words, "--results", results, "--json", "-q"))
    return found


def imported(results: Path, name: str, suite: str, folder: Path) -> None:
    cli("import", name, "--suite", suite, "--hypotheses", folder, "--results", results, "-q")


def written(folder: Path, outputs: Mapping[str, Sequence[str]]) -> Path:
    folder.mkdir(parents=True)
    for pair, lines in outputs.items():
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"{pair}.txt").write_text(text, encoding="utf-8")
    return folder


def against(found: Document, baseline: str, key: str) -> list[str]:
    """Return the rows against a baseline as they are printed."""
    rows = (row for row in found[key] if row["baseline"] == baseline)
    return [json.dumps(row) for row in rows if row.get("tasks", "pair") == "pair"]


def real_systems(results: Path, work: Path) -> None:
    """Compare the nine systems, and one of them with itself made worse in two directions."""
    for system in SYSTEMS:
        imported(results, system, "wmt22", OUTPUTS / system)
    outputs = {
        path.stem: sources.read_lines(path) for path in (OUTPUTS / BASELINE).glob("??-??.hypo")
    }
    for pair in SPOILED:
        outputs[pair] = tuple(line[: len(line) * 3 // 4] for line in outputs[pair])
    imported(results, "spoiled", "wmt22", written(work / "spoiled", outputs))
    metrics = ["--metric", "bleu", "--metric", "chrf++"]
    cli("score", *metrics, *REFERENCES, "--results", results, "-q")
    itself = compare(results, CANDIDATE, CANDIDATE)
    verdicts = {row["verdict"] for row in itself["rows"]}
    expect(verdicts == {"no_change"}, f"a system against itself: {verdicts}")
    alone = compare(results, CANDIDATE, BASELINE)
    others = [name for name in SYSTEMS if name not in (CANDIDATE, BASELINE)]
    among = compare(results, CANDIDATE, *others[:3], BASELINE, *others[3:])
    for key in ("rows", "macro"):
        ours, theirs = against(alone, BASELINE, key), against(among, BASELINE, key)
        expect(
            bool(ours) and ours == theirs,
            f"{len(ours)} of {len(among[key])} {key} are equal with {len(others)} more baselines",
        )
    expect({row["clusters"] for row in alone["rows"]} == {None}, "WMT22 names no documents")
    exactly(compare(results, "spoiled", BASELINE), "wmt22", SPOILED)
    gated(results, work)


def gated(results: Path, work: Path) -> None:
    """Hold the system made worse against a rule, from an exported file: exit 1, two names."""
    rules, junit = work / "rules.toml", work / "gate.xml"
    rules.write_text('[[gates]]\nid = "regressions"\nrule = "count"\n')
    accepted = work / "accepted.zip"
    cli("export", BASELINE, "--with-text", "-o", accepted, "--results", results, "-q")
    size = accepted.stat().st_size
    expect(size < 5_000_000, f"5 directions, 9,524 segments with texts: {size / 1e6:.1f} MB")
    words = ("gate", rules, "spoiled", accepted, "--junit", junit, "--results", results, "-q")
    said = cli(*words, code=1)
    failed = re.findall(r'<testcase [^>]*name="([^"]*)"[^>]*>\s*<failure', junit.read_text("utf-8"))
    named = {task.removeprefix("wmt22_") for task in tasks("wmt22", SPOILED)}
    found = {pair for pair in named | {"ces_Latn-eng_Latn"} if any(pair in one for one in failed)}
    expect(found == named, f"gate: exit 1, JUnit names {', '.join(sorted(found))}")
    expect(said.rstrip().endswith("not ready: 1 of 1 gate fails"), "its last line is the verdict")
    same = cli("gate", rules, BASELINE, accepted, "--results", results, "-q")
    expect(same.rstrip().split("\n")[-1].startswith("ready"), "against itself: ready, exit 0")


def exactly(found: Document, family: str, worse: Sequence[str]) -> None:
    """Check that these directions regressed under each metric, and no other did."""
    for metric in sorted({row["metric"] for row in found["rows"]}):
        rows = [row for row in found["rows"] if row["metric"] == metric]
        regressed = {row["task"] for row in rows if row["verdict"] == "regressed"}
        others = {row["verdict"] for row in rows if row["task"] not in regressed}
        losses = ", ".join(f"{row['delta']:.2f}" for row in rows if row["task"] in regressed)
        expect(
            regressed == tasks(family, worse) and others == {"no_change"},
            f"{family} {metric}: {len(regressed)} of {len(rows)} regressed ({losses}), the others "
            "did not change",
        )


def tasks(family: str, pairs: Sequence[str]) -> set[str]:
    keys = {"de-fr": "deu_Latn-fra_Latn", "en-ja": "eng_Latn-jpn_Jpan"}
    return {f"{family}_{keys.get(pair, pair)}" for pair in pairs}


def documents(results: Path, work: Path, family: str) -> None:
    """Compare outputs with documents: in two directions the last quarter of each is gone.

    In the others 0 to 5 segments hold nothing at all any more: so few are never a regression.
    """
    pairs = [f"eng_Latn-{lang}" for lang in TARGETS]
    read = [sources.parallel(family, "eng_Latn", lang, DATA).references["ref"] for lang in TARGETS]
    outputs = {pair: [line[:-2] for line in lines] for pair, lines in zip(pairs, read, strict=True)}
    worse = {p: [line[: len(line) * 3 // 4] for line in outputs[p]] for p in pairs[:2]}
    empty = {
        pair: ["" if row % 30 == 0 and row // 30 < k else line for row, line in enumerate(lines)]
        for k, (pair, lines) in enumerate(outputs.items())
    }
    for name, lines in (("good", outputs), ("bad", {**outputs, **worse}), ("few", empty)):
        imported(results, name, family, written(work / family / name, lines))
    cli("score", "good", "bad", "few", "--metric", "chrf++", "--results", results, "-q")
    found = compare(results, "bad", "good")
    exactly(found, family, pairs[:2])
    clusters, n = found["rows"][0]["clusters"], found["rows"][0]["n"]
    expect(
        {row["clusters"] for row in found["rows"]} == {clusters} and 1 < clusters < n,
        f"{family}: {n} segments of {clusters} documents",
    )
    for words in ([], ["--unclustered"]):
        rows = compare(results, "few", "good", *words)["rows"]
        verdicts = {row["verdict"] for row in rows}
        shown = ", ".join(
            f"{row['p_value']:.2f}" for row in sorted(rows, key=lambda r: -r["delta"])
        )
        expect(
            "regressed" not in verdicts and all(r["clusters"] is None for r in rows) == bool(words),
            f"{family} {' '.join(words)}: 0 to 5 segments emptied: p {shown}",
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        real_systems(work / "wmt22", work)
        for family in ("flores200", "ntrex128"):
            documents(work / family / "results", work, family)


if __name__ == "__main__":
    main()
