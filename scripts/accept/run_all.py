"""Run every acceptance script; the first that fails ends the run."""

import subprocess
import sys
import time
from pathlib import Path

from common import DATA

SCRIPTS = (
    *("quick", "wmt22", "ntrex", "bayling", "stock_lm_eval", "rerun", "kill", "parity", "xcopa"),
    *("demo", "wheel", "health", "engines", "streaming", "comet_score", "significance"),
    *("compare_real", "page", "simulation"),
)


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"no benchmark files at {DATA}: set BAYLING_DATA")
    for name in SCRIPTS:
        path = Path(__file__).with_name(f"{name}.py")
        print(f"\n{path.name}", flush=True)
        start = time.perf_counter()
        if subprocess.run([sys.executable, path], check=False).returncode:
            sys.exit(f"{path.name} failed")
        print(f"     {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
