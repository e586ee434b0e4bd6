"""Personal data → masked for users without *view PII*: enough to tell profiles apart, not enough to reach anybody.

Every list, card, API answer and file asks this module; nothing else decides what is personal. Masked values are
for display only and never saved: what is masked is a copy.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any

import phonenumbers

from cdp.looks import saw
from cdp.plurals import counted
from profiles.masked_text import DOTS as DOTS
from profiles.masked_text import mask_text as mask_text
from profiles.models import Address, Event, Identifier, Profile
from profiles.personal_data import TABLES
from profiles.reading.profiles import ProfileView
from profiles.sent_fields import SentClass, is_public_field, sent_class
from profiles.values.attributes import CUSTOM, AttributeSpec

# What identifies nobody, by its declared class; and the journal's keys for what is no column of a profile.
UNMASKED_FIELDS = frozenset(
    {
        *next(table.personal for table in TABLES if table.label == "profiles.Profile"),
        *("locked", "tags", "consents"),
    }
)
# Of what may be a text or the end of a period, the latter is shown.
_TIME = re.compile(r"(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.,+Z-]{0,30})?")
# Journal keys with lists of ``type:value``.
_IDENTIFIERS = frozenset({"identifiers", "confirmed", "blocked", "shared"})

# Parts of an item in which names stand by themselves.
_ROOTS = frozenset({"properties", "traits", "context"})


def mask(field: str, value: Any, specs: dict[str, AttributeSpec] | None = None) -> Any:
    """A value as it may be displayed: ``field`` is a journal key (``email``, ``attributes.plan``) or ``notes``.

    Custom attributes are masked unless ``specs`` says they are not personal. None stays None.
    """
    if value is None or value in ("", []):
        return value
    if field in _IDENTIFIERS or field == "addresses":
        return [_mask_listed(field, item) for item in value] if isinstance(value, list) else DOTS
    if field in UNMASKED_FIELDS:
        return value
    if field.startswith(CUSTOM):
        spec = specs.get(field) if specs else None
        return value if spec is not None and spec.sensitivity == "none" else DOTS
    masker = _MASKERS.get(field)
    return masker(str(value)) if masker else DOTS


def mask_identifier(type_name: str, value: str) -> str:
    """``a•••@e•••.com``, ``+48 ••• ••• 123``, the first characters of anything else."""
    return _MASKERS.get(type_name, _first)(value)


def mask_fields(
    fields: dict[str, list[Any]], specs: dict[str, AttributeSpec] | None = None
) -> dict[str, list[Any]]:
    """A journal entry's ``{field: [old, new]}``, each side masked."""
    return {field: [mask(field, side, specs) for side in sides] for field, sides in fields.items()}


def mask_note(text: str) -> str:
    """Notes and messages are about one person through and through: only their length shows."""
    word_count = len(text.split())
    return f"{DOTS} ({counted(word_count, 'words')})"


def mask_json(value: Any, key: str = "", around: str = "") -> Any:
    """Event properties and context, by the class of each name (``profiles.sent_fields``).

    ``key`` is the name of the value, ``around`` that of the object it stands in. Names stay, unless they are addresses.
    """
    return _mask_sent(value, key, around, is_identifying=False)


def mask_event(kind: str, properties: Any) -> Any:
    """The properties of an event: those of a page or screen are about the page, as its title is."""
    return mask_json(properties, "page" if kind in (Event.Kind.PAGE, Event.Kind.SCREEN) else "")


def mask_proof(proof: dict[str, Any]) -> dict[str, Any]:
    """What proves a consent is identifying as a whole: only what kinds of proof there are shows."""
    return dict.fromkeys(_masked_names(proof), DOTS)


def mask_at(pointer: str, value: Any) -> Any:
    """The value at a place of an item, ``/properties/products/0/sku``: the names on the way say what it is."""
    names = [part for part in pointer.split("/") if part and not part.isdigit()][-2:]
    around = names[0] if len(names) > 1 and names[0] not in _ROOTS else ""
    return mask_json(value, names[-1] if names else "", around)


def _mask_sent(value: Any, key: str, around: str, *, is_identifying: bool) -> Any:
    privacy = sent_class(key, around)
    is_identifying = privacy is SentClass.IDENTIFYING or (is_identifying and not is_public_field(key))
    if isinstance(value, dict):
        inside = [
            _mask_sent(inner, name, key or around, is_identifying=is_identifying)
            for name, inner in value.items()
        ]
        return dict(zip(_masked_names(value), inside, strict=True))
    if isinstance(value, list):
        return [_mask_sent(inner, key, around, is_identifying=is_identifying) for inner in value]
    if value is None or value == "" or isinstance(value, bool):
        return value
    if is_identifying:
        return DOTS
    if not isinstance(value, str):
        return value
    if privacy is SentClass.FREE_TEXT and not _TIME.fullmatch(value):
        return DOTS
    return mask_text(value, numbers=privacy is not SentClass.THING)


def _masked_names(names: Iterable[str]) -> Iterator[str]:
    """Names that are addresses hidden, each still a name of its own."""
    taken: set[str] = set()
    for name in names:
        masked = mask_text(name, numbers=False)
        while masked != name and masked in taken:
            masked += DOTS
        taken.add(masked)
        yield masked


def displayed(
    profile: Profile, *, can_view_pii: bool, specs: dict[str, AttributeSpec] | None = None
) -> Profile:
    """The profile as a page shows it, recorded as looked at: itself, or a masked copy."""
    saw([profile.pk])
    return profile if can_view_pii else mask_profile(profile, specs)


def displayed_view(
    view: ProfileView, *, can_view_pii: bool, specs: dict[str, AttributeSpec] | None = None
) -> ProfileView:
    """A profile's view as a page or an answer shows it, recorded as looked at: itself, or a masked copy."""
    saw([view.profile.pk])
    return view if can_view_pii else mask_view(view, specs)


def mask_profile(profile: Profile, specs: dict[str, AttributeSpec] | None = None) -> Profile:
    """A copy with every attribute masked; ``name`` and ``initials`` follow. Not to be saved."""
    masked = copy.copy(profile)
    for field in profile.FIELDS:
        # A masked date is text; the copy is only displayed.
        setattr(masked, field, mask(field, getattr(profile, field)))
    masked.attributes = {
        name: mask(CUSTOM + name, value, specs) for name, value in profile.attributes.items()
    }
    return masked


def mask_view(view: ProfileView, specs: dict[str, AttributeSpec] | None = None) -> ProfileView:
    """A masked copy of a profile's view. No query."""
    masked = copy.copy(view)
    masked.profile = mask_profile(view.profile, specs)
    masked.identifiers = [_mask_row(row) for row in view.identifiers]
    masked.addresses = [_mask_address(row) for row in view.addresses]
    masked.alternates = [
        {**alternate, "value": mask(alternate["field"], alternate["value"], specs)}
        for alternate in view.alternates
    ]
    return masked


def _mask_row(identifier: Identifier) -> Identifier:
    masked = copy.copy(identifier)
    masked.value = mask_identifier(identifier.type.name, identifier.value)
    masked.raw = ""
    return masked


def _mask_address(address: Address) -> Address:
    masked = copy.copy(address)
    masked.street = DOTS if address.street else ""
    masked.postcode = _postcode(address.postcode) if address.postcode else ""
    return masked


def _mask_listed(field: str, item: Any) -> str:
    """An item of a many-valued field of the journal: ``type:value``, or an address as one text."""
    if field in _IDENTIFIERS and isinstance(item, str) and ":" in item:
        name, _, value = item.partition(":")
        return f"{name}:{mask_identifier(name, value)}"
    return DOTS


def _first(value: str) -> str:
    return value[:2] + DOTS if len(value) > 3 else DOTS


def _initial(value: str) -> str:
    return value[0] + DOTS


def _email(value: str) -> str:
    local, at, domain = value.rpartition("@")
    if not at or not local:
        return DOTS
    name, _, ending = domain.rpartition(".")
    return f"{local[0]}{DOTS}@{name[:1]}{DOTS}.{ending}"


def _phone(value: str) -> str:
    try:
        code = f"+{phonenumbers.parse(value).country_code} "
    except phonenumbers.NumberParseException:
        code = ""
    digits = "".join(char for char in value if char.isdigit())
    return f"{code}{DOTS} {DOTS} {digits[-3:]}" if len(digits) > 6 else DOTS


def _postcode(value: str) -> str:
    return value[:2] + DOTS


def _birth_date(value: str) -> str:
    """The year stays: age groups are what lists are filtered by."""
    return value[:4] + "-••-••"


_MASKERS = {
    "first_name": _initial,
    "last_name": _initial,
    "email": _email,
    "phone": _phone,
    "postcode": _postcode,
    "birth_date": _birth_date,
}
