"""What ``compare`` says of one metric and one baseline: a block of texts, printed in some form."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

from bayling_eval.cli import common
from bayling_eval.cli import compare_texts as texts
from bayling_eval.compare import MARKS, Comparisons, Keys, measured, shared
from bayling_eval.digits import places
from bayling_eval.method import Method
from bayling_eval.records import Comparison, MacroRow

_WORST = 15
# Tasks that are named under one reason, and reasons that are given.
_NAMED = 6
Texts = Mapping[str, str]


@dataclass(frozen=True)
class Block:
    """One metric of one pair, as texts."""

    metric: str
    """Name of the metric."""
    title: str
    """Metric, systems, and how many rows there are."""
    about: tuple[str, ...]
    """How verdicts come about, the family of tests, and the signature."""
    groups: Sequence[Texts]
    """One row a group: mean difference, intervals, verdicts."""
    members: Sequence[str]
    """Groups that are too small for a mean, member by member."""
    few: Sequence[str]
    """What else is to be said of means."""
    rows: Sequence[Texts]
    """One row a direction or task, worst first."""
    rest: Sequence[str]
    """What has no row: counts, and reasons."""


def blocks(
    found: Sequence[Comparisons], method: Method, by: Sequence[str], *, every: bool
) -> Iterator[tuple[Comparisons, list[Block]]]:
    """Return a block a metric of each pair; all rows with ``every``, else the worst."""
    names = texts.short_names(row for pair in found for row in pair.rows)
    common_keys = shared(found)
    for number, pair in enumerate(found):
        role = "" if len(found) == 1 else " (does not decide)" if number else " (decides)"
        who = " against ".join(texts.system_names([pair.candidate, pair.baseline]))
        made = []
        for metric in dict.fromkeys(row.metric for row in pair.rows):
            rows = [row for row in pair.rows if row.metric == metric]
            macro = [row for row in pair.macro if row.metric == metric]
            title = f"{metric}: {who}{role}, {texts.count(rows)}"
            tests = f"{texts.method_of(rows, method)}; one family of tests: {texts.family_of(rows)}"
            about = (tests, f"Signature {texts.signature_of(rows)}")
            groups = _groups(rows, macro, by, common_keys)
            shown, left = _worst(rows, every=every)
            rest = [*left, *_reasons(rows, names, every=every)]
            members, few = list(_members(rows, macro, names)), []
            if not macro:
                few = [f"no means of {metric}: its tokenizers change with the language"]
            lines = _lines(shown, names)
            made.append(Block(metric, title, about, groups, members, few, lines, rest))
        yield pair, made


def differing(found: Iterable[Comparisons]) -> str:
    """Return the settings that differ or are unknown, in words; empty where none does."""
    return "; ".join(sorted({d for pair in found for row in pair.rows for d in row.settings_diff}))


def show(block: Block, form: str) -> None:
    """Print a block on stdout, for a terminal or as Markdown."""
    if form == "md":
        about = "\n\n".join(f"`{line}`" for line in block.about)
        click.echo(f"### {common.markdown(block.title)}\n\n{about}")
    else:
        click.echo("\n".join((block.title, *block.about)))
    for rows, lines in (
        (block.groups, [*block.members, *block.few]),
        (block.rows, block.rest),
    ):
        if rows:
            click.echo("")
            common.emit({"rows": rows}, form, list(rows[0]))
        say(lines, form)
    click.echo("")


def say(lines: Sequence[str], form: str) -> None:
    """Print lines on stdout, for a terminal or as a list of Markdown."""
    if form == "md" and lines:
        click.echo("")
    for line in map(common.printable, lines):
        click.echo(f"- {common.markdown(line)}" if form == "md" else line)


def _groups(
    rows: Sequence[Comparison], macro: Sequence[MacroRow], by: Sequence[str], common_keys: Keys
) -> Sequence[Texts]:
    """Return the group table of one metric; groups again that another pair has less of."""
    means: dict[tuple[str, ...], MacroRow] = {(m.by, m.group, m.tasks): m for m in macro}
    own = texts.grouped(rows, by)
    less = texts.grouped([row for row in rows if (row.task, row.metric) in common_keys], by)
    chosen = [(key, "pair", members) for key, members in own.items()]
    for key, members in less.items():
        if measured(members) != measured(own[key]):
            chosen.append((key, "common", members))
    table: list[Texts] = []
    for (name, group), tasks, members in chosen:
        label = group if tasks == "pair" else f"{group}, common tasks"
        done = f"{len(measured(members))}/{len(members)}"
        mean = _mean(means.get((name, group, tasks)), macro)
        table.append({"group": label, "n/N": done, **mean, **texts.verdict_counts(members)})
    return table


def _mean(mean: MacroRow | None, macro: Sequence[MacroRow]) -> Texts:
    """Return the cells of a mean; none under a metric that is never averaged."""
    if not macro:
        return {}
    # A group without a mean has the same columns.
    row = mean or macro[0].model_copy(update=dict.fromkeys(MacroRow.model_fields))
    metric = macro[0].metric
    weights = next((one.weights for one in macro if one.weights), None)
    cells = {
        "delta": texts.mean_text(metric, row.delta),
        "these languages": texts.interval_text(metric, row.ci_low, row.ci_high),
        "languages like these": texts.interval_text(
            metric, row.population_ci_low, row.population_ci_high
        ),
    }
    if weights:
        n = f"{row.effective_n:.1f} of {row.n_weighted}" if row.effective_n else "–"
        ends = (row.weighted_ci_low, row.weighted_ci_high)
        cells |= {
            f"by {weights}": texts.mean_text(metric, row.weighted_delta),
            "weighted interval": texts.interval_text(metric, *ends),
            "effective n": n,
        }
    return cells


def _members(
    rows: Sequence[Comparison], macro: Sequence[MacroRow], names: Mapping[str, str]
) -> Iterator[str]:
    """Say what stands instead of the mean of a small group."""
    by_task = {row.task: row for row in rows}
    for mean in macro:
        if mean.members and mean.tasks == "pair":
            members = (by_task[task] for task in mean.members)
            each = (f"{names[m.task]} {MARKS[m.verdict]} {texts.delta_text(m)}" for m in members)
            yield f"{mean.group}, too few for a mean: {', '.join(each)}"


def _worst(rows: Sequence[Comparison], *, every: bool) -> tuple[list[Comparison], list[str]]:
    """Return the rows to show of those with numbers, and a count of the others by verdict."""
    numbered = [row for row in rows if row.delta is not None]
    shown = numbered if every else numbered[:_WORST]
    left = texts.verdict_counts(numbered[len(shown) :])
    counts = "  ".join(f"{mark} {n}" for mark, n in left.items() if n != "0")
    more = f"… {len(numbered) - len(shown)} more (--all): {counts}"
    return shown, [more] if counts else []


def _lines(rows: Sequence[Comparison], names: Mapping[str, str]) -> Sequence[Texts]:
    """Return the table of directions or tasks: another key is another column."""
    noun = texts.noun(rows)
    lines = [{"": MARKS[row.verdict], noun: names[row.task], **_numbers(row)} for row in rows]
    if not any(row.collapsed for row in rows):
        lines = [{key: t for key, t in line.items() if key != "collapsed"} for line in lines]
    return list(lines)


def _numbers(row: Comparison) -> dict[str, str]:
    shown = places(row.metric)
    values = {
        "baseline": row.baseline_value,
        "candidate": row.candidate_value,
        "detectable": row.detectable_effect,
    }
    known = {key: "–" if v is None else f"{v:.{shown}f}" for key, v in values.items()}
    return {
        "baseline": known["baseline"],
        "candidate": known["candidate"],
        "delta": texts.delta_text(row),
        "95 % interval": texts.interval_text(row.metric, row.ci_low, row.ci_high),
        "p (Holm)": texts.p_text(row),
        "detectable": known["detectable"],
        "collapsed": "–" if row.collapsed is None else f"{row.collapsed:,}",
        "n": "–" if row.n is None else f"{row.n:,}",
    }


def _reasons(rows: Iterable[Comparison], names: Mapping[str, str], *, every: bool) -> Iterator[str]:
    """Say why rows have no numbers, one line a reason."""
    why: dict[str, list[str]] = {}
    for row in rows:
        if row.delta is None:
            said = f"{MARKS[row.verdict]}  {row.verdict}: {row.reason or 'no reason is known'}"
            why.setdefault(said, []).append(names[row.task])
    reasons = list(why.items())
    for reason, tasks in reasons if every else reasons[:_NAMED]:
        named = tasks if every else tasks[:_NAMED]
        more = f" … {len(tasks) - len(named)} more (--all)" if len(tasks) > len(named) else ""
        yield f"{reason}: {', '.join(named)}{more}"
    if len(reasons) > _NAMED and not every:
        left = sum(len(tasks) for _, tasks in reasons[_NAMED:])
        yield f"… {left} more without numbers (--all)"
