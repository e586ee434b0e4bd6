"""Between the pure rooms and this installation: what exists here, and what an import's mapping comes to."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from cdp.errors import Invalid
from imports.columns import (
    AttributeSpec,
    Cleaner,
    Context,
    IdentifierSpec,
    Mapping,
    MappingError,
    parse_mapping,
)
from imports.files import Dialect
from imports.models import Import
from imports.plan_spec import FILL, Custom, Shape, Slot
from profiles.identity.types import TypeSpec, identifier_types
from profiles.models import AttributeDefinition

CLEAR_MARKER = "<clear>"


def installed(options: dict[str, Any] | None = None) -> Context:
    """Attributes and identifier types as they are now. Two queries."""
    attributes = tuple(
        AttributeSpec(row.name, row.type, tuple(row.choices), row.label)
        for row in AttributeDefinition.objects.order_by("name")
    )
    identifiers = tuple(_identifier_spec(spec) for spec in identifier_types().values())
    return Context(
        attributes=attributes,
        identifiers=identifiers,
        region=settings.CDP_PHONE_REGION,
        clear_marker=(options or {}).get("clear_marker", CLEAR_MARKER),
    )


def _identifier_spec(spec: TypeSpec) -> IdentifierSpec:
    row = spec.row
    return IdentifierSpec(
        row.name,
        row.normalizer,
        row.is_unique,
        row.strength == "hard",
        row.priority,
        row.max_per_profile,
        frozenset(value.lower() for value in row.blocked_values),
        tuple(row.blocked_patterns),
        row.label,
    )


def read_mapping(job: Import, context: Context, data: dict[str, Any] | None = None) -> Mapping:
    """The import's mapping (or ``data``) checked against its header; Invalid names every problem."""
    try:
        return parse_mapping(
            job.mapping if data is None else data,
            job.headers,
            context,
            default_policy=job.options.get("policy", FILL),
        )
    except MappingError as error:
        raise Invalid(as_problems(error)) from error


def check_mapping(job: Import, context: Context, data: dict[str, Any] | None = None) -> Mapping:
    """``read_mapping`` for a mapping that is about to be used: its constants must be values of their target, too."""
    mapping = read_mapping(job, context, data)
    try:
        Cleaner(mapping, context)
    except MappingError as error:
        raise Invalid(as_problems(error)) from error
    return mapping


def as_said(mapping: dict[str, Any]) -> dict[str, Any]:
    """A mapping as it is kept: where each column goes, and a policy only where one was said.

    So the other columns follow the import's own policy when that is changed later.
    """
    said = {}
    for key, entry in mapping.items():
        parts = {"to": entry} if isinstance(entry, str) else entry
        said[key] = {name: value for name, value in parts.items() if value not in (None, "")}
    return said


def as_problems(error: MappingError) -> list[dict[str, Any]]:
    """``column`` for the form, ``pointer`` for the API (RFC 6901)."""
    return [
        {
            "pointer": "/mapping/" + column.replace("~", "~0").replace("/", "~1") if column else "/mapping",
            "column": column or None,
            "message": message,
        }
        for column, message in error.problems
    ]


def dialect_of(job: Import) -> Dialect:
    return Dialect.from_json(job.dialect)


def shape_of(mapping: Mapping, context: Context, *, is_strict: bool) -> Shape:
    """What the plan's SQL needs to know. One query."""
    types = identifier_types()
    given = [types[column.target.identifier] for column in mapping.used if column.target.identifier]
    policies = mapping.policies
    default = {name: policy for name, policy in policies.items() if "." not in name and name != "tags"}
    customs = [
        Custom(spec.name, spec.type == "list", policies[f"attributes.{spec.name}"])
        for spec in context.attributes
        if f"attributes.{spec.name}" in policies
    ]
    return Shape(
        slots=tuple(_slot(spec) for spec in sorted(given, key=lambda spec: (spec.row.priority, spec.id))),
        fields=tuple(default.items()),
        customs=tuple(customs),
        tags=policies.get("tags", ""),
        has_consents=any(column.target.kind == "consent" for column in mapping.used),
        is_strict=is_strict,
    )


def _slot(spec: TypeSpec) -> Slot:
    row = spec.row
    return Slot(
        spec.id,
        row.name,
        row.is_unique,
        spec.makes_recognized,
        row.max_per_profile if row.is_unique else None,
    )
