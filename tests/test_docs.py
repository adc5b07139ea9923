"""Documents that cannot rot: commands, suite keys and links are held against the code."""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest

from bayling_eval import languages, method, plan, tasks
from bayling_eval.cli.main import VERBS
from bayling_eval.metrics import METRICS, MetricSpec, make
from bayling_eval.metrics.translation import TOKENIZERS
from bayling_eval.records import Comparison

CHECKOUT = Path(__file__).parent.parent
PAGES = sorted(
    [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("tasks/*/*.md")]
)


@pytest.mark.parametrize("page", ["commands.md", "models.md", "prompt_sets.md"])
def test_what_is_written_from_the_code_is_what_the_code_says(page):
    spec = importlib.util.spec_from_file_location(
        "make_docs", CHECKOUT / "scripts" / "make_docs.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (CHECKOUT / "docs" / page).read_text(encoding="utf-8")
    assert written == module.PAGES[page](), "run scripts/make_docs.py"


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("## Keys of the file", plan.Suite),
        ("## Keys of `[[tasks]]`", plan.SuiteTasks),
        ("## Keys of `[[models]]`", plan.SuiteModel),
        ("## Keys of `[compare]`", method.Method),
    ],
)
def test_every_key_of_a_suite_is_documented(heading, model):
    text = (CHECKOUT / "docs" / "suites.md").read_text(encoding="utf-8")
    section = text.split(heading)[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| .*? \| (.*?) \| (.*) \|$", section, re.MULTILINE)
    fields = model.model_fields
    assert [key for key, _, _ in rows] == list(fields)
    source = inspect.getsource(inspect.getmodule(model))
    for key, default, meaning in rows:
        assert (default == "required") == (fields[key].is_required() and key != "name"), key
        assert f'"""{meaning}"""' in source, key


def test_the_example_suite_of_the_documents_loads(tmp_path):
    text = (CHECKOUT / "docs" / "suites.md").read_text(encoding="utf-8")
    path = tmp_path / "african.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", text, re.DOTALL).group(1))
    assert len(plan.selected(plan.load(str(path))).tasks) == 3 * 4 + 2


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(CHECKOUT)))
def test_links_within_the_repository_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(CHECKOUT)))
def test_commands_in_documents_exist(page):
    text = page.read_text(encoding="utf-8")
    used = set(re.findall(r"`bayling-eval (\w+)", text)) | set(
        re.findall(r"^bayling-eval (\w+)", text, re.MULTILINE)
    )
    assert used <= set(VERBS)


def test_every_file_of_the_package_is_in_the_readmes_tree():
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    tree = text.split("## What is where")[1]
    for path in (CHECKOUT / "bayling_eval").iterdir():
        if path.name.startswith("__") or path.name == "data":
            continue
        assert path.name in tree, path.name


def test_numbers_in_the_documents_are_those_of_the_data():
    assert f"{len(languages.table())} languages" in (CHECKOUT / "README.md").read_text("utf-8")
    assert f"`{'`, `'.join(tasks.FAMILIES)}`" in " ".join(
        (CHECKOUT / "docs" / "suites.md").read_text("utf-8").split()
    )


def test_every_verdict_is_explained():
    text = (CHECKOUT / "docs" / "statistics.md").read_text(encoding="utf-8")
    for verdict in Comparison.model_fields["verdict"].annotation.__args__:
        assert f"`{verdict}`" in text, verdict


def test_every_metric_option_and_tokenizer_is_documented():
    text = (CHECKOUT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.*?) \|", text, re.MULTILINE))
    assert list(rows) == list(METRICS)
    for name, options in rows.items():
        known = getattr(make(MetricSpec(name)), "_known", ())
        assert set(re.findall(r"`(\w+)`", options)) == set(known), name
    for tokenizer in TOKENIZERS:
        assert f"`{tokenizer}`" in text
