"""What the acceptance scripts share: the command line as users run it, and checks that speak."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BAYLING_DATA") or CHECKOUT.parent / "shared" / "data").resolve()
COMMAND = Path(sys.executable).parent / "bayling-eval"


def cli(*arguments: object, cwd: Path | None = None, code: int = 0) -> str:
    """Run ``bayling-eval`` and return its stdout; an exit code other than ``code`` ends all."""
    words = [str(COMMAND), *map(str, arguments)]
    environment = {**os.environ, "BAYLING_DATA": str(DATA)}
    done = subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != code:
        sys.exit(f"{' '.join(words)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def rows(*arguments: object) -> list[dict[str, Any]]:
    """Run ``bayling-eval ... --json`` and return its rows."""
    found: list[dict[str, Any]] = json.loads(cli(*arguments, "--json", "-q"))["rows"]
    return found


def expect(condition: bool, seen: str) -> None:
    """Print what was seen, and end the script where it is not what must hold."""
    print(("ok   " if condition else "FAIL ") + seen, flush=True)
    if not condition:
        sys.exit(1)


def not_degenerate(outputs: list[str], nats: list[float], tokenizer: Any) -> None:
    """Refuse answers from which nothing could be told apart: short, equal or empty ones."""
    lengths = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in outputs]
    empty = sum(not text.strip() for text in outputs) / len(outputs)
    distinct = len(set(outputs)) / len(outputs)
    expect(
        statistics.median(lengths) >= 10 and distinct >= 0.5 and empty < 0.05,
        f"{len(outputs)} outputs: median {statistics.median(lengths):.0f} tokens, "
        f"{100 * distinct:.0f} % distinct, {100 * empty:.0f} % empty",
    )
    spread = statistics.stdev(nats)
    expect(spread > 1, f"{len(nats)} log-likelihoods with a spread of {spread:.1f} nats")
