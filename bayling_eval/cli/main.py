"""``bayling-eval``: finds the verb, and turns faults into one line and an exit code."""

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from bayling_eval import __version__
from bayling_eval.errors import BaylingError, RuntimeFault, UserError, unknown

# In the order of the average workflow. The help line stands here so that `--help` imports no verb.
VERBS = {
    "demo": "Run bundled checkpoints on bundled sentences, and write their report.",
    "run": "Ask checkpoints what a suite needs, only what is missing.",
    "import": "Make an outside system's outputs a system.",
    "score": "Score systems, or add a metric; no engine is needed.",
    "scores": "Print the tidy table of scores.",
    "compare": "Compare a candidate with baselines, worst first.",
    "report": "Write one HTML page that compares systems.",
    "gate": "Say by a file of rules whether a candidate may take a baseline's place.",
    "export": "Write systems into a file to carry elsewhere.",
    "ls": "List tasks, suites, languages, models, prompt sets, systems or published scores.",
    "data": "Say what data a suite needs and where they are, or fetch them.",
    "doctor": "Say what is missing for a run, before a GPU is reserved.",
}


class Verbs(click.Group):
    """Imports a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in order."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb."""
        if cmd_name not in VERBS:
            raise unknown("command", cmd_name, VERBS, "`bayling-eval --help` explains them")
        module = importlib.import_module(
            f"bayling_eval.cli.{cmd_name.replace('import', 'import_')}"
        )
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.command(
    cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="bayling-eval")
def cli() -> None:
    """Evaluate multilingual LLMs in 100+ languages and say which differences are real.

    Exit codes: 0 done, 1 a gate fails, 2 usage or input, 3 incomplete, 4 not comparable,
    5 runtime error, 130 interrupted.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; faults are one line on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        outcome = cli.main(arguments, prog_name="bayling-eval", standalone_mode=False)
    except BrokenPipeError:
        # The reader of a pipe (head) has gone; Python must not complain while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _FAULTS as fault:
        if {"-v", "--verbose"} & set(arguments):
            traceback.print_exc()
        message, code = _explain(fault)
        # Imported on a fault alone: `--help` does without what tables need.
        from bayling_eval.cli.common import printable

        # A file's name stands in messages, and may hold what steers a terminal.
        click.echo(f"bayling-eval: {printable(' '.join(message.split()))}", err=True)
        return code
    return outcome if isinstance(outcome, int) else 0


_FAULTS = (
    BaylingError,
    click.ClickException,
    click.Abort,
    KeyboardInterrupt,
    MemoryError,
    OSError,
)


def _explain(fault: BaseException) -> tuple[str, int]:
    """Return the line and the exit code of a fault that is no bug."""
    match fault:
        case BaylingError():
            return str(fault), fault.exit_code
        case click.ClickException():
            return fault.format_message(), UserError.exit_code
        case MemoryError():
            return "out of memory: give the machine more, or select less", RuntimeFault.exit_code
        case OSError(errno=errno.ENAMETOOLONG):
            return "a name on the command line is too long for a file", UserError.exit_code
        case OSError():
            where = f"{fault.filename}: " if fault.filename else ""
            full = fault.errno in (errno.ENOSPC, errno.EDQUOT)
            mend = "nothing half-written is kept; make room and run the same again"
            said = f"{where}{fault.strerror or fault}"
            return f"{said}: {mend}" if full else said, RuntimeFault.exit_code
    return "interrupted; run the same command again to go on", 130
