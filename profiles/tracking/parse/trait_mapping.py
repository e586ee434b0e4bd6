"""Traits as SDKs send them, led to the default attributes; the rest is what somebody may register. Pure."""

from __future__ import annotations

from typing import Any

from profiles.tracking.parse.trait_names import OTHER, field_of, is_address, is_full_name, part_of


class _Chosen:
    """The best spelling of each field so far; what it displaced stays under the name it was sent as."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.unknown: dict[str, Any] = {}
        self._held: dict[str, tuple[tuple[bool, int], str]] = {}

    def offer(self, field: str, rank: int, name: str, raw: Any) -> None:
        # An empty value never hides a given one, however it is spelled.
        weight = (_is_empty(raw), rank)
        held = self._held.get(field)
        if held is not None and held[0] <= weight:
            self._displace(name, raw, self.fields[field])
            return
        if held is not None:
            self._displace(held[1], self.fields[field], raw)
        self.fields[field], self._held[field] = raw, (weight, name)

    def _displace(self, name: str, raw: Any, winner: Any) -> None:
        if not _is_empty(raw) and raw != winner:
            self.unknown[name] = raw


def fields_of(traits: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Traits as ({default attribute: raw}, {unknown name as spelled: raw}). Never raises.

    Any usual spelling of a name counts; of several for one attribute the plainest that has a value, and the
    others are unknown names. ``address`` may be an object; parts of it that we do not know are called
    ``address_<part>``. ``name`` is split only where neither a first nor a last name is given. Values are as
    sent. What comes out as fields comes out the same when it is sent again.
    """
    chosen = _Chosen()
    full = None
    for name, raw in traits.items():
        found = field_of(name)
        if found is not None:
            chosen.offer(found[0], found[1], name, raw)
        elif is_full_name(name):
            full = full if _is_empty(raw) else raw
        elif is_address(name):
            _address(chosen, name, raw)
        else:
            chosen.unknown[name] = raw
    if isinstance(full, str) and not _has_name(chosen.fields):
        chosen.fields |= split_name(full)
    return chosen.fields, chosen.unknown


def split_name(full: str) -> dict[str, str]:
    """“Ann Lee” and “Lee, Ann”; everything behind the first word is the last name."""
    text = " ".join(full.split())
    if ", " in text:
        last, _, first = text.partition(", ")
    else:
        first, _, last = text.partition(" ")
    parts = {"first_name": first.strip(), "last_name": last.strip()}
    return {field: part for field, part in parts.items() if part}


def _address(chosen: _Chosen, name: str, raw: Any) -> None:
    if not isinstance(raw, dict):
        chosen.offer("street", OTHER + OTHER, name, raw)
        return
    for part, value in raw.items():
        found = part_of(part)
        if found is not None:
            chosen.offer(found[0], found[1], f"address_{part}", value)
        elif not _is_empty(value):
            chosen.unknown[f"address_{part}"] = value


def _has_name(fields: dict[str, Any]) -> bool:
    return not (_is_empty(fields.get("first_name")) and _is_empty(fields.get("last_name")))


def _is_empty(raw: Any) -> bool:
    # By type first: 0 and False are values, and 0 == False == "" must not be asked of other types.
    return raw is None or (isinstance(raw, (str, list, dict)) and not raw)
