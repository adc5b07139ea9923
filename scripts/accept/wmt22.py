"""The 47 WMT22 system outputs at hand, against the scores that WMT22 published.

BLEU to 1e-6 (13a; ``zh`` for Chinese; ``char`` for Japanese), chrF to 1e-6 with one reference and
within 0.01 with two: the published chrF was computed with sacrebleu 2.0.0, and differs there.
"""

import csv
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

from common import DATA, cli, expect, rows

OUTPUTS = DATA / "wmt22" / "txt" / "system-outputs"


def published() -> dict[tuple[str, str, str], float]:
    with (DATA / "wmt22" / "scores" / "automatic-scores.tsv").open(encoding="utf-8") as file:
        return {
            (row["pair"], row["system"], row["metric"]): float(row["score"])
            for row in csv.DictReader(file, delimiter="\t")
        }


def import_outputs(folder: Path, results: Path) -> dict[str, set[str]]:
    """Give each system a folder of files named as ``import`` wants them, and import it."""
    pairs = defaultdict(set)
    for path in OUTPUTS.iterdir():
        _, pair, _, *system, _ = path.name.split(".")
        name = ".".join(system)
        pairs[name].add(pair)
        (folder / name).mkdir(exist_ok=True, parents=True)
        shutil.copy(path, folder / name / f"{pair}.txt")
    for name in sorted(pairs):
        cli("import", name, "--suite", "wmt22", "--hypotheses", folder / name, "--results", results)
    return pairs


def main(folder: Path) -> None:
    results, theirs = folder / "results", published()
    pairs = import_outputs(folder / "outputs", results)
    n = sum(map(len, pairs.values()))
    expect(n == 47, f"imported {n} outputs of {len(pairs)} systems")
    cli("score", "--results", results, "--metric", "bleu", "--metric", "chrf")
    japanese = [s for s in pairs if "en-ja" in pairs[s]]
    cli(
        "score",
        *japanese,
        "--results",
        results,
        "--metric",
        "bleu:tokenize=char",
        "--tasks",
        "*-jpn_Jpan",
    )
    codes = {
        row["key"]: row["aliases"]["wmt22"][0]
        for row in rows("ls", "languages")
        if "wmt22" in row["aliases"]
    }
    worst: dict[str, float] = defaultdict(float)
    checked = 0
    for row in rows("scores", "--results", results):
        src, tgt = codes[row["src_lang"]], codes[row["tgt_lang"]]
        if row["metric"] == "bleu" and tgt == "ja" and "tok:char" not in row["signature"]:
            continue
        many = "nrefs:1" not in row["signature"]
        value = theirs[f"{src}-{tgt}", row["system"], f"{row['metric']}-all"]
        kind = f"{row['metric']} with {'several references' if many else 'one reference'}"
        worst[kind] = max(worst[kind], abs(row["value"] - value))
        checked += 1
    expect(checked == 94, f"{checked} scores have a published value")
    for kind, difference in sorted(worst.items()):
        limit = 0.01 if kind == "chrf with several references" else 1e-6
        expect(difference <= limit, f"{kind}: largest difference {difference:.1e} (limit {limit})")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
