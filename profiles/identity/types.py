"""Rows of identifier types → ``TypeSpec``s that clean values, compiled once per call.

A value is cleaned the same way whichever way it comes: normalized by its type, then compared with what identifies
nobody anywhere and with the type's own blocked values. A blocked value counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from django.conf import settings

from cdp.errors import Invalid
from profiles.identity.blocked_values import ignored_sentence
from profiles.identity.field_names import type_name_of
from profiles.identity.normalize import BadValue, compile_patterns, is_blocked, normalizer
from profiles.models import IdentifierType


class Blocked(ValueError):
    """The value identifies nobody (``null``, ``test@test.com`` …); treat it as absent and warn."""


@dataclass(frozen=True, slots=True)
class TypeSpec:
    """One identifier type, ready to clean values with. ``row`` is the table's row.

    ``id`` and ``name`` are the row's, kept here because a call asks for them dozens of times for each item.
    """

    row: IdentifierType
    clean: Callable[[str], str]
    id: int = field(init=False)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.row.pk)
        object.__setattr__(self, "name", self.row.name)

    @property
    def makes_recognized(self) -> bool:
        """Whether a profile with such a value is a recognized person."""
        return self.row.is_main and self.row.is_unique and self.row.strength == IdentifierType.Strength.HARD


@lru_cache(maxsize=64)
def _cleaner(
    kind: str, blocked: frozenset[str], patterns: tuple[str, ...], region: str
) -> Callable[[str], str]:
    compiled = compile_patterns(patterns)
    normal = normalizer(kind, region=region)

    def clean(raw: str) -> str:
        if is_blocked(raw, blocked, compiled, kind):
            raise Blocked(ignored_sentence(raw))
        value = normal(raw)
        if is_blocked(value, blocked, compiled, kind):
            raise Blocked(ignored_sentence(raw))
        if len(value) > 255:
            raise BadValue(f"An identifier has at most 255 characters; this one has {len(value):,}.")
        return value

    return clean


def spec_of(row: IdentifierType) -> TypeSpec:
    blocked = frozenset(value.lower() for value in row.blocked_values)
    return TypeSpec(
        row, _cleaner(row.normalizer, blocked, tuple(row.blocked_patterns), settings.CDP_PHONE_REGION)
    )


def identifier_types() -> dict[str, TypeSpec]:
    """Every type by name, strongest first. One query."""
    return {row.name: spec_of(row) for row in IdentifierType.objects.order_by("priority", "name")}


def find_type(types: dict[str, TypeSpec], name: str) -> TypeSpec | None:
    """The named type, by the name other systems have for it too: ``customId`` is ``customer_id``. None for none."""
    return types.get(name) or types.get(type_name_of(name))


def get_type(types: dict[str, TypeSpec], name: str) -> TypeSpec:
    """The same; Invalid with the known names where there is none."""
    spec = find_type(types, name)
    if spec is None:
        known = ", ".join(types)
        raise Invalid(
            [
                {
                    "field": "type",
                    "value": name,
                    "message": f"“{name}” is not an identifier type. Known types: {known}.",
                }
            ]
        )
    return spec
