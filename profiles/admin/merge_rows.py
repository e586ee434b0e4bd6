"""The preview of a merge → the rows of its comparison, ready for the page."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from profiles.admin.timeline_text import plural
from profiles.consent.lists import consent_lists
from profiles.masking import DOTS, mask, mask_identifier, mask_profile
from profiles.merging.preview import FieldRow, Preview
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
    chosen = choices.get(row.field) or ("loser" if row.rule == "fill" else "winner")
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


def value_text(field: str, value: Any, *, can_view_pii: bool) -> str:
    """A value of a comparison as people read it, masked where need be. Browsers are only counted."""
    if value in (None, "", []):
        return ""
    if field == _BROWSERS and isinstance(value, list):
        return f"{len(value):,} browser{'' if len(value) == 1 else 's'}"
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
    return [(plural(name, count), count) for name, count in moved.items() if count and name != "profiles"]


def display_profile(profile: Profile, *, can_view_pii: bool) -> Profile:
    """The profile, or a masked copy."""
    return profile if can_view_pii else mask_profile(profile)
