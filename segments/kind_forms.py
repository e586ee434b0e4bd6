"""The kind of a condition → its fields in the builder, and the buttons that add one.

A kind says so itself (``form``, ``starts``); those whose module leaves it to the builder are here. A kind with neither is
written as JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from profiles.models import Tier
from segments.comparison import DATETIME, TEXT
from segments.conditions.attribute import kind_of_attribute
from segments.conditions.base import Condition, Start
from segments.form.comparisons import ComparisonField
from segments.form.events import EVENT, FiltersField
from segments.form.fields import Choice, Field, Fixed, Flag, Lines, Nested, Number, Option, Raw, Rows, Text
from segments.form.times import CountField, DurationField, WindowField

if TYPE_CHECKING:
    from segments.form.suggestions import Suggestions


def _identifiers(raw: Raw, suggestions: Suggestions) -> list[Option]:
    return [*suggestions.identifier_types, Option("id", "Number of a profile")]


def _kind_of_past(raw: Raw, suggestions: Suggestions) -> str:
    spec = suggestions.vocabulary.attributes.get(str(raw.get("was")))
    return kind_of_attribute(spec) if spec else TEXT


def _stay(key: str, label: str) -> tuple[Field, ...]:
    segment = Choice(key, label, lambda raw, suggestions: suggestions.segments, is_number=True)
    return (segment, WindowField("within", "When"))


_ASKED = (
    Choice("channel", "Channel", lambda raw, suggestions: suggestions.channels),
    Choice(
        "purpose",
        "Purpose",
        lambda raw, suggestions: suggestions.purposes,
        is_optional=True,
        empty="any purpose",
    ),
)
_FIRST_OR_ANY = (("any", "created or changed them"), ("created", "created them"))

FORMS: dict[str, tuple[Field, ...]] = {
    "cart": (
        Choice(
            "cart",
            "State of the cart",
            (("open", "open"), ("superseded", "superseded"), ("ordered", "ordered"), ("any", "of any state")),
            default="",
        ),
        DurationField("idle", "Idle for at least", before="idle for at least", is_optional=True),
        WindowField("started", "Started"),
        FiltersField("contains", "Contains"),
    ),
    "sequence": (
        Rows(
            "sequence",
            "Steps",
            (*EVENT, FiltersField("where", "Where"), Flag("not", "did not happen")),
            noun="step",
        ),
        DurationField("no_longer_than", "All within", before="all within"),
        WindowField("within", "The first one"),
    ),
    "visits": (
        CountField("visits", "How often"),
        WindowField("within", "When"),
        DurationField("longer_than", "Longer than", before="longer than", is_optional=True),
    ),
    "split": (
        Nested(
            "split",
            "Part",
            (
                Number("from", "First part", before="parts"),
                Number("to", "First part that is out", before="up to, without,"),
                Number("of", "Number of parts", before="of"),
                Text("salt", "Name of the drawing", before="drawn as"),
            ),
        ),
    ),
    "ids": (Choice("ids", "Kind of values", _identifiers), Lines("values", "Values, one a line")),
    "was": (
        Choice("was", "Attribute", lambda raw, suggestions: suggestions.attributes, reshapes=True),
        ComparisonField("", "", _kind_of_past),
    ),
    "changed": (
        Choice("changed", "Attribute", lambda raw, suggestions: suggestions.attributes),
        WindowField("within", "When"),
    ),
    "consent": (
        Nested("consent", "Consent", _ASKED),
        Choice(
            "state",
            "Decision",
            (("granted", "agreed"), ("withdrawn", "did not agree"), ("none", "never decided")),
            default="granted",
        ),
    ),
    "reachable": (Nested("reachable", "Reachable", _ASKED),),
    "duplicate": (
        Fixed("duplicate", "Likely duplicate", value=True),
        Choice(
            "tier",
            "How sure",
            [(value, label) for value, label in Tier.choices],
            is_optional=True,
            empty="any",
        ),
    ),
    "entered": _stay("entered", "Segment"),
    "left": _stay("left", "Segment"),
    "was_in": _stay("was_in", "Segment"),
    "import": (
        Number("import", "Number of an import", before="import #"),
        Choice("how", "What it did", _FIRST_OR_ANY, default="any"),
    ),
    "source": (
        Choice(
            "source",
            "Source",
            lambda raw, suggestions: [Option(one.label, one.label) for one in suggestions.sources],
        ),
        Choice(
            "how", "How", (("any", "any of their profiles"), ("created", "that created them")), default="any"
        ),
    ),
    "profile": (
        Choice(
            "profile",
            "What",
            (
                ("created_at", "was created"),
                ("first_seen_at", "was first seen"),
                ("last_seen_at", "was last seen"),
            ),
        ),
        ComparisonField("", "", lambda raw, suggestions: DATETIME, exists="ever"),
    ),
}
_CONTACT = {"channel": "email", "purpose": "newsletter"}
STARTS: dict[str, tuple[Start, ...]] = {
    "cart": (Start("Cart", {"cart": "open", "idle": {"hours": 1}}, 40),),
    "consent": (Start("Consent", {"consent": _CONTACT, "state": "granted"}, 35),),
    "reachable": (Start("Reachable", {"reachable": _CONTACT}, 36),),
    "sequence": (
        Start(
            "Events in order",
            {"sequence": [{"event": ""}, {"event": "", "not": True}], "no_longer_than": {"hours": 1}},
            70,
        ),
    ),
    "visits": (Start("Visits", {"visits": {"op": "gte", "value": 3}, "within": {"days": 30}}, 71),),
    "profile": (
        Start(
            "Created, first or last seen",
            {"profile": "last_seen_at", "op": "in_last", "value": {"days": 30}},
            72,
        ),
    ),
    "was": (Start("Attribute was ever", {"was": "country", "op": "eq", "value": ""}, 73),),
    "changed": (Start("Attribute changed", {"changed": "country", "within": {"days": 7}}, 74),),
    "entered": (Start("Entered a segment", {"entered": "", "within": {"days": 7}}, 75),),
    "left": (Start("Left a segment", {"left": "", "within": {"days": 7}}, 76),),
    "was_in": (Start("Was in a segment", {"was_in": "", "within": {"days": 30}}, 77),),
    "source": (Start("Source", {"source": "", "how": "any"}, 78),),
    "import": (Start("Import", {"import": "", "how": "any"}, 79),),
    "duplicate": (Start("Likely duplicate", {"duplicate": True}, 80),),
    "ids": (Start("Pasted list", {"ids": "email", "values": []}, 81),),
    "split": (Start("Random part", {"split": {"from": 0, "to": 50, "of": 100, "salt": "half"}}, 82),),
}


def form_of(key: str, kind: type[Condition] | None) -> Sequence[Field]:
    """The fields of a kind; none where it is written as JSON."""
    if kind is None:
        return ()
    return kind.form or FORMS.get(key, ())


def starts_of(key: str, kind: type[Condition]) -> Sequence[Start]:
    return kind.starts or STARTS.get(key) or (Start(kind.label, {key: ""}),)
