"""Profile ids and names of columns → values of an export, and their cells in CSV, that an import reads back unchanged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import phonenumbers

from cdp.errors import Invalid
from cdp.times import iso
from profiles.consent.lists import consent_lists
from profiles.identity.normalize import join_cell, join_items
from profiles.masking import DOTS, mask_view
from profiles.models import Consent, Profile
from profiles.reading.profiles import ProfileView, profile_views
from profiles.values.attributes import CUSTOM, AttributeSpec, attribute_specs

# --- Columns --------------------------------------------------------------------------------------------

# They are in every export: by them a file is known as ours when it is imported again.
ALWAYS = ("id", "type")
CONSENTS, REACHABLE = "consents", "reachable"
_PLAIN_ITEM = re.compile('[^,;"]*')
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class Column:
    """``name`` is the header. The names of identifiers, attributes and consents are what an import reads them by."""

    name: str
    label: str
    read: Callable[[ProfileView], Any]


def choosable_columns(specs: dict[str, AttributeSpec] | None = None) -> list[Column]:
    """Every column that an export may have besides ``ALWAYS``; the consents are one choice. One query without ``specs``."""
    return [column for column in _plain_columns(specs) if column.name not in ALWAYS] + [
        Column(CONSENTS, "Consents, with date and proof", lambda view: ""),
        Column(REACHABLE, "Whether they may be written to, by channel and purpose", lambda view: ""),
    ]


def column_names(chosen: Sequence[str] | None = None) -> list[str]:
    """The headers of an export with these columns (None: all), fixed when it begins. Raises Invalid for others.

    ``reachable`` are the columns of all channels and purposes somebody decided about, ``reachable.email.newsletter``
    is one.
    """
    known = [*ALWAYS, *(column.name for column in choosable_columns())]
    chosen = None if chosen is None else [name.removeprefix(CUSTOM) for name in chosen]
    single = [name for name in chosen or () if _is_reach(name)]
    if unknown := [name for name in chosen or () if name not in known and name not in single]:
        message = f"“{unknown[0]}” is not a column of an export. Columns: {', '.join(known)}."
        raise Invalid([{"field": "fields", "value": unknown[0], "message": message}])
    wanted = {*ALWAYS, *(known if chosen is None else chosen)}
    names = [name for name in known if name in wanted and name not in (CONSENTS, REACHABLE)]
    kinds = _kinds() if wanted & {CONSENTS, REACHABLE} else []
    if CONSENTS in wanted:
        names += [f"consent.{kind}{part}" for kind in kinds for part in ("", ".at", ".proof")]
    if REACHABLE in wanted:
        names += [f"{REACHABLE}.{kind}" for kind in kinds]
    return list(dict.fromkeys(names + single))


def _is_reach(name: str) -> bool:
    """Whether it is ``reachable.<channel>.<purpose>`` of a channel and a purpose there are."""
    prefix, _, kind = name.partition(".")
    channel, _, purpose = kind.partition(".")
    lists = consent_lists()
    known = {word.name for word in lists.channels}, {word.name for word in lists.purposes}
    return prefix == REACHABLE and channel in known[0] and purpose in known[1]


def rows(
    profile_ids: Sequence[int], names: Sequence[str], *, can_view_pii: bool, spreadsheet_safe: bool = True
) -> list[list[str]]:
    """What ``values`` has, as cells of CSV; ``spreadsheet_safe``: phones are written so that they stay text."""
    return [
        [cell(name, value, spreadsheet_safe) for name, value in zip(names, record, strict=True)]
        for record in values(profile_ids, names, can_view_pii=can_view_pii)
    ]


def values(profile_ids: Sequence[int], names: Sequence[str], *, can_view_pii: bool) -> list[list[Any]]:
    """A record of the columns' values for each live profile behind the ids, in the order of the ids. A constant
    number of queries.

    ``can_view_pii``: whether personal data is written as it is; otherwise masked.
    """
    profiles = Profile.objects.live().filter(pk__in=profile_ids).defer("search").in_bulk()
    views = profile_views([profiles[pk] for pk in profile_ids if pk in profiles])
    specs = {spec.field: spec for spec in attribute_specs().values()}
    visible = views if can_view_pii else [mask_view(view, specs) for view in views]
    columns = {column.name: column for column in _plain_columns(specs)}
    consents = _consent_cells(views, can_view_pii) if _has_consents(names) else {}
    return [
        [
            columns[name].read(view)
            if name in columns
            else _is_reachable(view, name)
            if name.startswith(f"{REACHABLE}.")
            else consents.get(view.id, {}).get(name, "")
            for name in names
        ]
        for view in visible
    ]


def _is_reachable(view: ProfileView, name: str) -> bool:
    _, channel, purpose = name.split(".", 2)
    reach = view.reach.get((channel, purpose))
    return reach is not None and reach.is_reachable


def _plain_columns(specs: dict[str, AttributeSpec] | None = None) -> list[Column]:
    """All but the consents, in the order of the file. One query without ``specs``."""
    attributes = (attribute_specs() if specs is None else specs).values()
    return [
        Column("id", "Id", lambda view: view.profile.pk),
        Column("type", "Recognized or anonymous", lambda view: view.profile.type),
        Column("customer_id", "Customer id", lambda view: _identifier(view, "customer_id")),
        Column("anonymous_id", "Anonymous id", lambda view: _identifier(view, "anonymous_id")),
        *(Column(spec.name, spec.label, _reader(spec)) for spec in attributes),
        Column("tags", "Tags", lambda view: [tag.name for tag in view.tags]),
        Column("other_identifiers", "Other identifiers", _other_identifiers),
        Column("created_at", "Created", lambda view: iso(view.profile.created_at)),
        Column("last_seen_at", "Last seen", lambda view: iso(view.profile.last_seen_at)),
    ]


def _identifier(view: ProfileView, type_name: str) -> str:
    """The first value that finds the profile."""
    values = (item.value for item in view.identifiers if item.resolves and item.type.name == type_name)
    return next(values, "")


def _other_identifiers(view: ProfileView) -> list[str]:
    named = {view.profile.email, view.profile.phone}
    named |= {_identifier(view, name) for name in ("customer_id", "anonymous_id")}
    return [str(item) for item in view.identifiers if item.value not in named]


def _reader(spec: AttributeSpec) -> Callable[[ProfileView], Any]:
    if spec.field.startswith(CUSTOM):
        return lambda view: view.profile.attributes.get(spec.name)
    return lambda view: getattr(view.profile, spec.name)


def cell(name: str, value: Any, spreadsheet_safe: bool = True) -> str:
    """A value as a cell of CSV, as the import reads it back."""
    if name == "phone" and spreadsheet_safe:
        return spreadsheet_phone(value or "")
    if name == "tags":
        return join_cell(value, ",")
    if name == "other_identifiers":
        return " ".join(value)
    return _text(value)


def spreadsheet_phone(number: str) -> str:
    """``+48600100200`` → ``(+48) 600100200``: text to a spreadsheet, which would drop the “+”, and a phone to an import."""
    if _E164.fullmatch(number):
        parsed = phonenumbers.parse(number)
        return f"(+{parsed.country_code}) {phonenumbers.national_significant_number(parsed)}"
    masked = re.fullmatch(r"\+([0-9]{1,3}) (.*)", number)
    return f"(+{masked[1]}) {masked[2]}" if masked else number


def _text(value: Any) -> str:
    """As the import reads it: dates ISO, yes/no as true/false, lists by comma."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    if isinstance(value, list):
        items = [str(item) for item in value]
        return (
            join_items(items) if any(not _PLAIN_ITEM.fullmatch(item) for item in items) else ",".join(items)
        )
    return str(value)


# --- Consents -------------------------------------------------------------------------------------------


def _has_consents(names: Sequence[str]) -> bool:
    return any(name.startswith("consent.") for name in names)


def _kinds() -> list[str]:
    """``email.newsletter``, of each channel and purpose somebody decided about. One query."""
    kinds = Consent.objects.order_by("channel", "purpose").values_list("channel", "purpose").distinct()
    return [f"{channel}.{purpose}" for channel, purpose in kinds]


def _consent_cells(views: Sequence[ProfileView], can_view_pii: bool) -> dict[int, dict[str, str]]:
    """``{profile: {column: cell}}`` of what holds now. One query for the proofs."""
    ledger = {
        (root_id, consent.channel, consent.purpose, consent.state, consent.at): consent
        for root_id, consent in _decisions([view.id for view in views])
    }
    cells: dict[int, dict[str, str]] = {}
    for view in views:
        own = cells.setdefault(view.id, {})
        for (channel, purpose), current in view.consents.items():
            consent = ledger.get((view.id, channel, purpose, current.state, current.at))
            proof = _proof(consent) if consent and current.is_granted else ""
            name = f"consent.{channel}.{purpose}"
            own[name], own[f"{name}.at"] = current.state, iso(current.at) or ""
            own[f"{name}.proof"] = proof if can_view_pii or not proof else DOTS
    return cells


def _decisions(root_ids: Sequence[int]) -> Iterator[tuple[int, Consent]]:
    """(surviving profile, decision), oldest first."""
    ledger = Consent.objects.filter(profile__canonical_id__in=root_ids).select_related("profile")
    return ((consent.profile.canonical_id or 0, consent) for consent in ledger.order_by("id"))


def _proof(consent: Consent) -> str:
    """In words, for the proof may be any JSON: the text an import was given, else its parts."""
    proof = consent.proof
    if text := proof.get("proof"):
        return str(text)
    parts = [f"{key} {value}" for key, value in proof.items()]
    return ", ".join([consent.wording, *parts] if consent.wording else parts) or f"consent #{consent.pk}"
