"""From plain values to one HTML page that needs nothing else: no script, no network, every text escaped."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


def render(content: dict[str, Any]) -> bytes:
    """The page, UTF-8."""
    return template().render(content).encode()


@cache
def template(name: str = "report.html", folder: Path = TEMPLATES) -> Template:
    """A page's template, compiled; it may include those of the report."""
    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "percent": percent}
    return environment.get_template(name)


def number(value: Any, digits: int = 4) -> str:
    """A number as people read it; a dash for what is not defined."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, float):
        size = abs(value)
        return f"{value:.{digits}f}" if size < 1000 else f"{value:,.0f}" if size < 1e9 else f"{value:.4g}"
    return f"{value:,}"


def percent(value: Any) -> str:
    """A share in percent."""
    return "–" if value is None else f"{100 * value:.1f} %"
