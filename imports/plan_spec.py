"""A checked mapping and this installation's rules → the columns the plan's SQL has, the same for every row."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from imports.columns import MAX_VALUES, Context, Mapping
from imports.models import Import
from imports.options import LEAVE_OUT, regrants
from profiles.identity.types import TypeSpec, identifier_types


@dataclass(frozen=True, slots=True)
class IdentifierColumn:
    """One identifier column. ``limit`` is how many values of the type a profile may have, None for any number.

    ``cell`` is the number of the cell it is from, -1 for a constant.
    """

    type_id: int
    type_name: str
    is_unique: bool
    makes_recognized: bool
    limit: int | None
    cell: int


@dataclass(frozen=True, slots=True)
class AttributeColumn:
    """One custom attribute column and its policy."""

    name: str
    is_list: bool
    policy: str


@dataclass(frozen=True, slots=True)
class PlanSpec:
    """``identifiers`` come strongest first. ``fields`` pairs a default attribute with its policy.

    ``tags`` is the policy of the tags, "" without a tags column. ``is_strict``: a row whose identifiers belong to
    two profiles is a conflict; otherwise it goes to the profile of the stronger identifier. ``regrant_at``: a yes of
    the file counts for whoever had said no before; one without a time was given then. None: it never does.
    """

    identifiers: tuple[IdentifierColumn, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    attributes: tuple[AttributeColumn, ...] = ()
    tags: str = ""
    has_consents: bool = False
    is_strict: bool = False
    regrant_at: datetime.datetime | None = None

    def unique_identifiers(self) -> Iterator[tuple[int, IdentifierColumn]]:
        """(index, column) of those that a profile can be matched by."""
        return ((index, column) for index, column in enumerate(self.identifiers) if column.is_unique)

    @property
    def unique_type_ids(self) -> set[int]:
        return {column.type_id for column in self.identifiers if column.is_unique}

    @property
    def limits(self) -> dict[int, int]:
        """``{type id: how many values a profile may have}``, without the types that may have any number."""
        return {column.type_id: column.limit for column in self.identifiers if column.limit is not None}

    @property
    def recognizing_type_ids(self) -> tuple[int, ...]:
        """Ids of the types that make a profile recognized."""
        return tuple(sorted({column.type_id for column in self.identifiers if column.makes_recognized}))


def build_plan_spec(import_: Import, mapping: Mapping, context: Context) -> PlanSpec:
    """What the SQL needs to know about an import with this mapping. One query."""
    types = identifier_types()
    cells = {column.index: cell for cell, column in enumerate(mapping.cell_columns)}
    mapped = [
        (types[column.target.identifier], cells.get(column.index, -1))
        for column in mapping.used
        if column.target.identifier
        for _ in range(MAX_VALUES if column.separator else 1)  # each value of such a cell is one identifier
    ]
    policies = mapping.policies
    fields = {name: policy for name, policy in policies.items() if "." not in name and name != "tags"}
    attributes = [
        AttributeColumn(spec.name, spec.type == "list", policies[f"attributes.{spec.name}"])
        for spec in context.attributes
        if f"attributes.{spec.name}" in policies
    ]
    return PlanSpec(
        identifiers=tuple(
            _identifier_column(spec, cell)
            for spec, cell in sorted(mapped, key=lambda column: (column[0].row.priority, column[0].id))
        ),
        fields=tuple(fields.items()),
        attributes=tuple(attributes),
        tags=policies.get("tags", ""),
        has_consents=any(column.target.kind == "consent" for column in mapping.used),
        is_strict=import_.options.get("on_conflict") == LEAVE_OUT,
        regrant_at=import_.created_at if regrants(import_.options) else None,
    )


def _identifier_column(spec: TypeSpec, cell: int) -> IdentifierColumn:
    row = spec.row
    return IdentifierColumn(
        spec.id,
        row.name,
        row.is_unique,
        spec.makes_recognized,
        row.max_per_profile if row.is_unique else None,
        cell,
    )
