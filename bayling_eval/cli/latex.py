"""Tables that pdflatex compiles with booktabs and longtable, whatever their texts hold."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

_SPECIAL = str.maketrans(
    {
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        # A signature has no other place to break a line at.
        "|": r"\textbar\allowbreak{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        # After \\ a bracket or a star would be taken for its argument.
        "[": "{[}",
        "*": "{*}",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "–": r"\textendash{}",
        "…": r"\ldots{}",
        "→": r"$\rightarrow$",
        # The marks of verdicts are in no font that pdflatex loads by itself.
        "▼": r"$\downarrow$",
        "▽": r"$\searrow$",
        "≈": r"$\approx$",
        "·": r"$\cdot$",
        "△": r"$\nearrow$",
        "▲": r"$\uparrow$",
    }
)
_MINUS = re.compile(r"(?<!\w)-(?=\d)")
_FONT = re.compile(r"\\(textbf|scriptsize|phantom)\b ?")
_COMMAND = re.compile(r"\\([A-Za-z]+(\{\})?|[^A-Za-z])")
# What both columns of an A4 or letter page hold, in points; twice \tabcolsep comes to each column.
_WIDTH, _SEP = 450, 6
# Widths in Computer Modern at \footnotesize, in points.
_NARROW, _WIDE, _OTHER = 2.6, 6.0, 4.3
_COLUMNS = 12
# More lines than these, with a caption, do not fit on a page.
_LINES = 50


@dataclass(frozen=True)
class Table:
    """A table of cells in LaTeX: who makes one has escaped them."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str
    """First sentence of the caption; parts of a table have it each."""
    said: str
    """The other sentences."""
    label: str
    """Becomes ``tab:...``."""
    left: frozenset[int] = frozenset({0})
    """Columns that are not aligned to the right."""
    named: int = 1
    """First columns, which say what a row is: each part of a table that is cut has them."""
    rules: frozenset[int] = frozenset()
    """Rows with a rule above."""
    gaps: frozenset[int] = frozenset()
    """Rows with a little room above."""
    notes: Mapping[int, str] = field(default_factory=dict)
    """By row: a line across all columns above it."""


def escape(text: str) -> str:
    """Return what prints a text as it is; a number below zero gets a real minus."""
    escaped = re.sub("-(?=-)", "-{}", text.translate(_SPECIAL))
    return _MINUS.sub("$-$", escaped)


def bold(cell: str) -> str:
    """Return an escaped cell in bold."""
    return rf"\textbf{{{cell}}}"


def small(cell: str) -> str:
    """Return an escaped cell in small print."""
    return rf"{{\scriptsize {cell}}}" if cell else ""


def tabular(columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Return texts as one tabular, without caption."""
    head = tuple(escape(name.replace("_", " ")) for name in columns)
    rows = tuple(tuple(map(escape, row)) for row in cells)
    left = frozenset(index for index, aligned in enumerate(right) if not aligned)
    return "\n".join(_tabular(Table(head, rows, "", "", "", left)))


def render(table: Table) -> str:
    """Return a table with its caption: cut between columns if too wide, over pages if too long."""
    parts = list(_parts(table))
    if len(table.rows) > _LINES:
        return "\n\n".join(_long(part, n, len(parts)) for n, part in enumerate(parts, 1))
    room = max(1, _LINES // (len(table.rows) + 3))
    floats = [parts[start : start + room] for start in range(0, len(parts), room)]
    return "\n\n".join(_float(own, n, len(floats)) for n, own in enumerate(floats, 1))


def _float(parts: Sequence[Table], number: int, count: int) -> str:
    """Return tables with one caption: over both columns where they need them."""
    star = "*" if any(sum(_widths(part)) > _WIDTH / 2 for part in parts) or count > 1 else ""
    tabulars = "\n\\par\\medskip\n".join("\n".join(_tabular(part)) for part in parts)
    lines = [
        r"% \usepackage{booktabs}",
        rf"\begin{{table{star}}}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        tabulars,
        _caption(parts[0], number, count),
        rf"\end{{table{star}}}",
    ]
    return "\n".join(lines)


def _caption(table: Table, number: int, count: int) -> str:
    """Return caption and label; what is said of a table stands under its first part."""
    part = f" (part {number} of {count})" if count > 1 else ""
    said = f". {table.said}" if number == 1 else "."
    words = f"{table.label} {number}" if number > 1 else table.label
    label = re.sub("[^A-Za-z0-9]+", "-", words.replace("++", "pp")).strip("-")
    return f"\\caption{{{table.title}{part}{said}}}\n\\label{{tab:{label}}}"


def _parts(table: Table) -> Iterator[Table]:
    """Cut a table between columns where it is too wide; each part has what names its rows."""
    widths, kept = _widths(table), list(range(table.named))
    for index in range(table.named, len(widths)):
        wide = sum(widths[i] for i in (*kept, index)) > _WIDTH
        if len(kept) > table.named and (wide or len(kept) > _COLUMNS):
            yield _cut(table, kept)
            kept = list(range(table.named))
        kept.append(index)
    yield _cut(table, kept)


def _cut(table: Table, kept: Sequence[int]) -> Table:
    head = tuple(table.head[i] for i in kept)
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    left = frozenset(place for place, i in enumerate(kept) if i in table.left)
    return replace(table, head=head, rows=rows, left=left)


def _widths(table: Table) -> list[float]:
    columns = zip(table.head, *table.rows, strict=True)
    return [max(map(_points, column)) + _SEP for column in columns]


def _points(cell: str) -> float:
    """Return about how wide a cell is."""
    shrunk = 0.85 if r"\scriptsize" in cell else 1.15 if r"\textbf" in cell else 1.0
    plain = re.sub(r"[{}$^]", "", _COMMAND.sub("+", _FONT.sub("", cell)))
    narrow, wide = sum(c in " .,:;|'[]()/ijlftr" for c in plain), sum(map(str.isupper, plain))
    return shrunk * (_NARROW * narrow + _WIDE * wide + _OTHER * (len(plain) - narrow - wide))


def _tabular(table: Table) -> list[str]:
    head = [rf"\begin{{tabular}}{{{_spec(table)}}}", r"\toprule", _line(table.head), r"\midrule"]
    return [*head, *_body(table), r"\bottomrule", r"\end{tabular}"]


def _long(table: Table, number: int, count: int) -> str:
    """Return a part of a table with its head on each page."""
    head = [r"\toprule", _line(table.head), r"\midrule"]
    lines = [
        r"% \usepackage{booktabs,longtable}; where there are two columns, after \onecolumn",
        r"{\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\LTcapwidth}{\textwidth}",
        rf"\begin{{longtable}}{{{_spec(table)}}}",
        rf"{_caption(table, number, count)}\\",
    ]
    lines += [*head, r"\endfirsthead", *head, r"\endhead", r"\bottomrule", r"\endlastfoot"]
    return "\n".join([*lines, *_body(table), r"\end{longtable}", "}"])


def _spec(table: Table) -> str:
    return "".join("l" if index in table.left else "r" for index in range(len(table.head)))


def _body(table: Table) -> Iterator[str]:
    for index, row in enumerate(table.rows):
        if index in table.rules:
            yield r"\midrule"
        elif index in table.gaps:
            yield r"\addlinespace"
        if note := table.notes.get(index):
            yield rf"\multicolumn{{{len(table.head)}}}{{l}}{{{note}}} \\"
        yield _line(row)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
