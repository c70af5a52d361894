"""Charts as SVG that needs no script: Vega-Lite draws them, and the page's style sheet colours them.

Their width is that of a phone, so that letters are read there at the size they have on a desk; where there is
room, charts stand side by side.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import vl_convert

Spec = dict[str, Any]

WIDTH = 320
INK, SOFT, FAINT, LINE, MARK, BAD, WATCH = (
    f"var(--{name})" for name in ("ink", "soft", "faint", "line", "mark", "bad", "watch")
)

_VEGA_LITE = "6.4"
_SVG = "http://www.w3.org/2000/svg"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
# SI prefixes only where numbers are long: a year is 1950 and a share 0.5, not 1.95k and 500m.
FIGURES: Spec = {
    "format": "~s",
    "labelExpr": "abs(datum.value) < 1e4 ? format(datum.value, '~g') : datum.label",
}
_CONFIG: Spec = {
    "background": "transparent",
    "font": "sans-serif",
    "view": {"stroke": None},
    "mark": {"aria": False},
    "axis": {
        "aria": False,
        "labelColor": SOFT,
        "labelFontSize": 11,
        "gridColor": LINE,
        "domainColor": LINE,
        "tickColor": LINE,
        "title": None,
    },
    "legend": {
        "aria": False,
        "labelColor": SOFT,
        "labelFontSize": 11,
        "title": None,
        "orient": "top",
        "symbolType": "square",
    },
    "text": {"color": INK, "fontSize": 11},
    "line": {"color": MARK, "strokeWidth": 1.25},
    "bar": {"color": MARK},
}


def drawn(spec: Spec, *, height: int, rows: Sequence[dict[str, Any]]) -> str:
    """Return a chart as SVG.

    Args:
        spec: of Vega-Lite: marks and encodings; colours are variables of the page.
        height: of what is drawn, without axes, in pixels.
        rows: the data.
    """
    whole = {
        "width": WIDTH,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": {"left": 2, "right": 2, "top": 4, "bottom": 2},
        "config": _CONFIG,
        "data": {"values": rows},
        **spec,
    }
    return _for_page(vl_convert.vegalite_to_svg(json.dumps(whole), vl_version=_VEGA_LITE))


def _for_page(svg: str) -> str:
    """Turn what marks are called into titles, which browsers show on hovering, and shorten numbers."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg)
    for element in list(root.iter()):
        label = element.get("aria-label")
        for name in ("aria-label", "aria-roledescription", "aria-hidden", "role", "font-family"):
            element.attrib.pop(name, None)
        for name, value in element.attrib.items():
            element.set(name, _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.2f}", value))
        if label:
            ElementTree.SubElement(element, f"{{{_SVG}}}title").text = label
    return ElementTree.tostring(root, encoding="unicode")


def named(mark: Spec, **encoding: Spec) -> Spec:
    """Return a layer whose marks have field `words` of their rows as title."""
    description = {"field": "words", "type": "nominal"}
    return {"mark": {**mark, "aria": True}, "encoding": {**encoding, "description": description}}
