"""The preview of a merge → the rows of its comparison, ready for the page."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cdp import plurals
from profiles.consent.lists import consent_lists
from profiles.masking import DOTS, mask, mask_identifier
from profiles.merging.preview import FieldRow, ManyPreview, Preview
from profiles.models import Profile
from profiles.values.attributes import CUSTOM, display

CHOICE = "choice."
# Two people seldom share these by mistake; a difference is a reason to stop and think.
_DECISIVE = ("birth_date",)
_IDENTIFIERS = "identifiers."
_BROWSERS = "identifiers.anonymous_id"
_RULES = {
    "same": "",
    "winner": "",
    "fill": "filled from the profile that is merged in",
    "choice": "your choice",
    "union": "both are kept",
    "newest": "the newer value; the other one is kept as an alternate",
    "sum": "added up",
    "largest": "the larger value; the other one is kept as an alternate",
    "smallest": "the smaller value; the other one is kept as an alternate",
}
_CONSENT_RULES = {
    "same": "",
    "only": "",
    "latest": "the latest decision applies",
    "caution": "a tie or an unknown time means no",
}


@dataclass(frozen=True, slots=True)
class CompareRow:
    """A row of the comparison; ``css`` is same, diff, clash or empty, ``note`` why the result is what it is."""

    row: FieldRow
    winner: str
    loser: str
    result: str
    note: str
    css: str
    chosen: str

    @property
    def is_kept(self) -> bool:
        """Identifiers and tags, of which both sides keep theirs."""
        return self.row.field == "tags" or self.row.field.startswith(_IDENTIFIERS)

    @property
    def input(self) -> str:
        return CHOICE + self.row.field


@dataclass(frozen=True, slots=True)
class CompareConsent:
    """A row about consent: channel and purpose in words, when each side decided, and what decided."""

    row: Mapping[str, Any]
    heading: str
    text: str
    winner_at: datetime.datetime | None
    loser_at: datetime.datetime | None
    note: str

    @property
    def differs(self) -> bool:
        return bool(self.row["winner"] and self.row["loser"] and self.row["winner"] != self.row["loser"])

    @property
    def is_withdrawn(self) -> bool:
        """One side agreed, and the merged profile has not."""
        return self.differs and self.row["result"] == "withdrawn"


def compare_rows(preview: Preview, choices: dict[str, str], *, can_view_pii: bool) -> list[CompareRow]:
    """One for each field of the preview."""
    return [_compare_row(row, choices, can_view_pii) for row in preview.fields]


def differing_rows(preview: Preview, *, can_view_pii: bool) -> list[CompareRow]:
    """The rows of fields that are not the same on both sides."""
    return [_compare_row(row, {}, can_view_pii) for row in preview.fields if row.rule != "same"]


def consent_rows(consents: Iterable[Mapping[str, Any]]) -> list[CompareConsent]:
    """The rows of the preview's section about consents."""
    lists = consent_lists()
    return [
        CompareConsent(
            row,
            f"{lists.channels.label(row['channel'])}: {lists.purposes.text(row['purpose'])}",
            lists.text(row["channel"], row["purpose"]),
            _moment(row["winner_at"]),
            _moment(row["loser_at"]),
            _CONSENT_RULES.get(row["rule"], ""),
        )
        for row in consents
    ]


def _moment(text: str | None) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(text) if text else None


def _compare_row(row: FieldRow, choices: dict[str, str], can_view_pii: bool) -> CompareRow:
    winner, loser, result = (
        value_text(row.field, value, can_view_pii=can_view_pii)
        for value in (row.winner, row.loser, row.result)
    )
    usual = "rule" if row.merge_rule else "loser" if row.rule == "fill" else "winner"
    chosen = choices.get(row.field) or usual
    css = "same" if row.rule == "same" else "diff" if row.clash else ""
    css = "clash" if row.clash and row.field in _DECISIVE else css
    return CompareRow(row, winner, loser, result, _note(row), css, chosen)


def _note(row: FieldRow) -> str:
    """Why the result is what it is, where that is not plain to see."""
    if row.rule == "winner" and row.clash:
        return "the other value is kept as an alternate"
    if row.rule == "union" and not (row.winner and row.loser):
        return ""
    return _RULES.get(row.rule, "")


@dataclass(frozen=True, slots=True)
class SeveralRow:
    """One field of several profiles: its value on each, in their order, and what the merged profile has."""

    label: str
    values: list[str]
    result: str
    note: str
    css: str
    group: str


# The order of the groups, and their heads.
_GROUPS = ("Different values", "Some have none", "All keep theirs", "Equal")


def several_rows(
    profiles: Iterable[Profile], preview: ManyPreview, *, can_view_pii: bool
) -> list[SeveralRow]:
    """What any of them has, grouped, the fields that differ first. ``profiles``: the one that is kept, then the others as merged."""
    ids = [profile.pk for profile in profiles]
    steps = {step.loser_id: step for step in preview.steps}
    fields = dict.fromkeys(row.field for step in preview.steps for row in step.fields)
    rows = []
    for field in fields:
        of_step = {pk: row for pk, step in steps.items() for row in step.fields if row.field == field}
        # The first step that names the field has the winner as it is now: before it there was none.
        first, last = next(iter(of_step.values())), list(of_step.values())[-1]
        raw = {ids[0]: first.winner, **{pk: row.loser for pk, row in of_step.items()}}
        values = [raw.get(pk) for pk in ids]
        texts = [value_text(field, value, can_view_pii=can_view_pii) for value in values]
        known = [value for value in values if value not in (None, "", [])]
        notes = dict.fromkeys(note for row in of_step.values() if (note := _note(row)))
        differ = any(value != known[0] for value in known)
        if field == "tags" or field.startswith(_IDENTIFIERS):
            group, css, notes = _GROUPS[2], "", {}
        elif differ:
            group, css = _GROUPS[0], "clash" if field in _DECISIVE else "diff"
        else:
            group, css = (_GROUPS[3], "same") if len(known) == len(values) else (_GROUPS[1], "")
        result = value_text(field, last.result, can_view_pii=can_view_pii)
        rows.append(SeveralRow(first.label, texts, result, "; ".join(notes), css, group))
    return sorted(rows, key=lambda row: _GROUPS.index(row.group))


def value_text(field: str, value: Any, *, can_view_pii: bool) -> str:
    """A value of a comparison as people read it, masked where need be. Browsers are only counted."""
    if value in (None, "", []):
        return ""
    if field == _BROWSERS and isinstance(value, list):
        return plurals.counted(len(value), "browsers")
    if isinstance(value, list):
        if field.startswith(CUSTOM) and not can_view_pii:
            return DOTS
        is_masked = field.startswith(_IDENTIFIERS) and not can_view_pii
        kind = field.removeprefix(_IDENTIFIERS)
        return ", ".join(mask_identifier(kind, str(item)) if is_masked else str(item) for item in value)
    text = value if can_view_pii else mask(field, value)
    return DOTS if text == DOTS else display(field, text)


def counted(moved: dict[str, int]) -> list[tuple[str, int]]:
    """What comes over beside the profile itself, without zeros: ("tag", 1), ("tags", 2)."""
    return [
        (plurals.noun(name, count), count) for name, count in moved.items() if count and name != "profiles"
    ]
