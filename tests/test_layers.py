"""The import law: modules import from lower layers only; heavy libraries have one home each."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bayling_eval"

# A folder stands for all its modules, which may import each other.
LAYERS = (
    ("errors", "graphemes", "records", "resources", "spreadsheet"),
    ("registry", "method"),
    ("languages", "provenance", "statistics"),
    ("digits", "hub", "store"),
    ("responses", "sources", "published", "subsets", "checkpoints"),
    ("comet",),
    ("metrics", "tasks", "tables", "backends", "presets", "prompt_sets", "toml_files"),
    ("surroundings",),
    ("hooks", "inventory", "plan", "rows", "references", "adapter"),
    ("strict_check", "imports", "answers", "sides", "significance", "models", "requests"),
    ("counting", "wanted"),
    ("macro",),
    ("aggregate", "compare", "evaluate", "run"),
    ("forecast", "memory"),
    ("doctor",),
    ("gate",),
    ("report",),
    ("cli",),
    ("__main__",),
)
HOMES = {
    "lm_eval": {"adapter", "strict_check"},
    "datasets": {"hub", "surroundings"},
    "sacrebleu": {"metrics"},
    "py3langid": {"metrics"},
    "fasttext": {"metrics"},
    "sentencepiece": {"metrics"},
    "jinja2": {"adapter", "backends", "report", "surroundings"},
    "pandas": {"aggregate", "report"},
    "pyarrow": {"tables"},
    "click": {"cli"},
    "rich": {"cli"},
    "torch": {"backends", "comet"},
    "transformers": {"backends"},
    "tokenizers": {"backends", "forecast"},
    "huggingface_hub": {"checkpoints"},
    "vllm": {"backends"},
    "comet": {"comet"},
    "matplotlib": {"report"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def unit(path: Path) -> str:
    """Return the module or folder of the layer list that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Return every module that a file imports, wherever the import stands in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports(path) if name.startswith("bayling_eval.")]
    return {p[1] for p in parts if p[1] != "__version__"}


def test_every_module_has_one_layer():
    listed = [name for layer in LAYERS for name in layer]
    assert sorted(listed) == sorted({unit(path) for path in MODULES} - {"__init__"})


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_lower_layers(path):
    level = {name: index for index, layer in enumerate(LAYERS) for name in layer}
    own = unit(path)
    for name in ours(path) - {own}:
        assert level[name] < level[own], f"{own} imports {name}, which is not below it"


def test_what_runs_in_comets_environment_imports_nothing_of_ours():
    assert not ours(PACKAGE / "comet" / "worker.py")


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_has_its_home(library):
    users = {unit(p) for p in MODULES if library in {name.split(".")[0] for name in imports(p)}}
    assert users <= HOMES[library]


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from bayling_eval.cli.main import main; main(['--help']); "
        "print(*sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert not loaded & {*HOMES, "numpy", "pydantic", "yaml"} - {"click"}
    assert "click" in loaded
