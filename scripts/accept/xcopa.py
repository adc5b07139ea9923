"""XCOPA on the real files, all 11 languages, through a real engine: run, score, compare, page."""

import tempfile
from pathlib import Path

from common import CHECKOUT, cli, expect, rows

DEMO = CHECKOUT / "bayling_eval" / "data" / "demo"
LANGUAGES, DOCUMENTS = 11, 500


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        where = ("--results", Path(name) / "results")
        for model in ("better", "worse"):
            cli("run", "xcopa", "-m", DEMO / model, "-q", *where)
        found = rows("scores", *where)
        for metric in ("acc", "acc_norm", "acc_bytes"):
            own = [row for row in found if row["metric"] == metric]
            whole = all(row["status"] == "ok" and row["n"] == DOCUMENTS for row in own)
            values = [row["value"] for row in own if row["system"] == "better"]
            # The demo's checkpoints know nothing of XCOPA: all is near one in two.
            expect(
                len(values) == LANGUAGES and whole and all(0.35 < value < 0.65 for value in values),
                f"{metric}: {len(values)} languages, {min(values):.3f} to {max(values):.3f}",
            )
        compared = rows("compare", "better", "worse", *where)
        expect(
            len(compared) == 3 * LANGUAGES and all(row["delta"] is not None for row in compared),
            f"{len(compared)} comparisons",
        )
        page = cli("report", "xcopa", "--candidate", "better", "--baseline", "worse", "-q",
                   "--metric", "acc", "--reports", Path(name) / "reports", *where)  # fmt: skip
        text = Path(page.strip()).read_text(encoding="utf-8")
        expect("11</b> tasks regressed" in text.replace("of 11", "11"), "the page counts tasks")


if __name__ == "__main__":
    main()
