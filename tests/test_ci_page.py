"""The workflow of docs/ci.md: its files load, and its shell steps do what the page says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bayling_eval import plan
from bayling_eval.gate import rules
from bayling_eval.resources import data_file

PAGE = (Path(__file__).parent.parent / "docs" / "ci.md").read_text(encoding="utf-8")
SUITE, RULES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
STEPS = yaml.safe_load(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL).group(1))["jobs"][
    "evaluate"
]["steps"]
SHELL = {step["name"]: step["run"] for step in STEPS if "run" in step}
ACCEPTED = "bayling-eval-accepted"
# The demonstration's checkpoints know nothing but the bundled sentences: as `demo.toml` has them.
PAIRS = '["eng_Latn-deu_Latn", "eng_Latn-cym_Latn"]'
SAMPLE = f'use = "sample"\npairs = {PAIRS}\napply_chat_template = "on"'


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A clone with both files of the page, its remote, and a stand-in for GitHub's own command."""
    git(tmp_path, "init", "--bare", "remote.git")
    folder = tmp_path / "checkout"
    git(tmp_path, "clone", "remote.git", str(folder))
    (folder / "ci").mkdir()
    suite, n = re.subn(r'use = "flores200".*', f"{SAMPLE}\n", SUITE, flags=re.DOTALL)
    assert n == 1
    (folder / "ci" / "suite.toml").write_text(suite)
    (folder / "ci" / "rules.toml").write_text(RULES)
    git(folder, "add", "ci")
    git(folder, "-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "-m", "files")
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/gh.log\n')
    gh.chmod(0o755)
    return folder


def run(checkout: Path, step: str, sha: str) -> subprocess.CompletedProcess[str]:
    """Run one step as GitHub does: bash, ending with the first command that fails."""
    path = [str(checkout.parent / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(path),
        "GITHUB_SHA": sha,
        "GITHUB_STEP_SUMMARY": str(checkout.parent / "page.md"),
        "PR": "17",
        "CI": "true",
    }
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", SHELL[step]],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def job(checkout: Path, checkpoint: str, sha: str) -> dict[str, int]:
    """Run the steps of a push in order, with their conditions; return their exit codes."""
    for old in ("accepted.zip", "candidate.zip", "summary.md", "gate.xml"):
        (checkout / old).unlink(missing_ok=True)
    shutil.rmtree(checkout / "checkpoint", ignore_errors=True)
    shutil.copytree(data_file(f"demo/{checkpoint}"), checkout / "checkpoint")
    codes: dict[str, int] = {}
    for step in STEPS:
        name = step.get("name")
        always = "!cancelled()" in step.get("if", "")
        if name is None or name == "Install" or (any(codes.values()) and not always):
            continue
        codes[name] = run(checkout, name, sha).returncode
    return codes


def test_both_files_of_the_page_load(tmp_path):
    (tmp_path / "suite.toml").write_text(SUITE)
    (tmp_path / "rules.toml").write_text(RULES)
    assert len(plan.selected(plan.load(str(tmp_path / "suite.toml"))).tasks) == 4
    assert len(rules.load(tmp_path / "rules.toml").gates) == 3


def test_the_job_accepts_keeps_and_refuses(checkout):
    first = job(checkout, "better", "1" * 40)
    assert set(first.values()) == {0}, first
    assert "No run is accepted yet" in (checkout / "summary.md").read_text()
    accepted = git(checkout.parent / "remote.git", "rev-parse", ACCEPTED)

    same = job(checkout, "better", "2" * 40)
    assert set(same.values()) == {0}, same
    # None of 16 sentences is empty, which says little of all: of so few it only warns.
    assert (checkout / "summary.md").read_text().startswith("**ready: 2 gates pass, 1 warns")
    assert (checkout / "candidate.zip").stat().st_size < 5_000_000
    now = git(checkout.parent / "remote.git", "rev-parse", ACCEPTED)
    assert now != accepted
    # One commit without a parent.
    assert git(checkout.parent / "remote.git", "rev-list", "--count", ACCEPTED) == "1"

    said = checkout.parent / "gh.log"
    said.unlink()
    worse = job(checkout, "damaged", "3" * 40)
    assert worse["Judge"] == 1
    assert "Accept" not in worse
    assert worse["Say it on the job's page"] == worse["Say it in one comment"] == 0
    assert said.read_text().split()[:3] == ["pr", "comment", "17"]
    assert "not ready" in (checkout.parent / "page.md").read_text()
    report = (checkout / "gate.xml").read_text()
    failed = re.findall(r'<testcase [^>]*name="([^"]*)"[^>]*>\s*<failure', report)
    assert set(failed) == {"regressions", "eng_Latn-cym_Latn"}
    assert "**regressions** eng_Latn-cym_Latn" in (checkout / "summary.md").read_text()
    assert git(checkout.parent / "remote.git", "rev-parse", ACCEPTED) == now
