"""Series of numbers → charts that a strict CSP allows: pygal draws, the theme's classes color.

pygal puts a style sheet, a script and inline styles into its SVG; they are taken out, what they showed on
hover becomes a plain <title>. The same numbers stand beside each chart as a table.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

import pygal
from django.utils.safestring import SafeString, mark_safe

_SVG = "{http://www.w3.org/2000/svg}"
_WIDTH, _HEIGHT = 760, 220
# pygal hooks a finder for its map plugins into every import of the process, in a form Python has deprecated.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]

# Parts of the drawing that only pygal's own script uses.
_SCRIPTED = ("tooltip-overlay", "text-overlay", "plot overlay", "titles")

ET.register_namespace("", "http://www.w3.org/2000/svg")


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    values: Sequence[int]

    @property
    def total(self) -> int:
        return sum(self.values)


@dataclass(frozen=True, slots=True)
class Chart:
    """For templates/cdp/chart.html. Series are colored by their place: keep their order stable.

    ``unit`` heads the labels in the table.
    """

    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    unit: str = "Day"

    @property
    def total(self) -> int:
        return sum(series.total for series in self.series)

    @property
    def rows(self) -> list[tuple[str, list[int], int]]:
        """For the table: label, a value for each series, their sum."""
        columns = list(zip(*(series.values for series in self.series), strict=True))
        return [
            (label, list(values), sum(values)) for label, values in zip(self.labels, columns, strict=True)
        ]

    def svg(self) -> SafeString:
        """The drawing as stacked bars, without id, style or script."""
        chart = pygal.StackedBar(
            width=_WIDTH,
            height=_HEIGHT,
            css=[],
            js=[],
            explicit_size=False,
            margin=4,
            truncate_label=-1,
            show_legend=False,
            show_minor_x_labels=False,
            disable_xml_declaration=True,
            formatter=lambda value: f"{value:,.0f}",
            y_labels=_ticks(max((total for _, _, total in self.rows), default=0)),
        )
        chart.x_labels = list(self.labels)
        chart.x_labels_major = list(self.labels[:: max(1, len(self.labels) // 6)])
        for series in self.series:
            chart.add(series.name, list(series.values))
        root = ET.fromstring(chart.render())  # noqa: S314  (our own drawing, not somebody's file)
        _clean(root, [series.name for series in self.series])
        root.set("role", "img")
        root.set("aria-label", f"{self.title}: {self.total:,}. The table below has every number.")
        # pygal escapes the labels it draws; what is put in by us went through ElementTree as well.
        return mark_safe(ET.tostring(root, encoding="unicode"))  # noqa: S308

    def small_svg(self) -> SafeString:
        """The same bars without axes, to stand under a number; the labels stand below as text."""
        chart = pygal.StackedBar(
            width=300,
            height=80,
            css=[],
            js=[],
            explicit_size=False,
            margin=0,
            spacing=0,
            show_legend=False,
            show_x_labels=False,
            show_y_labels=False,
            show_x_guides=False,
            show_y_guides=False,
            disable_xml_declaration=True,
            formatter=lambda value: f"{value:,.0f}",
            range=(0, max((total for _, _, total in self.rows), default=0) or 1),
        )
        chart.x_labels = list(self.labels)
        for one in self.series:
            chart.add(one.name, list(one.values))
        root = ET.fromstring(chart.render())  # noqa: S314  (our own drawing, not somebody's file)
        _clean(root, [one.name for one in self.series])
        root.set("role", "img")
        root.set("aria-label", f"{self.title}: {self.total:,}. The table below has every number.")
        root.set("preserveAspectRatio", "none")
        return mark_safe(ET.tostring(root, encoding="unicode"))  # noqa: S308

    @property
    def ends(self) -> tuple[str, str, str]:
        """The first, the middle and the last label."""
        return self.labels[0], self.labels[len(self.labels) // 2], self.labels[-1]


def sparkline(values: Sequence[int], label: str) -> SafeString:
    """A sparkline the height of a table's row. ``label`` is its text for screen readers."""
    chart = pygal.Line(
        css=[],
        js=[],
        disable_xml_declaration=True,
        fill=True,
        range=(0, max([*values, 1])),
    )
    chart.add("", list(values))
    root = ET.fromstring(chart.render_sparkline(width=120, height=28, margin=2))  # noqa: S314  (our own drawing)
    _clean(root, [])
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", label)
    return mark_safe(ET.tostring(root, encoding="unicode"))  # noqa: S308


def _ticks(top: int) -> list[int]:
    """Round numbers from 0 to above the highest bar, at most six."""
    step = 1
    while step * 5 < top:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return [step * i for i in range(max(1, -(-top // step)) + 1)]


def _clean(root: ET.Element, names: list[str]) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            classes = child.get("class", "")
            if (
                child.tag in (f"{_SVG}defs", f"{_SVG}title")
                or not isinstance(child.tag, str)
                or any(scripted in classes for scripted in _SCRIPTED)
            ):
                parent.remove(child)
    for element in root.iter():
        for name in ("style", "id"):
            element.attrib.pop(name, None)
    for number, name in enumerate(names):
        for group in root.iter(f"{_SVG}g"):
            if f"serie-{number}" in group.get("class", "").split():
                _name_bars(group, name)


def _name_bars(group: ET.Element, name: str) -> None:
    """What a bar stands for, shown on hover."""
    for bar in group.iter(f"{_SVG}g"):
        if bar.get("class") != "bar":
            continue
        descriptions = {desc.get("class", ""): desc.text or "" for desc in bar.findall(f"{_SVG}desc")}
        for desc in bar.findall(f"{_SVG}desc"):
            bar.remove(desc)
        title = ET.Element(f"{_SVG}title")
        title.text = f"{descriptions.get('x_label', '')}: {name} {descriptions.get('value', '')}"
        bar.insert(0, title)
