"""Where each column of an import goes: checked against this installation, stored, advised on, saved by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict, Invalid, Refused, Stale
from imports.columns import (
    BIRTHDAY,
    FILL,
    AttributeSpec,
    Cleaner,
    Context,
    IdentifierSpec,
    Mapping,
    MappingError,
    advise,
    guess_settings,
    ignored_consents,
    needs_birthday,
    parse_mapping,
)
from imports.job_controls import locked_for_change
from imports.models import Import, SavedMapping
from imports.options import DEFAULTS, FROM_CELLS, REGRANT_OPTIONS, check_regrant, clean_options
from profiles.consent.lists import read_lists
from profiles.identity.types import TypeSpec, identifier_types
from profiles.models import AttributeDefinition
from profiles.values.attributes import define_attribute

NAME_LENGTH = 100


def load_context(options: dict[str, Any] | None = None) -> Context:
    """The attributes, identifier types and consents a column can go to, as they are now. Four queries."""
    attributes = tuple(
        AttributeSpec(row.name, row.type, tuple(row.choices), row.label)
        for row in AttributeDefinition.objects.order_by("name")
    )
    chosen = {**DEFAULTS, **(options or {})}
    return Context(
        attributes=attributes,
        identifiers=tuple(_identifier_spec(spec) for spec in identifier_types().values()),
        region=settings.CDP_PHONE_REGION,
        clear_marker=chosen["clear_marker"],
        date_order=chosen["date_order"],
        phone_country=chosen["phone_country"],
        bad_cells=chosen["bad_cells"],
        empty_words=chosen["empty_words"],
        digit_marks=chosen["digit_marks"],
        consents=read_lists(),
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


def read_mapping(import_: Import, context: Context, data: dict[str, Any] | None = None) -> Mapping:
    """The import's mapping (or ``data``) checked against its header; Invalid names every problem."""
    try:
        return parse_mapping(
            import_.mapping if data is None else data,
            import_.headers,
            context,
            default_policy=import_.options.get("policy", FILL),
        )
    except MappingError as error:
        raise Invalid(_problems(error)) from error


def check_mapping(import_: Import, context: Context, data: dict[str, Any] | None = None) -> Mapping:
    """``read_mapping`` for a mapping about to be used: its constants must be valid values of their targets."""
    mapping = read_mapping(import_, context, data)
    try:
        Cleaner(mapping, context)
    except MappingError as error:
        raise Invalid(_problems(error)) from error
    return mapping


def _problems(error: MappingError) -> list[dict[str, Any]]:
    """``column`` for the form, ``pointer`` for the API (RFC 6901)."""
    return [
        {
            "pointer": "/mapping/" + column.replace("~", "~0").replace("/", "~1") if column else "/mapping",
            "column": column or None,
            "message": message,
        }
        for column, message in error.problems
    ]


def explicit_mapping(mapping: dict[str, Any]) -> dict[str, Any]:
    """A mapping as it is stored: each column's target, and a policy only where one was given.

    So the other columns follow the import's own policy when that is changed later.
    """
    explicit = {}
    for key, entry in mapping.items():
        parts = {"to": entry} if isinstance(entry, str) else entry
        explicit[key] = {name: value for name, value in parts.items() if value not in (None, "", False, {})}
    return explicit


def options_from_cells(
    mapping: Mapping, rows: list[list[str]], context: Context, options: dict[str, Any]
) -> dict[str, Any]:
    """The options with the order of dates and the country of phone numbers, where nobody said them and the cells do."""
    found = guess_settings(mapping, rows, context)
    return {
        **options,
        **{name: found[name] for name in FROM_CELLS if found.get(name) and not options.get(name)},
    }


def define_birthday(headers: list[str], rows: list[list[str]], context: Context, *, actor: Actor) -> bool:
    """Make the attribute for birthdays without a year when the file has some; whether it was made.

    Without the right to make attributes, or where the name is taken, what is left out is listed.
    """
    may_define = actor.can("profiles.add_attributedefinition")
    if BIRTHDAY in context.attribute_by_name or not may_define or not needs_birthday(headers, rows, context):
        return False
    try:
        define_attribute(name=BIRTHDAY, actor=actor)
    except Invalid:
        return False
    return True


@transaction.atomic
def map_import(
    *,
    import_id: int,
    mapping: dict[str, Any],
    options: dict[str, Any] | None = None,
    revision: int | None = None,
    actor: Actor,
) -> Import:
    """Set where each column goes. An older plan is void. Raises Invalid with every problem, Stale."""
    import_ = locked_for_change(import_id, revision)
    clean, dialect_options = clean_options(options or {})
    if dialect_options:
        raise Stale("How the file is read is changed before the mapping, not with it.")
    import_.options = {**import_.options, **clean}
    check_regrant(import_.options, actor=actor)
    context = load_context(import_.options)
    checked = check_mapping(import_, context, mapping)
    if set(FROM_CELLS) - set(clean):
        found = options_from_cells(checked, import_.sample, context, import_.options)
        import_.options = {**found, **clean}
    import_.mapping = explicit_mapping(mapping)
    import_.start_revision()
    import_.save()
    audit.record("import.map", actor=actor, subject=f"import:{import_.pk}")
    return import_


def advice_for(import_: Import) -> list[dict[str, Any]]:
    """What to point out about the mapping as it is; empty while the mapping is not complete."""
    context = load_context(import_.options)
    try:
        mapping = read_mapping(import_, context)
    except Refused:
        return []
    return [
        {
            "code": item.code,
            "column": item.column or None,
            "message": item.message,
            "suggestion": item.suggestion,
        }
        for item in advise(mapping, import_.sample, context)
    ]


def unconfirmed_consents(import_: Import) -> list[str]:
    """Columns that look like consents and are left out, though nobody said that this is meant. Two queries."""
    context = load_context(import_.options)
    mapping = read_mapping(import_, context)
    return [import_.headers[index] for index in ignored_consents(mapping, import_.sample)]


def check_consents(import_: Import) -> None:
    """Raises Conflict while such a column is not confirmed: a “no” in it would be lost."""
    if columns := unconfirmed_consents(import_):
        names = ", ".join(f"“{column}”" for column in columns)
        looks = "looks like a consent and is" if len(columns) == 1 else "look like consents and are"
        raise Conflict(
            f"{names} {looks} left out, so a “no” there would be lost. Choose where it goes, or confirm that it is"
            " left out, under Columns, and plan the import again."
        )


# --- Saved mappings -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MappingSaved:
    """``is_replaced``: an older mapping of this name was overwritten."""

    mapping: SavedMapping
    is_replaced: bool


def clean_mapping_name(raw: str) -> str:
    """The name a mapping is saved under. Raises Invalid; so it can be checked before anything is changed."""
    name = raw.strip()[:NAME_LENGTH]
    if not name:
        raise Invalid([{"field": "name", "value": None, "message": "Give the mapping a name to keep it."}])
    return name


@transaction.atomic
def save_mapping(*, import_id: int, name: str, options: dict[str, Any], actor: Actor) -> MappingSaved:
    """Save an import's mapping as it is now under a name; an older one of that name is replaced. Raises Invalid.

    ``options`` are those that go with it: ``policy``, ``on_conflict``, ``clear_marker``, ``empty_words``; why a yes
    counts after a no is not kept, for it is said of one file.
    """
    name = clean_mapping_name(name)
    import_ = Import.objects.get(pk=import_id)
    mapping, is_new = SavedMapping.objects.update_or_create(
        name=name,
        defaults={
            "headers": import_.headers,
            "mapping": import_.mapping,
            "options": {name: value for name, value in options.items() if name not in REGRANT_OPTIONS},
            "user_id": actor.user_id,
        },
    )
    audit.record(
        "mapping.keep",
        actor=actor,
        subject=f"mapping:{mapping.pk}",
        detail={"import": import_.pk, "columns": len(import_.mapping), "replaced": not is_new},
    )
    return MappingSaved(mapping, not is_new)
