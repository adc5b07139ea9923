"""A report on at most three sheets of A4, for whoever prints or mails it."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages

from bayling_eval.compare import MARKS
from bayling_eval.gate.outcomes import GateOutcome, Judgement
from bayling_eval.report import causes, summary, view
from bayling_eval.report.contents import Contents
from bayling_eval.report.figures import ends, marks
from bayling_eval.report.figures.drawn import Drawn, factor, short, unit
from bayling_eval.report.figures.sheet import (
    BOTTOM,
    HEIGHT,
    MARGIN,
    SMALL,
    WIDTH,
    Column,
    Piece,
    Sheet,
    clean,
    differences,
    shrink,
)
from bayling_eval.report.figures.svg import COLOURS, canvas

PAGES = 3
"""Most pages."""
_GATES, _LOSSES, _BADGES = 8, 10, 5
_MEANS = (6, 3)
_NAME = 60
_OUTCOMES = {"pass": ("✓ pass", "fg"), "warn": ("! warn", "fg"), "fail": ("✕ fail", "down")}
_VERDICTS = {"ready": ("✓", "up"), "not_ready": ("✕", "down")}
_GATE_COLUMNS = (
    Column("Gate", 100),
    Column("Asked for", 150, lines=2),
    Column("Observed", 215, lines=2),
    Column("Result", 50),
)
_MEAN_COLUMNS = (
    Column("Mean difference", 118),
    Column("n/N", 46, right=True),
    Column("Mean Δ", 58, right=True),
    Column("95 %, these languages", 98, right=True),
    Column("95 %, languages like these", 98, right=True),
)
_MEAN_ROW = SMALL * 1.35 + 2
_AXIS = 20
_LOSS_COLUMNS = (
    Column("Confirmed losses, worst first", 128, lines=2),
    Column("Before → after", 76, right=True, lines=2),
    Column("Δ, 95 % interval", 116, right=True, lines=2),
    Column("p (Holm)", 48, right=True),
    Column("Likely cause (automatic)", 147, lines=2),
)
_SYSTEM_COLUMNS = (
    Column("System", 114),
    Column("Role", 58),
    Column("Kind", 50),
    Column("Digest", 293),
)


def write(contents: Contents) -> bytes:
    """Return ``brief.pdf``: the same contents give the same bytes, there is no date in them."""
    report, written = contents.report, io.BytesIO()
    title = f"{report.name}: {report.names[0]} against {report.names[1]}"
    told = {**dict.fromkeys(("CreationDate", "Creator", "Producer")), "Title": clean(title, 200)}
    with ExitStack() as open_:
        sheets = draw(contents, open_)
        with PdfPages(written, metadata=told) as pages:
            for sheet in sheets:
                pages.savefig(sheet.drawing, facecolor=COLOURS["bg"])
    return written.getvalue()


def draw(contents: Contents, open_: ExitStack) -> list[Sheet]:
    """Draw the pages; they are to be used while the stack is open."""
    sheets: list[Sheet] = []

    def room(height: float) -> Sheet:
        """Return the last page, or a new one where so many points are not left."""
        if not sheets or (len(sheets) < PAGES and sheets[-1].y + height > BOTTOM):
            sheets.append(Sheet(open_.enter_context(canvas(WIDTH, HEIGHT))))
        sheets[-1].y += 10 if sheets[-1].y > MARGIN else 0
        return sheets[-1]

    losses = causes.losses(contents.lines, "regressed")
    first = room(0)
    _head(first, contents)
    _gates(first, contents.report.judged)
    _means(first, contents)
    shown = _losses(first, contents, losses[:_LOSSES], len(losses))
    _directions(contents, room)
    rest = losses[shown:]
    need = 130 + 11.5 * len(contents.report.names)
    if rest:
        sheet = room(need + 80)
        _losses(sheet, contents, rest, len(rest), BOTTOM - need, more=True)
    _provenance(room(need), contents)
    for at, sheet in enumerate(sheets, 1):
        whole = (
            f"{contents.report.name}: whole report in index.html and report.json beside this file"
        )
        sheet.footer(whole, f"{at} / {len(sheets)}")
    return sheets


def _head(sheet: Sheet, contents: Contents) -> None:
    report = contents.report
    names, metric, judged = report.names, report.headline, report.judged
    counts = summary.counts(line.row for line in contents.lines[metric])
    total, noun = sum(counts.values()), view.noun(metric)
    compared = total - counts["missing"] - counts["incomparable"]
    sheet.write(f"bayling_eval · comparison brief · {short(report.name, _NAME)}", 7.5, "mut")
    others = f" (and {len(names) - 2} more)" if len(names) > 2 else ""
    title = f"{short(names[0], _NAME)} against {short(names[1], _NAME)}{others}"
    sheet.write(title, 15, most=2)
    sheet.y += 4
    said = f"{view.title(metric)}: nothing could be compared ({total} {_several(noun, total)})."
    if compared:
        said = (
            f"{view.title(metric)}: {counts['regressed']} of {total} {_several(noun, total)} "
            f"regressed, {counts['improved']} improved."
        )
    if judged:
        sign, role = _VERDICTS.get(judged.verdict, ("!", "fg"))
        sentence = judged.sentence
        sheet.write(f"{sign} {sentence[:1].upper()}{sentence[1:]}", 12, role, bold=True, most=2)
        sheet.write(said, 9)
    else:
        sheet.write(said, 12, bold=True, most=2)
        sheet.write(
            "No release rules were given: this says what differs, not whether the candidate may "
            "ship.",
            9,
        )
    tally = [
        f"{MARKS[verdict]} {count} {view.WORDS[verdict]}"
        for verdict, count in counts.items()
        if count or verdict in ("regressed", "improved")
    ]
    sheet.write("    ".join(tally), 8, most=2)
    better = view.better(metric)
    hint = f"{better.capitalize()} {view.title(metric)} is better. " if better else ""
    sheet.write(f"{hint}A difference is the candidate minus the baseline.", SMALL, "mut")
    for badge in list(_badges(contents, compared=bool(compared)))[:_BADGES]:
        sheet.write(f"! {badge}", 7.5, most=2)


def _badges(contents: Contents, *, compared: bool) -> Iterator[str]:
    """Say what must be known before a number is believed."""
    report, told = contents.report, contents.told
    for notice in contents.notices:
        yield f"These scores mean nothing: {notice}."
    if lacking := told["incomplete"]:
        more = f"; and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        yield f"Incomplete: {len(lacking)} planned not there: {short(lacking[0], 150)}{more}."
    if compared and (different := told["settings_diff"][report.names[1]]):
        cells = [cell for system in told["systems"][:2] for cell in system["cells"]]
        known = all(cell["settings_known"] for cell in cells)
        head = "Settings differ, compared on outputs alone" if known else "Settings unknown"
        yield f"{head}: {short('; '.join(different), 200)}."
    if judged := report.judged:
        used = [one for one in judged.waivers if one.state == "used"]
        for one in used[:1]:
            more = f"; and {len(used) - 1} more waivers" if len(used) > 1 else ""
            by, why = short(one.by, 40), short(one.reason, 100)
            yield f"{short(one.gate, 30)} waived by {by} until {one.expires}: {why}{more}."
        yield from (short(note, 250) for note in judged.notes)


def _gates(sheet: Sheet, judged: Judgement | None) -> None:
    """Write the gates, those that fail first: what is cut off are gates that pass."""
    if not judged or not judged.gates:
        return
    sheet.y += 8
    order = ("fail", "warn", "pass")
    gates = sorted(judged.gates, key=lambda gate: order.index(gate.outcome))
    sheet.table(_GATE_COLUMNS, [_gate(gate) for gate in gates[:_GATES]])
    _more(sheet, gates[_GATES:])


def _gate(gate: GateOutcome) -> list[Piece]:
    word, role = _OUTCOMES[gate.outcome]
    limit, observed = view.minus(gate.limit), view.minus(gate.observed)
    return [Piece(gate.gate), Piece(limit), Piece(observed), Piece(word, role, bold=True)]


def _more(sheet: Sheet, rest: Sequence[GateOutcome]) -> None:
    if rest:
        counts = [f"{sum(g.outcome == o for g in rest)} {o}" for o in ("fail", "warn", "pass")]
        said = ", ".join(text for text in counts if not text.startswith("0 "))
        sheet.write(f"and {len(rest)} more: {said}", SMALL, "mut")


def _means(sheet: Sheet, contents: Contents) -> None:
    """Write and draw the means of the deciding pair, each metric on its own scale."""
    report = contents.report
    for most, metric in zip(_MEANS, report.tables, strict=False):
        found = summary.summaries(report.found[0], report.names[1], metric)
        usual = [one for one in found if one.usual]
        if not usual:
            continue
        sheet.y += 8
        columns = [
            Column(f"Means in {view.title(metric)}", _MEAN_COLUMNS[0].width),
            *_MEAN_COLUMNS[1:],
        ]
        middles = sheet.table(columns, [_mean(one) for one in usual[:most]])
        drawn = usual[: len(middles)]
        if any(not one.no_mean for one in drawn):
            _forest(sheet, metric, drawn, middles)
        if len(usual) > most:
            sheet.write(f"and {len(usual) - most} more", SMALL, "mut")


def _mean(one: summary.Summary) -> list[Piece]:
    n = Piece(f"{one.n}/{one.n_expected}")
    macro, metric = one.macro, one.metric
    if one.no_mean or macro is None:
        said = "never averaged" if macro is None else one.no_mean.removeprefix("no mean of ")
        return [Piece(one.group), n, Piece("no mean", "mut"), Piece(said, "mut"), Piece("")]
    return [
        Piece(one.group),
        n,
        Piece(view.number(macro.delta, metric, signed=True), bold=True),
        Piece(view.interval(macro.ci_low, macro.ci_high, metric)),
        Piece(view.interval(macro.population_ci_low, macro.population_ci_high, metric)),
    ]


def _forest(
    sheet: Sheet, metric: str, found: Sequence[summary.Summary], middles: Sequence[float]
) -> None:
    """Draw means with both intervals beside their numbers."""
    left = MARGIN + sum(column.width for column in _MEAN_COLUMNS) + 10
    top, height = middles[0] - _MEAN_ROW / 2, middles[-1] - middles[0] + _MEAN_ROW
    axes = sheet.axes(
        left, top, WIDTH - MARGIN - left - 4, height, f"forest-{len(found)}-{top:.0f}"
    )
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    rows = [(one.macro, y - top) for one, y in zip(found, middles, strict=True) if not one.no_mean]
    fields = ("delta", "ci_low", "ci_high", "population_ci_low", "population_ci_high")
    by = factor(metric)
    values = [[None if (v := getattr(m, f)) is None else v * by for f in fields] for m, _ in rows]
    limits = marks.scale(v for own in values for v in own if v is not None)
    differences(axes, metric, limits)
    for (delta, *reach), (_, y) in zip(values, rows, strict=True):
        for (low, high), width in ((reach[2:], 0.8), (reach[:2], 2.6)):
            if low is not None and high is not None:
                ends_ = (limits.cut(low), limits.cut(high), y)
                marks.bars(axes, [ends_], f"mean-{y:.0f}", width, "mut")
        _dot(axes, limits.cut(delta or 0.0), y)
    shrink(axes)
    sheet.y += _AXIS


def _dot(axes: Axes, x: float, y: float) -> None:
    axes.plot([x], [y], "s", markersize=4.5, color=COLOURS["fg"], clip_on=False, zorder=4)


def _losses(
    sheet: Sheet,
    contents: Contents,
    losses: Sequence[causes.Loss],
    total: int,
    bottom: float = BOTTOM,
    *,
    more: bool = False,
) -> int:
    """Write as many losses as there is room for; return how many."""
    sheet.y += 8
    if not losses:
        if any(line.row.delta is not None for own in contents.lines.values() for line in own):
            sheet.write("No loss is confirmed.", 8)
        return 0
    several = len({line.row.family for own in contents.lines.values() for line in own}) > 1
    rows = [_loss(loss, several=several) for loss in losses]
    first, *others = _LOSS_COLUMNS
    head = replace(first, title="More confirmed losses") if more else first
    shown = len(sheet.table([head, *others], rows, bottom - 12))
    if shown < total:
        sheet.write(f"and {total - shown} more", SMALL, "mut")
    return shown


def _loss(loss: causes.Loss, *, several: bool) -> list[Piece]:
    row = loss.line.row
    name = view.name_of(row)
    if several and row.tgt_lang:
        name = f"{name}, {row.family}"
    before, after = (view.number(v, row.metric) for v in (row.baseline_value, row.candidate_value))
    change = f"{view.delta_text(row)} {view.interval(row.ci_low, row.ci_high, row.metric)}"
    cause = loss.cause.text if loss.cause else "no texts to look at"
    role = "fg" if loss.cause and loss.cause.found else "mut"
    return [
        Piece(f"{MARKS[row.verdict]} {name}"),
        Piece(f"{before} → {after}"),
        Piece(change),
        Piece(view.p_text(row)),
        Piece(cause, role),
    ]


def _directions(contents: Contents, room: Callable[[float], Sheet]) -> None:
    report = contents.report
    drawn = Drawn(report.headline, report.names, report.found, contents.lines, report.row_ids)
    found, more = ends.sides(drawn)
    if not found:
        return
    sheet = room(ends.height(found) + 30)
    head = f"Directions in order of Δ {unit(report.headline)}, worst first; worse is left"
    sheet.write(head, 9, bold=True)
    if more:
        sheet.write(
            f"The {len(found)} sides with most losses; {more} more on the page.", SMALL, "mut"
        )
    ends.draw(sheet, drawn, found)


def _provenance(sheet: Sheet, contents: Contents) -> None:
    told, report = contents.told, contents.report
    known = told["statistics"]
    sheet.write("Where the numbers come from", 9, bold=True)
    own = [m for m in told["metrics"] if m["metric"] == report.headline]
    for one in own[:2]:
        n = len(one["tasks"])
        said = f"{view.title(report.headline)}, {n} {_several(view.noun(report.headline), n)}: "
        sheet.write(f"{said}{one['signature']}", SMALL, most=2)
    if len(own) > 2:
        sheet.write(f"and {len(own) - 2} more signatures", SMALL, "mut")
    effects = ", ".join(view.effect(m, size) for m, size in known["minimum_effect"].items())
    sheet.write(
        f"Paired approximate randomisation, {known['trials']:,} trials; paired bootstrap, "
        f"{known['resamples']:,} resamples; seed {known['seed']}. Holm at "
        f"{100 * known['alpha']:g} %, Benjamini–Hochberg at "
        f"{100 * known['false_discovery_rate']:g} %, over one baseline and one metric. "
        f"Minimum effect: {effects}. bayling-eval {told['versions']['bayling-eval']}.",
        SMALL,
        most=3,
    )
    sheet.write(f"Made by: {told['command']}", SMALL, most=2)
    sheet.y += 4
    systems = [
        [
            Piece(one["label"]),
            Piece("deciding" if one["deciding"] else one["role"]),
            Piece(one["kind"]),
            Piece(one["digest"]),
        ]
        for one in told["systems"]
    ]
    shown = len(sheet.table(_SYSTEM_COLUMNS, systems))
    if shown < len(systems):
        sheet.write(f"and {len(systems) - shown} more", SMALL, "mut")


def _several(noun: str, n: int) -> str:
    return noun if n == 1 else f"{noun}s"
