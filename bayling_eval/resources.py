"""Where the files that ship with the package lie: in the wheel, or in the checkout beside it."""

from pathlib import Path

_PACKAGE = Path(__file__).parent
# The wheel maps these top-level folders into the package (pyproject.toml, force-include).
_CHECKOUT = {"tasks": "tasks", "published": "results/published"}


def folder(name: str) -> Path:
    """Return the folder of bundled ``tasks`` (lm-eval YAML) or ``published`` (scores of papers)."""
    packaged = _PACKAGE / "data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / _CHECKOUT[name]


def data_file(name: str) -> Path:
    """Return the path of a file in ``bayling_eval/data/``."""
    return _PACKAGE / "data" / name
