"""What must be quick: ``--help``, and ``scores`` over 404 directions of 12 imported systems.

The outputs are real lines of FLORES-200 (references shifted by one to twelve places), ten a
direction: ``scores`` reads plans, manifests and scores, never texts, so more would not slow it.
"""

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import COMMAND, DATA, cli, expect

SYSTEMS, DIRECTIONS, SEGMENTS = 12, 404, 10


def check_help() -> None:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([COMMAND, "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    expect(median <= 0.3, f"--help takes {median:.2f} s (median of 5)")


def write_data(folder: Path) -> list[str]:
    """Write the first ten lines of FLORES-200, and return the directions."""
    source = DATA / "flores200" / "flores200_dataset"
    target = folder / "flores200" / "flores200_dataset"
    (target / "devtest").mkdir(parents=True)
    for path in (source / "devtest").iterdir():
        lines = path.read_bytes().split(b"\n")[:SEGMENTS]
        (target / "devtest" / path.name).write_bytes(b"\n".join(lines) + b"\n")
    lines = (source / "metadata_devtest.tsv").read_bytes().split(b"\n")[: SEGMENTS + 1]
    (target / "metadata_devtest.tsv").write_bytes(b"\n".join(lines) + b"\n")
    languages = sorted(path.stem for path in (target / "devtest").iterdir())
    others = [lang for lang in languages if lang != "eng_Latn"][: DIRECTIONS // 2]
    return [f"eng_Latn-{lang}" for lang in others] + [f"{lang}-eng_Latn" for lang in others]


def write_outputs(data: Path, folder: Path, directions: list[str], shift: int) -> None:
    folder.mkdir(parents=True)
    for direction in directions:
        name = f"{direction.partition('-')[2]}.devtest"
        reference = data / "flores200" / "flores200_dataset" / "devtest" / name
        lines = reference.read_bytes().split(b"\n")[:-1]
        moved = lines[shift % SEGMENTS :] + lines[: shift % SEGMENTS]
        (folder / f"{direction}.txt").write_bytes(b"\n".join(moved) + b"\n")


def main(folder: Path) -> None:
    check_help()
    data, results = folder / "data", folder / "results"
    directions = write_data(data)
    for number in range(1, SYSTEMS + 1):
        outputs = folder / "outputs"
        write_outputs(data, outputs, directions, number)
        cli("import", f"system-{number}", "--suite", "flores200", "--hypotheses", outputs,
            "--data", data, "--results", results, "-q")  # fmt: skip
        shutil.rmtree(outputs)
    cli("score", "--data", data, "--results", results, "-q")
    words = [str(COMMAND), "scores", "--results", str(results)]
    for form in ("table", "json"):
        start = time.perf_counter()
        done = subprocess.run([*words, "--format", form], capture_output=True, check=True)
        seconds = time.perf_counter() - start
        rows = done.stdout.count(b"\n") - 1 if form == "table" else done.stdout.count(b'"task"')
        expected = SYSTEMS * len(directions) * 5
        expect(rows == expected, f"scores --format {form}: {rows} rows")
        expect(seconds <= 5, f"in {seconds:.1f} s")
    # ru_maxrss of children is the largest of all of them, in kB; scoring is the largest here.
    size = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    expect(size <= 1, f"in {size:.2f} GB at most")


if __name__ == "__main__":
    if sys.platform == "win32":
        sys.exit("needs a POSIX system")
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
