"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent


def _real_data() -> Path:
    return Path(os.environ.get("BAYLING_DATA") or CHECKOUT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real benchmark files, one folder a family."""
    folder = _real_data()
    if not folder.is_dir():
        pytest.skip(f"no benchmark files at {folder}: set BAYLING_DATA")
    return folder
