"""The built wheel, in a clean environment and another folder: listings, real outputs, no torch.

A run made elsewhere is scored there after its checkpoint was renamed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

from common import CHECKOUT, DATA, expect
from common import cli as ours


def main(folder: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    inside = sum(name.startswith("bayling_eval/data/tasks/") for name in names)
    expect(inside > 1400, f"{wheel.name}: {wheel.stat().st_size:,} bytes, {inside} task files")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--constraint",
               str(CHECKOUT / "constraints.txt"), str(wheel)]  # fmt: skip
    subprocess.run(install, check=True)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["BAYLING_DATA"] = str(DATA)

    def cli(*words: str) -> str:
        command = [str(folder / "env" / "bin" / "bayling-eval"), *words]
        done = subprocess.run(
            command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{' '.join(words)}: {done.stderr}")
        return done.stdout

    tasks = json.loads(cli("ls", "tasks", "--json"))["rows"]
    expect(len(tasks) > 1400, f"ls tasks: {len(tasks)} rows")
    published = json.loads(cli("ls", "published", "--json"))["rows"]
    expect(len(published) > 30, f"ls published: {len(published)} rows")
    outputs = DATA / "bayling_wmt22" / "bayling-7b"
    cli("import", "bayling-7b", "--suite", "wmt22", "--hypotheses", str(outputs))
    cli("score", "--metric", "chrf", "--references", "A", "--references", "cs-en=B",
        "--references", "en-cs=B")  # fmt: skip
    rows = json.loads(cli("scores", "--json"))["rows"]
    expect([row["status"] for row in rows] == ["ok"] * 5, "imported and scored five directions")
    page = cli("report", "page", "--candidate", "bayling-7b", "--baseline", "bayling-7b",
               "--metric", "chrf", "-q").strip()  # fmt: skip
    expect((elsewhere / page).is_file(), f"reported to {page}")
    again(folder, python, cli)


def again(folder: Path, python: Path, cli: Callable[..., str]) -> None:
    """Score a run without its checkpoint and without any engine installed."""
    absent = (
        "import importlib.util as u; print(*map(u.find_spec, ('torch', 'transformers', 'vllm')))"
    )
    seen = subprocess.run([python, "-c", absent], capture_output=True, text=True, check=True).stdout
    expect(seen.split() == ["None"] * 3, "torch, transformers and vllm are not installed")
    checkpoint, results = folder / "checkpoint", folder / "runs"
    shutil.copytree(CHECKOUT / "bayling_eval" / "data" / "demo" / "better", checkpoint)
    ours("run", "sample", "-m", checkpoint, "--apply-chat-template", "on", "--languages",
         "cym_Latn", "--results", results, "-q")  # fmt: skip
    ours("run", "sample_questions", "-m", checkpoint, "--results", results, "-q")
    before = json.loads(cli("scores", "--results", str(results), "--json"))["rows"]
    checkpoint.rename(folder / "renamed")
    for path in results.rglob("all/*"):
        if path.name != "plan.json":
            path.unlink()
    cli("score", "--results", str(results))
    after = json.loads(cli("scores", "--results", str(results), "--json"))["rows"]
    metrics = {row["metric"] for row in after}
    expect(
        {"chrf++", "acc"} <= metrics and after == before, f"{len(after)} scores made again, equal"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
