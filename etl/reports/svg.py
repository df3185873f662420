"""Vega-Lite specification -> a light, scalable SVG that can be hovered and read aloud.

vl-convert renders it in this process, without network and without a browser. Needs the extra
`report`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import altair as alt
import vl_convert

if TYPE_CHECKING:
    from altair import LayerChart

    from etl.reports.language import Words

_SVG = "{http://www.w3.org/2000/svg}"
_DROPPED = (
    "class",
    "pointer-events",
    "aria-hidden",
    "aria-roledescription",
    "role",
    "stroke-miterlimit",
    "version",
)
_DECIMALS = re.compile(r"-?\d+\.\d{2,}")


def warm_up() -> None:
    """Start the renderer: a second that a thread can spend while the database counts."""
    vl_convert.vegalite_to_svg(
        alt.Chart(alt.InlineData(values=[{}])).mark_point().to_json(), allowed_base_urls=[]
    )


def render(chart: LayerChart, words: Words, *, name: str, title: str, description: str) -> str:
    """The chart as SVG.

    Args:
        chart: whose marks carry what is told on hovering in the channel `description`.
        words: how numbers are written.
        name: an id of its own in the page.
        title: what it is, for who cannot see it.
        description: what it shows, for them.
    """
    drawn = vl_convert.vegalite_to_svg(
        chart.to_json(), format_locale=words.number_format(), allowed_base_urls=[]
    )
    root = ET.fromstring(drawn)  # noqa: S314 - our own renderer's
    for parent in root.iter():
        for child in list(parent):
            if _invisible(child):
                parent.remove(child)
    for element in root.iter():
        _slim(element)
    width = root.attrib.pop("width")
    del root.attrib["height"]
    # It shrinks with the page, and does not grow much beyond the size at which its text was set.
    root.set("style", f"max-width: {1.25 * float(width):.0f}px")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for number, (tag, text) in enumerate((("title", title), ("desc", description))):
        told = ET.Element(_SVG + tag, {"id": f"{name}-{tag}"})
        told.text = text
        root.insert(number, told)
    ET.register_namespace("", _SVG[1:-1])
    return ET.tostring(root, encoding="unicode")


def _invisible(element: ET.Element) -> bool:
    """Whether only a browser's renderer needs it: empty outlines, the white ground."""
    return element.get("display") == "none" or (
        element.tag == _SVG + "path"
        and element.get("class") in {"background", "foreground"}
        and not element.get("fill")
    )


def _slim(element: ET.Element) -> None:
    label = element.attrib.pop("aria-label", None)
    if label is not None and element.tag != _SVG + "g":
        hover = ET.SubElement(element, _SVG + "title")
        hover.text = label
    for name in _DROPPED:
        element.attrib.pop(name, None)
    for name, value in element.attrib.items():
        if name in {"d", "transform", "x", "y", "x2", "y2", "width", "height"}:
            element.set(
                name,
                _DECIMALS.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), value),
            )
