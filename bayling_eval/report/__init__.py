"""The HTML report: one self-contained page, the same numbers as JSON and CSV."""
