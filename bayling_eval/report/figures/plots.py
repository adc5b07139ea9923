"""All figures of a report, by section of the page."""

from bayling_eval.report.figures.drawn import Drawn
from bayling_eval.report.figures.svg import Figure

__all__ = ["Drawn", "draw"]


def draw(drawn: Drawn) -> dict[str, list[Figure]]:
    """Return the figures of each section; a section that has none is absent.

    ``overview``, ``directions``, ``level``, ``groups``, ``families`` and ``knowledge``.
    """
    from bayling_eval.report.figures import directions, families, forest, knowledge, level

    made = {
        "overview": forest.overview(drawn),
        "directions": directions.draw(drawn),
        "level": level.draw(drawn),
        "groups": forest.groups(drawn),
        "families": families.draw(drawn),
        "knowledge": knowledge.draw(drawn),
    }
    return {section: figures for section, figures in made.items() if figures}
