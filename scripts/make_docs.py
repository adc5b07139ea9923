"""Write ``docs/commands.md`` from the help of every command; a test holds it to them."""

import sys
from pathlib import Path

import click

from bayling_eval.cli.main import VERBS, cli

HEAD = """# Commands

Written by `scripts/make_docs.py` from the commands themselves.

Results go to stdout, progress and faults to stderr. `--json` prints one document and nothing else.
On a terminal progress is one changing line; elsewhere, with `CI` or `NO_COLOR` set, plain lines.
"""


def _help(command: click.Command, context: click.Context) -> str:
    text = command.get_help(context).rstrip()
    return f"\n## {context.command_path}\n\n```\n{text}\n```\n"


def render() -> str:
    """Return the page."""
    root = click.Context(cli, info_name="bayling-eval", terminal_width=100, **cli.context_settings)
    parts = [HEAD, _help(cli, root)]
    for verb in VERBS:
        command = cli.get_command(root, verb)
        if command is None:
            continue
        context = click.Context(command, info_name=verb, parent=root)
        parts.append(_help(command, context))
        if isinstance(command, click.Group):
            for name, part in sorted(command.commands.items()):
                parts.append(_help(part, click.Context(part, info_name=name, parent=context)))
    return "".join(parts)


if __name__ == "__main__":
    target = Path(__file__).parent.parent / "docs" / "commands.md"
    target.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"{target}\n")
