"""Fixtures that several test files share."""

import os
import random
from pathlib import Path

import pytest

# Its hash cache is for all tests: none may write to the user's.
pytest_plugins = ["checkpoint_lab", "compare_lab"]

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real benchmark files, one folder a family."""
    folder = Path(os.environ.get("BAYLING_DATA") or CHECKOUT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no benchmark files at {folder}: set BAYLING_DATA")
    return folder


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where every test must run ($BAYLING_NO_SKIPS), a skipped one is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("BAYLING_NO_SKIPS") or reporter is None:
        return
    if reporter.stats.get("skipped"):
        reporter.write_line("a test was skipped, and BAYLING_NO_SKIPS is set", red=True)
        session.exitstatus = 1


WORDS = {
    "eng_Latn": "the cat sat on a mat and saw seven small birds over there".split(),
    "deu_Latn": "die Katze saß auf einer Matte und sah sieben kleine Vögel dort".split(),
    "zho_Hans": "那只猫坐在垫子上看见七只小鸟飞过了屋顶然后睡着".split("只"),
    "tha_Thai": "แมวนั่งบนเสื่อและเห็นนกตัวเล็กเจ็ดตัวบินผ่านหลังคา".split("น"),
}
SEGMENTS = 30


def sentences(lang: str, seed: int = 0, n: int = SEGMENTS) -> list[str]:
    """Return invented segments of a language, the same for the same seed."""
    draw = random.Random(f"{lang} {seed}")
    space = " " if lang.endswith("Latn") else ""
    return [space.join(draw.choices(WORDS[lang], k=draw.randint(4, 9))) for _ in range(n)]


def write_lines(path: Path, lines: list[str]) -> Path:
    """Write one line a segment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def small_data(tmp_path: Path) -> Path:
    """A data folder with invented texts in FLORES-200's layout: four languages, 30 segments."""
    base = tmp_path / "data" / "flores200" / "flores200_dataset"
    for lang in WORDS:
        write_lines(base / "devtest" / f"{lang}.devtest", sentences(lang))
    urls = [f"https://example.org/{index // 3}\tnews" for index in range(SEGMENTS)]
    write_lines(base / "metadata_devtest.tsv", ["URL\tdomain", *urls])
    return tmp_path / "data"


def spoil(lines: list[str], every: int, by: str = "") -> list[str]:
    """Replace every n-th segment."""
    return [by if index % every == 0 else line for index, line in enumerate(lines)]
