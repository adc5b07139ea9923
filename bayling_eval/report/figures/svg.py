"""A matplotlib drawing becomes inline SVG without styles, a standalone file, and a PDF.

matplotlib writes fixed colours into ``style`` attributes, which the page's content policy forbids
and no dark theme can change: each colour of ``COLOURS`` becomes a class that ``figures.css`` fills
in (``f-up`` fill, ``s-up`` stroke), everything else a presentation attribute.
"""

import io
import itertools
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from xml.etree import ElementTree as ET

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import findfont, get_font
from matplotlib.text import Text

from bayling_eval.gate.words import visible

FONT_SIZE = 11
"""Pixels of a text that says nothing else."""
COLOURS: Mapping[str, str] = {
    "fg": "#1b1f24",
    "mut": "#57606a",
    "line": "#d0d7de",
    "band": "#eaeef2",
    "bg": "#ffffff",
    "up": "#1a5fa8",
    "up1": "#e3eefb",
    "up2": "#c5dcf6",
    "up3": "#a3c8f0",
    "down": "#a84400",
    "down1": "#fdeee0",
    "down2": "#fbd9bb",
    "down3": "#f7c193",
    "c1": "#0b62b0",
    "c2": "#b35000",
    "c3": "#1b7f5c",
    "c4": "#8a3f9b",
    "c5": "#8c6d00",
    "c6": "#5b6670",
}
"""Every colour that may be drawn with, by role, as it is on paper; ``c1`` to ``c6`` are series."""
_RC = {
    "axes.edgecolor": COLOURS["line"],
    "axes.facecolor": "none",
    "axes.labelcolor": COLOURS["fg"],
    "axes.labelsize": FONT_SIZE,
    "axes.linewidth": 1,
    "axes.prop_cycle": f"cycler('color', ['{COLOURS['fg']}'])",
    "axes.unicode_minus": True,
    "figure.dpi": 72,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "path.simplify": False,
    "pdf.fonttype": 42,
    "pdf.use14corefonts": False,
    "savefig.dpi": 72,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "bayling_eval",
    "text.color": COLOURS["fg"],
    "text.parse_math": False,
    "text.usetex": False,
    "xtick.color": COLOURS["mut"],
    "xtick.labelsize": FONT_SIZE,
    "ytick.color": COLOURS["mut"],
    "ytick.labelsize": FONT_SIZE,
}
_SVG = "http://www.w3.org/2000/svg"
_G = f"{{{_SVG}}}g"
_HREF = "{http://www.w3.org/1999/xlink}href"
_ROLES = {colour: role for role, colour in COLOURS.items()}
_MARK = "g:"
# Inherited, so that a group can say it once for all that is in it.
_SHARED = (
    *("class", "fill", "font-size", "font-weight", "stroke", "stroke-width", "stroke-linecap"),
    *("stroke-linejoin", "stroke-dasharray", "text-anchor"),
)
_MEASURES = {"d", "height", "stroke-width", "transform", "viewBox", "width", "x", "y"}
_NUMBER = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True)
class Figure:
    """A drawing as the page and the folder of figures take it."""

    name: str
    """Safe file stem and id: ``directions-flores200``."""
    title: str
    """Heading."""
    alt: str
    """What is drawn and what it shows, in one to three sentences."""
    svg: str
    """``<svg>`` to stand in the page: its colours are classes."""
    files: Mapping[str, bytes]
    """``svg`` and ``pdf``: files of their own, with fixed colours."""
    note: str = ""
    """How to read it; what is not drawn, and where it is."""
    header: tuple[str, ...] = ()
    """Columns of the numbers behind it, where no table of the page has them."""
    rows: tuple[tuple[str, ...], ...] = ()
    """Rows of these."""
    fold: bool = False
    """Whether it is shown folded."""


@dataclass
class _Names:
    """New, short ids in the order that they are met in."""

    prefix: str
    found: dict[str, str] = field(default_factory=dict)

    def of(self, old: str) -> str:
        return self.found.setdefault(old, f"{self.prefix}-{len(self.found)}")


@contextmanager
def canvas(width_px: float, height_px: float) -> Iterator[Canvas]:
    """Give an empty drawing whose unit is a CSS pixel; draw in the block, ``finish`` inside it too.

    Colours are those of ``COLOURS``; text is taken as it is, ``$`` too.
    """
    with style.context(["default", _RC]), warnings.catch_warnings():
        # The SVG holds text, not glyphs: the browser has fonts for it. The PDF: see spelt.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        yield Canvas(figsize=(width_px / 72, height_px / 72))


def panel(drawing: Canvas, box: tuple[float, float, float, float], gid: str = "") -> Axes:
    """Return axes whose box is left, top, width and height in pixels from the upper left corner."""
    width, height = (float(size) * 72 for size in drawing.get_size_inches())
    left, top, wide, high = box
    axes = drawing.add_axes((left / width, 1 - (top + high) / height, wide / width, high / height))
    axes.set_gid(mark(gid or "panel"))
    axes.tick_params(length=0, pad=4)
    for side in axes.spines.values():
        side.set_visible(False)
    return axes


def mark(name: str) -> str:
    """Return the ``gid`` of an artist whose group is to be found by ``data-g="name"``."""
    return f"{_MARK}{name}"


def finish(
    drawing: Canvas,
    name: str,
    title: str,
    alt: str,
    *,
    tips: Mapping[str, Sequence[str]] | None = None,
    **told: object,
) -> Figure:
    """Turn a drawing into a figure: same drawing, same bytes. Call it inside ``canvas``.

    ``name`` is of letters, digits, ``-`` and ``_``. ``tips`` are what the marks of a group say
    under the pointer, by its ``mark`` name, in the order of drawing. ``told`` are further fields of
    ``Figure``: ``note``, ``header``, ``rows``, ``fold``.

    Raises:
        ValueError: the name is no safe id, or a colour is not of ``COLOURS``.
    """
    if not re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII):
        raise ValueError(f"{name!r} is no name of a file")
    for label in drawing.findobj(Text):
        # matplotlib writes control characters as they are, which no XML may hold.
        label.set_text(visible(label.get_text(), 10_000))
    written = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    drawing.savefig(written, format="svg", metadata=nothing)
    text = written.getvalue().decode("utf-8")
    inline = _document(text, name, themed=True)
    _say(inline, title, alt, name)
    _tip(inline, tips or {})
    alone = _document(text, name, themed=False)
    _say(alone, title, alt, name)
    files = {"svg": _file(alone), "pdf": _pdf(drawing)}
    return Figure(name, title, alt, _text(inline), files, **told)  # type: ignore[arg-type]


def _document(text: str, name: str, *, themed: bool) -> ET.Element:
    """Return the drawing's tree without styles, own ids and what says nothing."""
    root = ET.fromstring(text)  # noqa: S314  # matplotlib wrote it
    for parent in root.iter():
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    names = _Names(name)
    for element in root.iter():
        element.text = (element.text or "").strip() or None
        element.tail = None
        _rename(element, names)
        _unstyle(element, themed=themed)
    for marker in root.iterfind(".//{*}defs/{*}path"):
        # What uses it says so; said here too, no use could.
        _drop(marker, "class", "fill", "stroke", "stroke-width", "stroke-linejoin")
    _tidy(root)
    width, height = root.get("viewBox", "").split()[2:]
    root.attrib.clear()
    root.attrib |= {"viewBox": f"0 0 {width} {height}", "width": width, "height": height}
    root.attrib |= {"font-size": str(FONT_SIZE), "stroke-linejoin": "round"}
    root.attrib |= {"class": "fig f-fg"} if themed else {"fill": COLOURS["fg"]}
    return root


def _rename(element: ET.Element, names: _Names) -> None:
    """Turn ids into names of ours: marks and ticks are found by them, references hold."""
    old = element.attrib.pop("id", "")
    if old.startswith(_MARK):
        element.set("data-g", old.removeprefix(_MARK))
    elif tick := re.fullmatch(r"([xy]tick)_\d+", old):
        element.set("data-g", tick[1])
    elif old and element.tag in (f"{{{_SVG}}}path", f"{{{_SVG}}}clipPath"):
        element.set("id", names.of(old))
    target = element.attrib.pop(_HREF, "")
    if target:
        own = element.tag == f"{{{_SVG}}}use"
        element.set("href", f"#{names.of(target[1:])}" if own else target)
    element.attrib.pop("target", None)
    if clip := re.fullmatch(r"url\(#(.*)\)", element.get("clip-path", "")):
        element.set("clip-path", f"url(#{names.of(clip[1])})")


def _unstyle(element: ET.Element, *, themed: bool) -> None:
    """Turn the style into attributes, colours into classes where the page is to choose them."""
    classes = []
    for part in filter(None, element.attrib.pop("style", "").split(";")):
        key, value = (side.strip() for side in part.split(":", 1))
        if key == "font-family" or (key, value) == ("font-size", f"{FONT_SIZE}px"):
            continue
        if key not in ("fill", "stroke") or value == "none":
            element.set(key, value.removesuffix("px"))
        elif value not in _ROLES:
            raise ValueError(f"{value} is no colour of ours")
        elif not themed:
            element.set(key, value)
        elif (key, value) != ("fill", COLOURS["fg"]) or element.tag != f"{{{_SVG}}}text":
            classes.append(f"{key[0]}-{_ROLES[value]}")
    if classes:
        element.set("class", " ".join(classes))
    if (element.get("transform") or "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    for key in _MEASURES & element.attrib.keys():
        value = _NUMBER.sub(_short, element.attrib[key])
        element.set(key, " ".join(value.split()))


def _short(found: re.Match[str]) -> str:
    """Return a number in hundredths of a pixel."""
    text = f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _tidy(element: ET.Element) -> None:
    """Say what all in a group share once, and drop groups that say nothing."""
    for child in list(element):
        _tidy(child)
        empty = not len(child) and child.tag in (_G, f"{{{_SVG}}}defs")
        if empty or (child.get("fill") == "none" and not _stroked(child)):
            element.remove(child)
    drawn = [child for child in element if child.tag != f"{{{_SVG}}}defs"]
    if drawn and element.tag in (_G, f"{{{_SVG}}}a"):
        for key in _SHARED:
            values = {child.get(key) for child in drawn}
            if key not in element.attrib and len(values) == 1 and (value := values.pop()):
                element.set(key, value)
                for child in drawn:
                    del child.attrib[key]
    kept: list[ET.Element] = []
    for child in element:
        kept += list(child) if child.tag == _G and not child.attrib else [child]
    element[:] = kept


def _stroked(element: ET.Element) -> bool:
    """Return whether there is more to see than an area that is not filled."""
    return any(
        one.get("stroke") or "s-" in one.get("class", "") or one.tag not in (_G, f"{{{_SVG}}}path")
        for one in element.iter()
    )


def _drop(element: ET.Element, *keys: str) -> None:
    for key in keys:
        element.attrib.pop(key, None)


def _say(root: ET.Element, title: str, alt: str, name: str) -> None:
    """Say what is drawn to those who do not see it.

    ``role=img`` would hide the links inside; a ``title`` of the root would be under the pointer
    everywhere.
    """
    linked = root.find(".//{*}a") is not None
    root.attrib |= {"role": "group" if linked else "img", "aria-label": visible(title)}
    root.set("aria-describedby", f"{name}-desc")
    described = ET.Element(f"{{{_SVG}}}desc", {"id": f"{name}-desc"})
    described.text = visible(alt, 5_000)
    root.insert(0, described)


def _tip(root: ET.Element, tips: Mapping[str, Sequence[str]]) -> None:
    for name, texts in tips.items():
        group = root.find(f".//*[@data-g='{name}']")
        uses = [] if group is None else list(group.iter(f"{{{_SVG}}}use"))
        for use, text in itertools.zip_longest(uses, texts):
            ET.SubElement(use, f"{{{_SVG}}}title").text = visible(text)


def _text(root: ET.Element) -> str:
    ET.register_namespace("", _SVG)
    return ET.tostring(root, encoding="unicode")


def _file(root: ET.Element) -> bytes:
    """Return a tree as a file: on white, with a font, links to rows of the page undone."""
    for parent in list(root.iter()):
        for at, child in enumerate(list(parent)):
            if child.tag == f"{{{_SVG}}}a":
                parent[at : at + 1] = list(child)
    root.set("font-family", "DejaVu Sans, Noto Sans, sans-serif")
    paper = {"width": "100%", "height": "100%", "fill": COLOURS["bg"]}
    root.insert(1, ET.Element(f"{{{_SVG}}}rect", paper))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_text(root)}\n'.encode()


def _pdf(drawing: Canvas) -> bytes:
    """Return a drawing as PDF, without a date; it has no links, there is no page to go to."""
    for artist in drawing.findobj():
        artist.set_url(None)
        if isinstance(artist, Text):
            artist.set_text(spelt(artist.get_text()))
    written = io.BytesIO()
    nothing = dict.fromkeys(("CreationDate", "Creator", "Producer"))
    drawing.savefig(written, format="pdf", facecolor=COLOURS["bg"], metadata=nothing)
    return written.getvalue()


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def spelt(text: str) -> str:
    """Return a text in which what the PDF's font lacks is spelt out, rather than an empty box."""
    return "".join(c if ord(c) in _glyphs() else ascii(c)[1:-1] for c in text)
