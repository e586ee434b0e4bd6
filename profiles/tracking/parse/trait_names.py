"""Traits as SDKs send them → default attributes, and the rest under the names they were sent with. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from profiles.identity.field_names import field_of, fold_name, is_address, is_full_name

# Parts of an ``address`` object.
_PARTS: dict[str, str] = {
    "street": "street streetaddress address1 addressline1 line1 street1 address",
    "postcode": "postalcode postcode zip zipcode",
    "city": "city town locality",
    "state": "state region province stateprovince",
    "country": "country countrycode countryname",
}


_ADDRESS = {name: (field, rank) for field, names in _PARTS.items() for rank, name in enumerate(names.split())}
# Behind every spelling of a field's own.
ALIAS_RANK = 100
_NAMES = ("first_name", "last_name")


@lru_cache(maxsize=1024)
def part_of(name: str) -> tuple[str, int] | None:
    """The default attribute a part of an address means, behind a trait of its own at the top."""
    match = _ADDRESS.get(fold_name(name))
    return match and (match[0], ALIAS_RANK + match[1])


# --- Traits by attribute --------------------------------------------------------------------------------


class Displaced(NamedTuple):
    """A value of a default attribute for which another spelling was taken: ``name`` is its own."""

    field: str
    name: str
    raw: Any


class TraitsByField(NamedTuple):
    """Traits by default attribute, the unknown ones as spelled, and the values another one took the place of."""

    fields: dict[str, Any]
    unknown: dict[str, Any]
    displaced: list[Displaced]


class _ChosenFields:
    """The best spelling of each field so far, and what it displaced."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.unknown: dict[str, Any] = {}
        self.displaced: list[Displaced] = []
        self._candidates: dict[str, tuple[tuple[bool, int], str]] = {}

    def offer(self, field: str, rank: int, name: str, raw: Any) -> None:
        # An empty value never hides a given one, however it is spelled.
        weight = (_is_empty(raw), rank)
        current = self._candidates.get(field)
        if current is not None and current[0] <= weight:
            self._displace(field, name, raw, self.fields[field])
            return
        if current is not None:
            self._displace(field, current[1], self.fields[field], raw)
        self.fields[field], self._candidates[field] = raw, (weight, name)

    def _displace(self, field: str, name: str, raw: Any, winner: Any) -> None:
        if not _is_empty(raw) and raw != winner:
            self.displaced.append(Displaced(field, name, raw))

    def full_name(self, name: str, raw: Any) -> None:
        """Split where neither a first nor a last name is given; else it fills what the other one leaves open.

        What it says differently is displaced: part by part where both are given, else as a whole.
        """
        if not isinstance(raw, str):
            self.displaced.append(Displaced("first_name", name, raw))
            return
        parts = split_name(raw)
        if not _has_name(self.fields):
            self.fields |= parts
            return
        given = {field: self.fields[field] for field in _NAMES if not _is_empty(self.fields.get(field))}
        words = [fold_words(str(value)) for value in given.values()]
        if fold_words(raw) in (" ".join(words), " ".join(reversed(words))):
            return
        if len(given) < len(_NAMES) and words != [fold_words(parts.get(field, "")) for field in given]:
            parts = dict.fromkeys(given, " ".join(raw.split()))
        for field, part in parts.items():
            if fold_words(part) != fold_words(str(given.get(field) or "")):
                self._displace(field, name, part, given.get(field))


def fields_of(traits: dict[str, Any]) -> TraitsByField:
    """Traits as ({default attribute: raw}, {unknown name as spelled: raw}, displaced values). Never raises.

    Any usual spelling of a name counts; of several for one attribute the plainest that has a value. ``address`` may be
    an object; parts of it that we do not know are called ``address_<part>``. ``name`` is split only where neither a
    first nor a last name is given. Values are as sent. What comes out as fields comes out the same when it is sent again.
    """
    chosen = _ChosenFields()
    full_names = []
    for name, raw in traits.items():
        match = field_of(name)
        if match is not None:
            chosen.offer(match[0], match[1], name, raw)
        elif is_full_name(name):
            if not _is_empty(raw):
                full_names.append((name, raw))
        elif is_address(name):
            _address(chosen, name, raw)
        else:
            chosen.unknown[name] = raw
    for name, raw in reversed(full_names):
        chosen.full_name(name, raw)
    return TraitsByField(chosen.fields, chosen.unknown, chosen.displaced)


def split_name(full: str) -> dict[str, str]:
    """“Ann Lee” and “Lee, Ann”; everything behind the first word is the last name."""
    text = " ".join(full.split())
    if ", " in text:
        last, _, first = text.partition(", ")
    else:
        first, _, last = text.partition(" ")
    parts = {"first_name": first.strip(), "last_name": last.strip()}
    return {field: part for field, part in parts.items() if part}


def fold_words(text: str) -> str:
    return " ".join(text.replace(",", " ").lower().split())


def _address(chosen: _ChosenFields, name: str, raw: Any) -> None:
    if not isinstance(raw, dict):
        chosen.offer("street", ALIAS_RANK + ALIAS_RANK, name, raw)
        return
    for part, value in raw.items():
        match = part_of(part)
        if match is not None:
            chosen.offer(match[0], match[1], f"address_{part}", value)
        elif not _is_empty(value):
            chosen.unknown[f"address_{part}"] = value


def _has_name(fields: dict[str, Any]) -> bool:
    return not (_is_empty(fields.get("first_name")) and _is_empty(fields.get("last_name")))


def _is_empty(raw: Any) -> bool:
    # By type first: 0 and False are values, and 0 == False == "" must not be asked of other types.
    return raw is None or (isinstance(raw, (str, list, dict)) and not raw)
