"""Runs of the command line in a folder of their own, with the engine that repeats the prompt."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

from bayling_eval import tasks
from bayling_eval.cli.main import main
from bayling_eval.store import systems

# The bundled sample has 16 questions of four choices a language, and 16 sentences a direction.
QUESTIONS, CHOICES = 16, 4
ECHO = ("--backend", "echo")
GERMAN = ("sample_questions", "--languages", "deu_Latn")


def running(tmp_path, monkeypatch, capfd) -> Iterator:
    """Yield a function that runs a verb and returns exit code, stdout and stderr."""
    for name in ("BAYLING_DATA", "BAYLING_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)

    def invoke(*words: object, verb: str = "run") -> tuple[int, str, str]:
        capfd.readouterr()
        # A command is a process of its own, which remembers nothing of an earlier one's task files.
        tasks._catalogue.cache_clear()
        jobs = ("--jobs", "1") if verb in ("run", "score") else ()
        code = main([verb, *map(str, words), *jobs])
        out, err = capfd.readouterr()
        return code, out, err

    yield invoke
    # A run catches SIGTERM for the rest of its process.
    signal.signal(signal.SIGTERM, handler)


def asked(run, *words: object) -> list[dict]:
    """Run, and return what became of each model."""
    code, out, err = run(*words, "--json")
    assert code == 0, err
    return json.loads(out)["rows"]


def scores(run, *words: object) -> list[dict]:
    return json.loads(run(*words, "--json", verb="scores")[1])["rows"]


def refused(run, *words: object) -> str:
    """Return the one line of a run that was refused: exit code 2, nothing on stdout or disk."""
    before = files()
    code, out, err = run(*words)
    assert (code, out) == (2, ""), err
    assert files() == before
    return one_line(err)


def one_line(err: str) -> str:
    lines = err.strip().split("\n")
    assert len(lines) == 1, err
    assert lines[0].startswith("bayling-eval: ")
    return lines[0]


def files() -> dict[Path, bytes | None]:
    """Return everything below the working folder."""
    return {p: p.read_bytes() if p.is_file() else None for p in Path().rglob("*")}


def settings() -> dict:
    """Return the settings of the one cell that there is."""
    (system,) = systems(Path("results"))
    (cell,) = system.cells()
    return cell.settings.model_dump()


def suite(text: str) -> str:
    Path("mine.toml").write_text(text)
    return "mine.toml"
