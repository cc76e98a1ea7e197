"""Elements of a self-contained HTML page: without external files, with all text escaped.

Only the viewer of volumes (`ucf_vit.drawing.viewer`) has scripts.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

_CSS = """
:root { color-scheme: light dark; --text: #1c2430; --soft: #5d6878; --line: #e2e6ec; --page: #f5f7f9;
  --card: #ffffff; --accent: #0b63a8; --warn: #9a4b00; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ee; --soft: #9aa6b6; --line: #313a47;
  --page: #14181f; --card: #1d232c; --accent: #6fb7f2; --warn: #f0a860; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2.5rem 1.25rem 4rem; background: var(--page);
  color: var(--text); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2.25rem 0 .75rem; font-size: 1.1rem; }
.soft { color: var(--soft); margin: .25rem 0 1.5rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.25rem; }
.card + .card { margin-top: .75rem; }
.card + .soft { margin-top: .75rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .9rem 1.5rem;
  margin: 0; }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.facts .wide { grid-column: 1 / -1; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .75rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
tr:last-child > * { border-bottom: 0; }
th:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--soft); font-size: .8rem; font-weight: 500; }
tbody th { font-weight: 500; }
td.best, tr.marked > * { color: var(--accent); font-weight: 700; }
.gallery { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
figure { margin: 0; max-width: 48rem; padding: .5rem; background: #fff;
  border: 1px solid var(--line); border-radius: 10px; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figure.themed { max-width: 62rem; }
.card + figure, figure + figure { margin-top: 1rem; }
.gallery figure + figure { margin-top: 0; }
@media (max-width: 40rem) { figure.themed { overflow-x: auto; } figure.themed img { max-width: 44rem; }
  .gallery figure.themed img { max-width: 100%; } }
@media (prefers-color-scheme: dark) { figure.themed { background: var(--card); } }
.viewer .controls { display: flex; flex-wrap: wrap; gap: .4rem 1.4rem; margin: 0 0 .75rem; }
.viewer .canvas { height: min(70vh, 34rem); border-radius: 6px; overflow: hidden; background: #000; }
.viewer canvas { width: 100%; height: 100%; display: block; }
.viewer .soft { margin: .5rem 0 0; }
a { color: var(--accent); }
details + details { margin-top: .75rem; }
summary { cursor: pointer; font-weight: 600; }
pre { margin: .75rem 0 0; overflow-x: auto;
  font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
ul.warnings { margin: 0; padding-left: 2.25rem; overflow-wrap: anywhere; }
ul.warnings li::marker { color: var(--warn); }
"""
_MARKED = ' class="marked"'
_WIDE, _LONG = ' class="wide"', 60
"""Attribute of facts that take a row of their own, and the number of characters above which they do."""


@dataclass(frozen=True)
class Table:
    """Table with named rows and columns, e.g. `{"UNETR": {"dice_1": 0.91}, "threshold": {"dice_1": 0.62}}`.

    `names` is the heading of the names of the rows. `better` marks the best number of each column: "max",
    "min", or None to mark none; `marked` are names of rows that are marked as a whole.
    """

    names: str
    rows: Mapping[str, Mapping[str, float | str]]
    better: Literal["max", "min"] | None = None
    marked: Collection[str] = ()


def page(title: str, subtitle: str, parts: Sequence[str]) -> str:
    """Returns the whole document."""
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        f'<h1>{html.escape(title)}</h1>\n<p class="soft">{html.escape(subtitle)}</p>\n'
        f"{body}\n</body>\n</html>\n"
    )


def section(title: str, content: str) -> str:
    """Returns a heading with its content, which is HTML; empty if there is no content."""
    return f"<h2>{html.escape(title)}</h2>\n{content}" if content else ""


def facts(values: Mapping[str, str]) -> str:
    """Returns names and values as a grid, long values over its whole width."""
    items = (
        f"<div{_WIDE if len(value) > _LONG else ''}>"
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
        for name, value in values.items()
    )
    return f'<dl class="card facts">{"".join(items)}</dl>' if values else ""


def table(content: Table) -> str:
    """Returns a table with the union of all columns; missing values are dashes."""
    columns = dict.fromkeys(column for row in content.rows.values() for column in row)
    best = {column: _best(content, column) for column in columns}
    head = "".join(f"<th>{html.escape(column)}</th>" for column in (content.names, *columns))
    rows = "".join(
        f"<tr{_MARKED if name in content.marked else ''}><th>{html.escape(name)}</th>"
        f"{''.join(_cell(row, *item) for item in best.items())}</tr>"
        for name, row in content.rows.items()
    )
    return (
        f'<div class="card scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def gallery(figures: Sequence[str]) -> str:
    """Returns figures side by side, each from `image`."""
    return f'<div class="gallery">{"".join(figures)}</div>' if figures else ""


def image(name: str, png: bytes, dark: bytes | None = None) -> str:
    """Returns a PNG file embedded in the page, and another one that takes its place in dark pages, if any."""
    light = f'<img alt="{html.escape(name)}" src="{_address(png)}">'
    if dark is None:
        return f"<figure>{light}</figure>"
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{_address(dark)}">'
    return f'<figure class="themed"><picture>{source}{light}</picture></figure>'


def link(text: str, address: str) -> str:
    """Returns a paragraph that links to another file beside the page."""
    return f'<p><a href="{html.escape(quote(address), quote=True)}">{html.escape(text)}</a></p>'


def warnings(counts: Mapping[str, int], limit: int = 50) -> str:
    """Returns a list of at most `limit` messages, each with its number of occurrences."""
    lines = [
        html.escape(text) + (f" (&times; {count})" if count > 1 else "") for text, count in counts.items()
    ]
    if len(lines) > limit:
        lines = [*lines[:limit], f"… and {len(lines) - limit} more in the log"]
    return f'<ul class="card warnings">{"".join(f"<li>{line}</li>" for line in lines)}</ul>' if lines else ""


def notes(lines: Sequence[str]) -> str:
    """Sentences below a table, a paragraph each."""
    return "".join(f'<p class="soft">{html.escape(line)}</p>' for line in lines)


def folded(title: str, text: str) -> str:
    """Returns preformatted text that is shown on a click; empty if there is no text."""
    text = html.escape(text)
    return (
        f'<details class="card"><summary>{html.escape(title)}</summary><pre>{text}</pre></details>'
        if text
        else ""
    )


def format_number(value: float | str) -> str:
    """Returns a value as text: numbers with four significant digits, whole numbers in full."""
    if isinstance(value, str | int):
        return str(value)
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _cell(row: Mapping[str, float | str], column: str, best: float | None) -> str:
    if column not in row:
        return "<td>&ndash;</td>"
    mark = ' class="best"' if best is not None and row[column] == best else ""
    return f"<td{mark}>{html.escape(format_number(row[column]))}</td>"


def _best(content: Table, column: str) -> float | None:
    values = [row[column] for row in content.rows.values() if column in row]
    numbers = [value for value in values if not isinstance(value, str) and math.isfinite(value)]
    if content.better is None or len(numbers) < 2:
        return None
    return max(numbers) if content.better == "max" else min(numbers)
