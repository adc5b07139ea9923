"""Write results/published/llamax-flores101.csv from the score files of the LLaMAX repository.

Usage: python scripts/make_published.py --llamax DIR [--out FILE]

DIR is ``experiment_results/`` of github.com/CONE-MT/LLaMAX at the commit that
results/published/sources.toml names: ``<system>/{spBLEU_score,comet_score}/<the same>.csv``, one
row a pivot and side (``en-x``, ``x-zh``, ``ja-x``), one column a language in M2M-100 codes.
"""

import argparse
import csv
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

from bayling_eval import languages, published, resources
from bayling_eval.errors import UserError
from bayling_eval.published import PublishedScore

SOURCE = "llamax"
FAMILY = "flores101"
METRICS = {"spBLEU_score": "spbleu-published", "comet_score": "comet-published"}
NOTES = {"spbleu-published": "", "comet-published": "COMET x 100"}
NO_SCORE = {"/", ""}


def read_scores(path: Path, system: str, metric: str) -> Iterator[PublishedScore]:
    """Yield the numbers of one LLaMAX file; cells without a number are left out."""
    listed = published.sources()[SOURCE]
    with path.open(encoding="utf-8", newline="") as lines:
        for line, row in enumerate(csv.DictReader(lines, strict=True), start=2):
            table = row.pop("direct")
            for code, cell in row.items():
                if cell in NO_SCORE:
                    continue
                sides = (code if side == "x" else side for side in table.split("-"))
                try:
                    src, tgt = (languages.resolve(side, "m2m100") for side in sides)
                    value = float(cell)
                except (UserError, ValueError) as error:
                    raise UserError(f"{path}:{line}: {error}") from None
                yield PublishedScore(
                    source=SOURCE,
                    citation=listed["citation"],
                    table=table,
                    licence=listed["licence"],
                    system=system,
                    task=f"{FAMILY}_{src}-{tgt}",
                    family=FAMILY,
                    src_lang=src,
                    tgt_lang=tgt,
                    metric=metric,
                    value=value,
                    note=NOTES[metric],
                )


def collect(folder: Path) -> list[PublishedScore]:
    """Return the numbers of all systems; what two rows of one file print is kept once.

    Raises:
        UserError: ``folder`` holds no score file, or two rows disagree on a direction.
    """
    scores: dict[tuple[str, str | None, str], PublishedScore] = {}
    for name, metric in METRICS.items():
        for path in sorted(folder.glob(f"*/{name}/{name}.csv")):
            for score in read_scores(path, path.parent.parent.name, metric):
                # en-zh stands in the column zh of the row en-x and in the column en of x-zh.
                kept = scores.setdefault((score.system, score.task, metric), score)
                if kept.value != score.value:
                    raise UserError(
                        f"{score.task}: {path}: {kept.table} and {score.table} disagree"
                    )
    if not scores:
        raise UserError(f"no */spBLEU_score/spBLEU_score.csv: {folder}; give experiment_results/")
    return [scores[key] for key in sorted(scores, key=lambda k: (k[0], k[2], k[1] or ""))]


def write(scores: list[PublishedScore], out: Path) -> None:
    """Write the file that ``bayling_eval.published`` reads."""
    with out.open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines, lineterminator="\n")
        rows.writerow(published.COLUMNS)
        for score in scores:
            # astuple and the columns share the order of the fields.
            rows.writerow(["" if cell is None else cell for cell in dataclasses.astuple(score)])


def main() -> int:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--llamax", type=Path, required=True, metavar="DIR")
    out = resources.folder("published") / "llamax-flores101.csv"
    parser.add_argument("--out", type=Path, default=out, metavar="FILE")
    args = parser.parse_args()
    try:
        scores = collect(args.llamax)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    write(scores, args.out)
    print(f"{args.out}: {len(scores)} numbers of {len({s.system for s in scores})} systems")
    return 0


if __name__ == "__main__":
    sys.exit(main())
