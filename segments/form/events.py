"""Which events are meant as inputs of the builder: kind, name, and conditions on their properties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from segments.comparison import BOOLEAN, DATE, DATETIME, NUMBER, OPERATORS, TEXT
from segments.form.comparisons import EXISTS, ComparisonField
from segments.form.fields import Choice, Control, Field, Option, Posted, Raw, Text

if TYPE_CHECKING:
    from segments.form.suggestions import Suggestions

# The kind and the name of events.
EVENT: tuple[Field, ...] = (
    Choice(
        "kind",
        "Kind of event",
        (("track", "did"), ("page", "saw the page"), ("screen", "saw the screen")),
        default="track",
    ),
    Text("event", "Event", lambda raw, suggestions: suggestions.events, reshapes=True),
)
_TYPES = (
    Option(TEXT, "text"),
    Option(NUMBER, "number"),
    Option(BOOLEAN, "yes or no"),
    Option(DATE, "date"),
    Option(DATETIME, "time"),
)


def _filter_kind(raw: Raw, suggestions: Suggestions) -> str:
    return str(raw["type"]) if raw.get("type") in OPERATORS else TEXT


@dataclass(frozen=True)
class FiltersField(Field):
    """Conditions on the properties of the event that ``event`` names, which all hold for the same event."""

    event: str = "event"
    comparison: ComparisonField = field(
        default=ComparisonField("", "", _filter_kind, lambda raw, s: s.property_values(raw), "is there")
    )

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        event = str(raw.get(self.event) or "")
        for index, one in enumerate(_filters(raw, self.name)):
            prefix = f"{self.name}{index}-"
            row = {**one, "type": _stated_kind(one), "_event": event}
            options = suggestions.properties(event)
            yield Control(
                f"{prefix}property",
                "Property",
                "text",
                str(one.get("property") or ""),
                options,
                self.name,
                reshapes=True,
                before="where" if not index else "and",
                is_line=True,
            )
            yield Control(f"{prefix}was", "", "hidden", str(one.get("property") or ""))
            yield Control(f"{prefix}type", "Type", "select", row["type"], _TYPES, self.name, reshapes=True)
            for control in self.comparison.controls(row, suggestions):
                control.name, control.key = prefix + control.name, self.name
                yield control
            yield Control(
                f"{prefix}remove", "Remove this property", "button", f"drop:{self.name}:{index}", after="×"
            )
        yield Control(f"{self.name}-add", "Add a property", "button", f"more:{self.name}", after="+ property")

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        found = []
        index = 0
        while f"{self.name}{index}-property" in posted:
            found.append(self._read_one(posted.of(f"{self.name}{index}"), raw, suggestions))
            index += 1
        if found:
            raw[self.name] = found

    def _read_one(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> Raw:
        name, event = posted.get("property").strip(), str(raw.get(self.event) or "")
        kind = posted.get("type")
        # A property that was not there before brings its type.
        if name and name != posted.get("was"):
            kind = suggestions.property_type(event, name) or kind
        one: Raw = {"property": name, "type": kind if kind in OPERATORS else TEXT, "_event": event}
        self.comparison.read(posted, one, suggestions)
        del one["_event"]
        if one["op"] == EXISTS:
            del one["type"]
        return one


def _filters(raw: Raw, name: str) -> list[Raw]:
    found = raw.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _stated_kind(one: Raw) -> str:
    """The type of a filter: as it says, else that of the value it compares with."""
    if one.get("type") in OPERATORS:
        return str(one["type"])
    value, op = one.get("value"), one.get("op")
    value = value[0] if isinstance(value, list) and value else value
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, dict) or op in ("before", "after"):
        return DATETIME
    return NUMBER if isinstance(value, (int, float)) else TEXT
