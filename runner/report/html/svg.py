"""From a matplotlib figure to SVG inside a page: unique ids, colours from the page's style, no document of its own."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Colours as matplotlib takes them, each standing for one of the page's.
INK, GRID, FIRST, SECOND, BAND = "#010101", "#020202", "#030303", "#040404", "#050505"
_COLOURS = {
    INK: "var(--ink)",
    GRID: "var(--grid)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    BAND: "var(--paper)",
}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def to_markup(figure: Figure, name: str, text: str) -> Markup:
    """The figure as an ``svg`` element whose ids begin with ``name``; ``text`` describes it."""
    written = io.BytesIO()
    FigureCanvasSVG(figure)
    figure.savefig(written, format="svg", metadata=_NO_METADATA)
    root = ElementTree.fromstring(written.getvalue())
    for place in list(root):
        if place.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}title"):
            root.remove(place)
    _drop_styles(root)
    _name_ids(root, name)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": text}
    _plain_names(root)
    content = ElementTree.tostring(root, encoding="unicode")
    for colour, variable in _COLOURS.items():
        content = content.replace(colour, variable)
    return Markup(content)  # escaped by the XML writer


def _drop_styles(root: ElementTree.Element) -> None:
    """matplotlib's own style sheet would be the whole page's."""
    for parent in root.iter():
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}style":
                parent.remove(child)


def _name_ids(root: ElementTree.Element, name: str) -> None:
    """Keep the ids that something refers to, under names of this figure's own."""
    links = f"{{{_XLINK}}}href"
    used = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            found = re.findall(r"url\(#([^)]+)\)", value) + ([value[1:]] if key == links else [])
            used.update(found)
            if found:
                element.set(key, re.sub(r"#(?=[^)]+\)?$)", f"#{name}-", value))
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in used:
            element.set("id", f"{name}-{own}")


def _plain_names(root: ElementTree.Element) -> None:
    """Names without XML namespaces, which HTML's parser does not know."""
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        for key in [key for key in element.attrib if key.startswith("{")]:
            value = element.attrib.pop(key)
            if key == f"{{{_XLINK}}}href":
                element.set("href", value)
