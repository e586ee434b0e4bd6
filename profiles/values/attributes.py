"""Values of attributes, default and registered → cleaned to store, labeled and formatted to display."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.formats import date_format, number_format

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Invalid
from profiles.identity.field_names import taken_by
from profiles.identity.normalize import (
    DEFAULT_KINDS,
    NAMES,
    BadValue,
    attribute,
    country_name,
    normalizer,
)
from profiles.identity.presets import BROWSER, CUSTOMER
from profiles.identity.text import name_text, visible
from profiles.models import AttributeDefinition, Profile

CUSTOM = "attributes."


class HasValues(Protocol):
    """A profile, or what was read of one: the default attributes by name, and the others."""

    attributes: Any


LABELS = {
    "first_name": "First name",
    "last_name": "Last name",
    "email": "E-mail",
    "phone": "Phone",
    "street": "Street",
    "postcode": "Postcode",
    "city": "City",
    "state": "State or region",
    "country": "Country",
    "birth_date": "Birth date",
    "gender": "Gender",
    "language": "Language",
}

# Names a custom attribute may not take: columns of the product itself, words of its files and API.
RESERVED = frozenset(
    {
        *Profile.FIELDS,
        *(
            "id type types status source sources tag tags segment segments event events identifier identifiers"
            " consent consents attribute attributes aggregate aggregates expression expressions alternate"
            " alternates merged_ids locked canonical canonical_id version created_at updated_at first_seen_at"
            " last_seen_at search name note notes customer_id anonymous_id user_id reference_id external_id"
            " message_id other_identifiers profile profile_id actor import imports merge merges null none true false"
        ).split(),
    }
)


@dataclass(frozen=True, slots=True)
class AttributeSpec:
    """One attribute: ``field`` is its key in the journal (``city``, ``attributes.plan``)."""

    field: str
    label: str
    type: str
    allowed: tuple[str, ...] = ()
    is_custom: bool = False
    sensitivity: str = "personal"
    max_length: int | None = None

    @property
    def name(self) -> str:
        return self.field.removeprefix(CUSTOM)


def _default_spec(name: str) -> AttributeSpec:
    column = Profile._meta.get_field(name)
    return AttributeSpec(
        name, LABELS[name], DEFAULT_KINDS[name], max_length=getattr(column, "max_length", None)
    )


DEFAULTS: dict[str, AttributeSpec] = {name: _default_spec(name) for name in Profile.FIELDS}


def attribute_specs() -> dict[str, AttributeSpec]:
    """Default attributes, then registered ones, by journal key. One query."""
    return {**DEFAULTS, **{spec.field: spec for spec in map(spec_of, AttributeDefinition.objects.all())}}


def spec_of(definition: AttributeDefinition) -> AttributeSpec:
    return AttributeSpec(
        CUSTOM + definition.name,
        definition.label or definition.name,
        definition.type,
        tuple(definition.choices),
        is_custom=True,
        sensitivity=definition.sensitivity,
    )


def check_new_name(name: str) -> None:
    """Raises BadValue when a custom attribute may not be called so: a name of the product, or a spelling of one."""
    if name not in RESERVED and (means := taken_by(name)):
        what = (
            "the identifier"
            if means in (CUSTOMER, BROWSER)
            else "the default attributes"
            if " " in means
            else "the default attribute"
        )
        raise BadValue(f"“{name}” means {what} {means}, so this attribute would stay empty. Use {means}.")
    if name.lower() in RESERVED:
        raise BadValue(f"“{name}” is a name of the system. Choose another, for example “{name}_custom”.")


_RULE_TYPES = {
    AttributeDefinition.MergeRule.SUM: ("number",),
    AttributeDefinition.MergeRule.LARGEST: ("number", "date", "datetime"),
    AttributeDefinition.MergeRule.SMALLEST: ("number", "date", "datetime"),
    AttributeDefinition.MergeRule.UNION: ("list",),
}


def rule_refusal(rule: str, kind: str) -> str:
    """Why an attribute of this type cannot have the merge rule, or ""."""
    types = _RULE_TYPES.get(AttributeDefinition.MergeRule(rule)) if rule else None
    if types is None or kind in types:
        return ""
    labels = {str(value): str(label).lower() for value, label in AttributeDefinition.Type.choices}
    known = " and ".join(labels[name] for name in types)
    known = known.replace(" and ", ", ", len(types) - 2) if len(types) > 2 else known
    chosen = AttributeDefinition.MergeRule(rule).label
    return f"“{chosen}” is for attributes of type {known}, not {labels.get(kind, kind)}. Choose another rule."


@transaction.atomic
def define_attribute(*, name: str, type: str = "text", actor: Actor) -> AttributeDefinition:  # noqa: A002
    """Register a custom attribute at first use. Raises Invalid: reserved, taken, malformed."""
    definition = AttributeDefinition(name=name.strip(), type=type)
    try:
        check_new_name(definition.name)
        definition.full_clean()
    except BadValue as error:
        raise Invalid([{"field": "name", "value": name, "message": str(error)}]) from error
    except ValidationError as error:
        sentences = [text for texts in error.message_dict.values() for text in texts]
        raise Invalid(
            [{"field": "name", "value": name, "message": sentence} for sentence in sentences]
        ) from error
    definition.save()
    audit.record("attribute.create", actor=actor, subject=f"attribute:{definition.pk}", detail={"name": name})
    return definition


def clean_value(spec: AttributeSpec, raw: Any) -> Any:
    """What is stored for a raw value: JSON-ready, None for empty. Raises BadValue.

    Default attributes come back as text; ``birth_date`` as ``YYYY-MM-DD``.
    """
    if raw is None or raw in ("", []):
        return None
    if spec.is_custom:
        return attribute(spec.type, raw, allowed=spec.allowed)
    if not isinstance(raw, str):
        raise BadValue("Write it as text.")
    clean = name_text if spec.field in NAMES else normalizer(spec.type, region=settings.CDP_PHONE_REGION)
    value = clean(raw)
    if spec.max_length and len(value) > spec.max_length:
        raise BadValue(f"At most {spec.max_length:,} characters; this has {len(value):,}.")
    return value or None


def clean_values(values: dict[str, Any], specs: dict[str, AttributeSpec] | None = None) -> dict[str, Any]:
    """All of ``{field: raw}``, or Invalid with every problem at once. At most one query."""
    specs = specs if specs is not None else attribute_specs()
    problems: list[dict[str, Any]] = []
    clean: dict[str, Any] = {}
    for key, raw in values.items():
        spec = specs.get(key)
        if spec is None:
            problems.append({"field": key, "value": raw, "message": _unknown(key)})
            continue
        try:
            clean[key] = clean_value(spec, raw)
        except BadValue as error:
            problems.append({"field": key, "value": raw, "message": str(error)})
    if problems:
        raise Invalid(problems)
    return clean


def _unknown(key: str) -> str:
    name = key.removeprefix(CUSTOM)
    if key.startswith(CUSTOM):
        return f"There is no attribute “{name}”. Register it under Attributes first."
    return f"There is no attribute “{name}”. Custom attributes go under “attributes”."


def get_value(profile: HasValues, field: str) -> Any:
    """The stored value of a journal key on one row, JSON-ready. No query."""
    if field.startswith(CUSTOM):
        return profile.attributes.get(field.removeprefix(CUSTOM))
    value = getattr(profile, field)
    return value.isoformat() if isinstance(value, datetime.date) else value


def set_value(profile: HasValues, field: str, value: Any) -> None:
    """Put a cleaned value on the instance (not saved); None clears it."""
    if not field.startswith(CUSTOM):
        if field == "birth_date" and value is not None:
            value = datetime.date.fromisoformat(value)
        setattr(profile, field, value)
    elif value is None:
        profile.attributes.pop(field.removeprefix(CUSTOM), None)
    else:
        profile.attributes[field.removeprefix(CUSTOM)] = value


def values_of(profile: Profile, fields: Iterable[str] | None = None) -> dict[str, Any]:
    """Every set attribute of one row by journal key. No query."""
    keys = fields or [*Profile.FIELDS, *(CUSTOM + name for name in profile.attributes)]
    return {key: value for key in keys if (value := get_value(profile, key)) is not None}


def label_of(field: str, specs: dict[str, AttributeSpec]) -> str:
    """What people call a journal key; also right for attributes whose definition is gone."""
    spec = specs.get(field)
    return spec.label if spec else field.removeprefix(CUSTOM)


def display(field: str, value: Any) -> str:
    """A stored value as people read it: country by name, dates and numbers formatted, lists joined.

    What nobody would see, such as a mark that turns text around, is written out.
    """
    if value is None or value == "":
        return ""
    if field == "country":
        return country_name(value) or value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number_format(value)
    if isinstance(value, (datetime.date, datetime.datetime)):
        return date_format(value, "Y-m-d")
    if isinstance(value, list):
        return visible(", ".join(map(str, value)))
    return visible(str(value))
