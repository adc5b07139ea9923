"""Figures of the page: drawn by matplotlib, shown as SVG that follows the page's theme."""
