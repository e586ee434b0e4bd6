"""Profile ids → rows of a CSV file, with cells that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from cdp.times import iso
from profiles.masking import mask_view
from profiles.models import Profile
from profiles.reading.profiles import ProfileView, profile_views
from profiles.values.attributes import CUSTOM, AttributeSpec, attribute_specs

# What spreadsheets begin a formula with, the full-width forms they fold to it, and characters they skip first.
_TRIGGERS = frozenset("=+-@\t\r\n\x00＝＋－＠")
_GUARD = "'"


def safe_cell(text: str) -> str:
    """The text with an apostrophe before it when a spreadsheet would run it; ``unsafe_cell`` takes it off.

    A text that begins with apostrophes and then such a character gets one more, so nothing is ambiguous.
    """
    bare = text.lstrip(_GUARD)
    return _GUARD + text if bare and (bare[0] in _TRIGGERS or bare.lstrip()[:1] in _TRIGGERS) else text


def unsafe_cell(text: str) -> str:
    """The reverse of ``safe_cell``."""
    if text.startswith(_GUARD) and safe_cell(text[1:]) == text:
        return text[1:]
    return text


def columns() -> list[AttributeSpec]:
    """Every attribute, default and registered. One query."""
    return list(attribute_specs().values())


def header(specs: Sequence[AttributeSpec]) -> list[str]:
    names = [spec.name for spec in specs]
    return ["id", "type", "customer_id", *names, "tags", "other_identifiers", "created_at", "last_seen_at"]


def rows(
    profile_ids: Sequence[int], specs: Sequence[AttributeSpec], *, can_view_pii: bool
) -> list[list[str]]:
    """Rows of the live profiles behind the ids, in the order of the ids. A constant number of queries.

    ``can_view_pii``: whether personal data is written as it is; otherwise masked.
    """
    profiles = Profile.objects.live().filter(pk__in=profile_ids).defer("search").in_bulk()
    views = profile_views([profiles[pk] for pk in profile_ids if pk in profiles])
    visible = (
        views if can_view_pii else [mask_view(view, {spec.field: spec for spec in specs}) for view in views]
    )
    return [_row(view, specs) for view in visible]


def _row(view: ProfileView, specs: Sequence[AttributeSpec]) -> list[str]:
    profile = view.profile
    resolving = [item for item in view.identifiers if item.resolves]
    customer_ids = [item.value for item in resolving if item.type.name == "customer_id"]
    named = {profile.email, profile.phone, *customer_ids[:1]}
    other_identifiers = [str(item) for item in view.identifiers if item.value not in named]
    return [
        str(profile.pk),
        profile.type,
        safe_cell(customer_ids[0] if customer_ids else ""),
        *(safe_cell(_text(_value(profile, spec))) for spec in specs),
        safe_cell(",".join(tag.name for tag in view.tags)),
        safe_cell(" ".join(other_identifiers)),
        iso(profile.created_at) or "",
        iso(profile.last_seen_at) or "",
    ]


def _value(profile: Profile, spec: AttributeSpec) -> Any:
    if spec.field.startswith(CUSTOM):
        return profile.attributes.get(spec.name)
    return getattr(profile, spec.name)


def _text(value: Any) -> str:
    """As the import reads it: dates ISO, yes/no as true/false, lists by comma."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def as_csv(rows_of_text: Iterable[Sequence[str]]) -> bytes:
    """UTF-8, RFC 4180."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows_of_text)
    return text.getvalue().encode()


# Spreadsheets read a file as UTF-8 only with this in front.
BOM = "\ufeff".encode()
