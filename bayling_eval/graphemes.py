"""Texts cut where people see one character end."""

import regex


def cut(text: str, limit: int) -> str:
    """Return the start of a text, at most ``limit`` code points, without half a cluster."""
    if len(text) <= limit:
        return text
    end = 0
    # Overlong, so that a cluster that the limit cuts is seen whole unless it is endless.
    for match in regex.finditer(r"\X", text[: limit + 32]):
        if match.end() > limit:
            break
        end = match.end()
    return text[: end or limit]
