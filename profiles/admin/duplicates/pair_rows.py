"""A suggested pair → what the pages show of it: the compared fields, and what each weighs."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.duplicates.review.explain import Reason
from profiles.models import Profile
from profiles.reading.profiles import ProfileView
from profiles.values.attributes import attribute_specs, display, get_value, label_of

# The bars are drawn to this many bits: more than one field weighs.
FULL_BAR = 12.0
# What weighs less is folded into one row with its like.
MINOR = 0.5

# Conflicts come first: they are what somebody has to look at.
_ORDER = {"bad": 0, "diff": 1, "near": 2, "": 3, "good": 4}


# --- Fields side by side ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of both people. ``tone`` is bad, diff (they differ, and it weighs nothing), near, good (equal), or
    "" where only one has a value; ``text`` says the same in words."""

    label: str
    a: str
    b: str
    tone: str
    text: str

    @property
    def is_equal(self) -> bool:
        return self.tone == "good"


def field_rows(views: list[ProfileView], reasons: list[Reason]) -> list[FieldRow]:
    """Every field either of them has, conflicts first, equal ones last."""
    specs = attribute_specs()
    compared = {reason.field: reason for reason in reasons if reason.field and not reason.is_from_source}
    rows = [
        FieldRow(
            label_of(field, specs) if field in Profile.FIELDS else reason.label,
            reason.a,
            reason.b,
            reason.tone,
            reason.text,
        )
        for field, reason in compared.items()
    ]
    for field in Profile.FIELDS:
        if field in compared:
            continue
        a, b = (_text(view, field) for view in views)
        if a or b:
            rows.append(_uncompared(label_of(field, specs), a, b))
    return sorted(rows, key=lambda row: _ORDER[row.tone])


def _uncompared(label: str, a: str, b: str) -> FieldRow:
    if a and b:
        return FieldRow(label, a, b, "good", "") if a == b else FieldRow(label, a, b, "diff", "")
    return FieldRow(label, a, b, "", "")


def _text(view: ProfileView, field: str) -> str:
    value = get_value(view.profile, field)
    return "" if value in (None, "") else display(field, value)


# --- What each weighs ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WeightRow:
    """``weight`` in bits; ``start`` and ``width`` place its bar between 0 and 100, 50 being neither for nor against."""

    label: str
    text: str
    weight: float
    more: tuple[str, ...] = ()

    @property
    def width(self) -> float:
        return min(abs(self.weight), FULL_BAR) / FULL_BAR * 50

    @property
    def start(self) -> float:
        return 50.0 if self.weight >= 0 else 50 - self.width


def weight_rows(reasons: list[Reason], score: float) -> list[WeightRow]:
    """What speaks for and against, which adds up to ``score``: fields, what they say together, where every pair begins."""
    weighed = [reason for reason in reasons if not reason.is_from_source]
    rows = [WeightRow(reason.label, reason.text, reason.weight) for reason in weighed if reason.field]
    together = [reason for reason in weighed if not reason.field]
    rows += [
        WeightRow(reason.label, reason.text, reason.weight)
        for reason in together
        if abs(reason.weight) >= MINOR
    ]
    if minor := [reason for reason in together if abs(reason.weight) < MINOR]:
        text = f"{len(minor)} that count{'s' if len(minor) == 1 else ''} little"
        more = tuple(f"{reason.text} {reason.weight:+.1f}".replace("-", "−") for reason in minor)
        rows.append(WeightRow("Smaller points", text, sum(reason.weight for reason in minor), more))
    if weighed:
        rest = score - sum(reason.weight for reason in weighed)
        rows.append(WeightRow("Starting point", "most pairs with something in common are two people", rest))
    return rows
