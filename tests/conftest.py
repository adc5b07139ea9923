"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest

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
