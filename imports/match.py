"""A batch of cleaned rows → the profile each row matches and what it would change, as SQL.

Reads profiles, writes only the plan. Three steps per batch, each one statement over all its rows:

1. ``import_batch`` (temporary) takes the cleaned rows by COPY; a text column per identifier column.
2. ``import_match`` (temporary): the profile each row matches, by the identifiers' priority, and which
   identifiers that profile does not have yet.
3. Both, joined to the profile as it is, go into the import's partition with outcome and diff.

The statements are put together from the import's PlanSpec; every value and name travels as a parameter.
In them ``k0, r0, …`` are the row's identifiers (normalized and raw), ``m0`` the member that has one, ``g0`` the
root of its merge group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imports.binds import Binds
from imports.columns import APPEND, FILL, NEVER, OVERWRITE
from imports.match_consents import consent_notices, consents_piece
from imports.plan_spec import AttributeColumn, PlanSpec
from profiles.models import Profile

# Between tags (and cleared fields) in one COPY column; no cleaned value can contain it.
SEPARATOR = "\x1f"

_TYPES = {"birth_date": "date"}


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    params: dict[str, Any]


def batch_columns(spec: PlanSpec) -> list[tuple[str, str]]:
    """Name and type of each column of ``import_batch``, in the order COPY sends them; an empty cell is NULL."""
    columns = [("line", "bigint")]
    for index in range(len(spec.identifiers)):
        columns += [(f"k{index}", "text"), (f"r{index}", "text")]
    columns += [(name, _TYPES.get(name, "text")) for name in Profile.FIELDS]
    columns += [("attributes", "jsonb"), ("tags", "text"), ("consents", "jsonb"), ("clears", "text")]
    return [*columns, ("problems", "jsonb"), ("notices", "jsonb"), ("cells", "text")]


def create_batch_table(spec: PlanSpec) -> str:
    columns = ", ".join(f"{name} {sql_type}" for name, sql_type in batch_columns(spec))
    return f"CREATE TEMP TABLE import_batch ({columns}) ON COMMIT DROP"


# --- Which profile ------------------------------------------------------------------------------------


def _members(root: str) -> str:
    """A merge group's ids as an array: the root and what was merged into it (partial index, mostly empty)."""
    return (
        f"({root} || ARRAY(SELECT m.id FROM profiles_profile m"
        f" WHERE m.canonical_id = {root} AND m.canonical_id <> m.id))"
    )


def _value_count(members: str, type_id: int) -> str:
    """How many resolving values of a type a profile has."""
    return (
        "(SELECT count(*) FROM profiles_identifier x"
        f" WHERE x.profile_id = ANY({members}) AND x.type_id = {type_id} AND x.resolves)"
    )


def _accepts(spec: PlanSpec, index: int) -> str:
    """Whether the profile that has the identifier of this column may be the row's profile.

    Not when the row has a stronger identifier that no profile has yet, and that profile has as many of its type as
    it may: then the row is about another profile that shares the weaker value.
    """
    full = [
        f"(u.k{stronger} IS NOT NULL AND u.g{stronger} IS NULL"
        f" AND {_value_count(_members(f'u.g{index}'), column.type_id)} >= {column.limit})"
        for stronger, column in spec.unique_identifiers()
        if stronger < index and column.limit is not None
    ]
    guard = f" AND NOT ({' OR '.join(full)})" if full else ""
    return f"u.g{index} IS NOT NULL{guard}"


def _earlier_of_type(spec: PlanSpec, index: int) -> list[int]:
    """Columns of the same type before this one."""
    type_id = spec.identifiers[index].type_id
    return [earlier for earlier in range(index) if spec.identifiers[earlier].type_id == type_id]


def _is_absent(spec: PlanSpec, index: int) -> str:
    """Whether the row has no value here, or the same one in an earlier column."""
    same = [f"t.k{earlier} = t.k{index}" for earlier in _earlier_of_type(spec, index)]
    return " OR ".join([f"t.k{index} IS NULL", *same])


def _key(spec: PlanSpec, index: int) -> str:
    """The identifier, unless the row has it twice, or its profile has it for contact already."""
    is_unique = spec.identifiers[index].is_unique
    contact = f" OR (t.is_contact{index} AND t.g{index} IS NOT NULL)" if is_unique else ""
    return f"CASE WHEN {_is_absent(spec, index)}{contact} THEN NULL ELSE t.k{index} END"


def _clash(spec: PlanSpec, index: int) -> str:
    """The id of the profile that has the value: the row's own or another; 0: its own may have no more of the type."""
    column = spec.identifiers[index]
    contact = f" WHEN t.is_contact{index} THEN t.target"
    if not column.is_unique:
        return f"CASE{contact} END"
    over = ""
    if column.limit is not None:
        earlier = [f"(t.k{number} IS NOT NULL)::int" for number in _earlier_of_type(spec, index)]
        count = _value_count("t.members", column.type_id)
        over = (
            f" WHEN t.k{index} IS NOT NULL AND NOT ({_is_absent(spec, index)}) AND {' + '.join(earlier) or '0'}"
            f" + CASE WHEN t.target IS NULL THEN 0 ELSE {count} END >= {column.limit}"
            " THEN 0"
        )
    return f"CASE WHEN t.g{index} IS NOT NULL THEN t.g{index}{contact}{over} END"


def _is_contact(spec: PlanSpec, index: int) -> str:
    """Whether the row's profile has the value in whatever way; not asked when the value resolves to it."""
    resolves = f" OR m.g{index} = m.target" if spec.identifiers[index].is_unique else ""
    return (
        f"CASE WHEN m.target IS NULL OR m.k{index} IS NULL{resolves} THEN false ELSE EXISTS ("
        "SELECT FROM profiles_identifier x WHERE x.profile_id = ANY(m.members)"
        f" AND x.type_id = {spec.identifiers[index].type_id} AND x.value = m.k{index}) END AS is_contact{index}"
    )


def create_matches(spec: PlanSpec) -> str:
    """Step 2. ``keys`` holds all the row's identifiers; ``has_news`` says whether any is new to its profile."""
    count = len(spec.identifiers)
    unique = list(spec.unique_identifiers())
    keys = "".join(f", c.k{index}, c.r{index}" for index in range(count))
    owners = "".join(f", h{i}.profile_id AS m{i}, p{i}.canonical_id AS g{i}" for i, _ in unique)
    joins = "".join(
        f" LEFT JOIN profiles_identifier h{i}"
        f" ON h{i}.type_id = {column.type_id} AND h{i}.value = c.k{i} AND h{i}.resolves"
        f" LEFT JOIN profiles_profile p{i} ON p{i}.id = h{i}.profile_id"
        for i, column in unique
    )
    chosen = "NULL::int"
    target = "NULL::bigint AS target, NULL::bigint AS via"
    if unique:
        chosen = f"CASE{''.join(f' WHEN {_accepts(spec, i)} THEN {i}' for i, _ in unique)} END"
        roots = "".join(f" WHEN {i} THEN s.g{i}" for i, _ in unique)
        members = "".join(f" WHEN {i} THEN s.m{i}" for i, _ in unique)
        target = f"CASE s.chosen{roots} END AS target, CASE s.chosen{members} END AS via"
    contacts = "".join(f", {_is_contact(spec, i)}" for i in range(count))
    types = "ARRAY[" + ", ".join(str(column.type_id) for column in spec.identifiers) + "]::smallint[]"
    key_list = ", ".join(_key(spec, i) for i in range(count))
    raw_list = ", ".join(f"t.r{i}" for i in range(count))
    clash_list = ", ".join(_clash(spec, i) for i in range(count))
    owner_list = (
        ", ".join(
            f"CASE WHEN t.k{i} IS NOT NULL THEN '{column.type_name} to '"
            f" || coalesce('#' || t.g{i}::text, 'nobody yet') END"
            for i, column in unique
        )
        or "NULL"
    )
    return f"""
        CREATE TEMP TABLE import_match ON COMMIT DROP AS
        WITH looked_up AS MATERIALIZED (
            SELECT c.line{keys}{owners} FROM import_batch c{joins} WHERE c.problems IS NULL
        ), selected AS (
            SELECT u.*, {chosen} AS chosen FROM looked_up u
        ), matched AS MATERIALIZED (
            SELECT s.*, {target} FROM selected s
        ), with_members AS MATERIALIZED (
            SELECT d.*, CASE WHEN d.target IS NOT NULL THEN {_members("d.target")} END AS members FROM matched d
        ), with_contacts AS MATERIALIZED (
            SELECT m.*{contacts} FROM with_members m
        ), identified AS (
            SELECT t.line, t.target, t.via, t.members,
                ARRAY[{key_list}]::text[] AS keys, ARRAY[{raw_list}]::text[] AS raws,
                ARRAY[{clash_list}]::bigint[] AS clashes, concat_ws(', ', {owner_list}) AS owners
            FROM with_contacts t
        ), flagged AS (
            SELECT *, CASE WHEN target IS NULL THEN array_remove(keys, NULL) <> '{{}}' ELSE EXISTS (
                SELECT FROM unnest(keys, clashes) AS u (value, clash)
                WHERE value IS NOT NULL AND clash IS DISTINCT FROM target) END AS has_news FROM identified
        )
        SELECT line, target, via, members, {types} AS types, has_news, keys,
            CASE WHEN array_remove(raws, NULL) <> '{{}}' THEN raws END AS raws,
            CASE WHEN array_remove(clashes, NULL) <> '{{}}' THEN clashes END AS clashes,
            array_remove(array_remove(clashes, NULL), target) <> '{{}}' AS has_other_clash,
            EXISTS (SELECT FROM unnest(clashes) AS c WHERE c <> 0 AND c IS DISTINCT FROM target) AS is_clash,
            owners
        FROM flagged
    """


# --- What changes -------------------------------------------------------------------------------------


def _is_set(name: str, policy: str) -> str:
    """Whether the cell changes the profile's default attribute."""
    if policy == OVERWRITE:
        return f"c.{name} IS NOT NULL AND c.{name} IS DISTINCT FROM p.{name}"
    if policy == NEVER:
        return "false"
    return f"c.{name} IS NOT NULL AND p.{name} IS NULL"


def _field_piece(name: str, policy: str) -> str:
    """One ``"field":[old,new]`` of the diff as JSON text, NULL when nothing changes."""
    cleared = (
        ""
        if policy == NEVER
        else (
            f" WHEN p.{name} IS NOT NULL AND c.{name} IS NULL AND '{name}' = ANY(c.clears)"
            f" THEN '\"{name}\":[' || to_json(p.{name})::text || ',null]'"
        )
    )
    return (
        f"CASE WHEN {_is_set(name, policy)} THEN '\"{name}\":[' || coalesce(to_json(p.{name})::text, 'null')"
        f" || ',' || to_json(c.{name})::text || ']'{cleared} END"
    )


def _attribute_piece(column: AttributeColumn, bind: Binds) -> str:
    if column.policy == NEVER:
        return "NULL"
    name, key = bind(column.name), bind(f'"attributes.{column.name}":[')
    old, new = f"(p.attributes -> {name})", f"(c.attributes -> {name})"
    cleared = (
        f" WHEN p.attributes ? {name} AND {new} IS NULL AND 'attributes.' || {name} = ANY(c.clears)"
        f" THEN {key} || {old}::text || ',null]'"
    )
    is_set = f"{new} IS NOT NULL AND {old} IS NULL"
    value = new
    if column.policy == OVERWRITE:
        is_set = f"{new} IS NOT NULL AND {new} IS DISTINCT FROM {old}"
    elif column.policy == APPEND and column.is_list:
        is_set = f"{new} IS NOT NULL AND NOT coalesce({old}, '[]') @> {new}"
        value = (
            f"(coalesce({old}, '[]') || (SELECT jsonb_agg(e ORDER BY n) FROM jsonb_array_elements({new})"
            f" WITH ORDINALITY AS x (e, n) WHERE NOT coalesce({old}, '[]') @> jsonb_build_array(e)))"
        )
    return f"CASE WHEN {is_set} THEN {key} || coalesce({old}::text, 'null') || ',' || {value}::text || ']'{cleared} END"


def _kept_piece(name: str, policy: str) -> str:
    """One ``"field":value`` of a cell that loses to the profile's value, NULL when it does not."""
    is_empty = "" if policy == NEVER else f" AND p.{name} IS NOT NULL"
    return (
        f"CASE WHEN c.{name} IS NOT NULL AND c.{name} IS DISTINCT FROM p.{name}{is_empty}"
        f" THEN '\"{name}\":' || to_json(c.{name})::text END"
    )


def _kept_attribute_piece(column: AttributeColumn, bind: Binds) -> str:
    name, key = bind(column.name), bind(f'"attributes.{column.name}":')
    old, new = f"(p.attributes -> {name})", f"(c.attributes -> {name})"
    is_empty = "" if column.policy == NEVER else f" AND {old} IS NOT NULL"
    return f"CASE WHEN {new} IS NOT NULL AND {new} IS DISTINCT FROM {old}{is_empty} THEN {key} || {new}::text END"


def _kept(spec: PlanSpec, bind: Binds) -> str:
    """``{field: value}`` of the cells that do not become the profile's value, as JSON text; NULL for none.

    An overwriting cell never loses; tags and entries of a list that are appended do not either.
    """
    pieces = [_kept_piece(name, policy) for name, policy in spec.fields if policy != OVERWRITE]
    pieces += [
        _kept_attribute_piece(column, bind)
        for column in spec.attributes
        if column.policy != OVERWRITE and not (column.policy == APPEND and column.is_list)
    ]
    if spec.tags in (FILL, NEVER):
        pieces.append(_kept_tags_piece(spec.tags))
    if not pieces:
        return "NULL"
    return f"'{{' || nullif(concat_ws(',', {', '.join(pieces)}), '') || '}}'"


_TAGS_OF_PROFILE = (
    "FROM profiles_profiletag l JOIN profiles_tag g ON g.id = l.tag_id WHERE l.profile_id = ANY(h.members)"
)


def _kept_tags_piece(policy: str) -> str:
    """Tags that the profile does not get: it has some, or only new people get them."""
    when = (
        f"c.tags IS NOT NULL AND EXISTS (SELECT {_TAGS_OF_PROFILE})"
        if policy == FILL
        else "c.tags IS NOT NULL"
    )
    return (
        f"CASE WHEN {when} THEN (SELECT '\"tags\":' || jsonb_agg(w.name ORDER BY w.n)::text"
        " FROM unnest(c.tags) WITH ORDINALITY AS w (name, n)"
        f" WHERE lower(w.name) <> ALL (ARRAY(SELECT lower(g.name) {_TAGS_OF_PROFILE}))) END"
    )


def _tags_piece(policy: str) -> str:
    """Tags to add (and with *overwrite* those to remove); a tag's registered spelling wins."""
    added = (
        "ARRAY(SELECT coalesce(g.name, w.name) FROM unnest(c.tags) WITH ORDINALITY AS w (name, n)"
        " LEFT JOIN profiles_tag g ON lower(g.name) = lower(w.name)"
        " WHERE NOT EXISTS (SELECT FROM profiles_profiletag l"
        " WHERE l.profile_id = ANY(h.members) AND l.tag_id = g.id) ORDER BY w.n)"
    )
    all_tags = f"ARRAY(SELECT DISTINCT g.name {_TAGS_OF_PROFILE} ORDER BY 1)"
    removed = f"CASE WHEN 'tags' = ANY(c.clears) AND c.tags IS NULL THEN {all_tags} ELSE '{{}}' END"
    when = "c.tags IS NOT NULL"
    if policy == NEVER:
        return "NULL"
    if policy == FILL:
        when += f" AND NOT EXISTS (SELECT {_TAGS_OF_PROFILE})"
    if policy == OVERWRITE:
        removed = (
            f"ARRAY(SELECT DISTINCT g.name {_TAGS_OF_PROFILE} AND lower(g.name) <> ALL"
            " (SELECT lower(w) FROM unnest(c.tags) w) ORDER BY 1)"
        )
    when = f"({when}) OR 'tags' = ANY(c.clears)"
    return (
        f"CASE WHEN {when} THEN (SELECT '\"tags\":[' || to_json(removed)::text || ',' || to_json(added)::text || ']'"
        f" FROM (SELECT {removed} AS removed, {added} AS added) x WHERE removed <> '{{}}' OR added <> '{{}}') END"
    )


_IDENTIFIERS_PIECE = """
    CASE WHEN h.has_news THEN (
        SELECT '"identifiers":[[],' || jsonb_agg(t.name || ':' || k.value ORDER BY k.n)::text || ']'
        FROM unnest(h.types, h.keys, h.clashes) WITH ORDINALITY AS k (type_id, value, clash, n)
        JOIN profiles_identifiertype t ON t.id = k.type_id
        WHERE k.value IS NOT NULL AND k.clash IS DISTINCT FROM h.target
    ) END"""


def _diff(spec: PlanSpec, bind: Binds) -> str:
    """The journal's fields of an update, only what changes. As JSON text: cheaper to concatenate than jsonb."""
    pieces = [_field_piece(name, policy) for name, policy in spec.fields]
    pieces += [_attribute_piece(column, bind) for column in spec.attributes]
    if spec.tags:
        pieces.append(_tags_piece(spec.tags))
    if spec.has_consents:
        pieces.append(consents_piece(spec, bind))
    pieces.append(_IDENTIFIERS_PIECE)
    return "'{' || concat_ws(',', " + ", ".join(pieces) + ") || '}'"


# A row with another name than its profile keeps its identifiers: several of them may be too many (``group``).
_UNLIKE = "h.target IS NOT NULL AND (lower(c.first_name) <> lower(p.first_name) OR lower(c.last_name) <> lower(p.last_name))"


def insert_rows(spec: PlanSpec, *, import_id: int, partition: str) -> Statement:
    """Step 3: everything about the batch's rows into the partition."""
    bind = Binds()
    fields = ", ".join(Profile.FIELDS)
    values = ", ".join(f"c.{name}" for name in Profile.FIELDS)
    separator = bind(SEPARATOR)
    is_clash = "h.is_clash" if spec.is_strict else "false"
    conflict = (
        "jsonb_build_array(jsonb_build_object('column', NULL, 'value', '', 'message',"
        " 'The identifiers of this row belong to more than one profile: ' || h.owners || '. It was left out.'))"
    )
    sql = f"""
        INSERT INTO {partition} (import_id, line, outcome, profile_id, via_id, version, types, keys, raws, clashes,
            {fields}, attributes, tags, consents, clears, diff, kept, problems, notices, cells)
        SELECT {bind(import_id)}, c.line,
            CASE WHEN c.problems IS NOT NULL THEN 'failed' WHEN {is_clash} THEN 'conflict'
                WHEN h.target IS NULL THEN 'created' WHEN d.diff = '{{}}' THEN 'unchanged' ELSE 'updated' END,
            h.target, nullif(h.via, h.target), p.version, CASE WHEN s.is_kept THEN h.types END,
            CASE WHEN s.is_kept THEN h.keys END, CASE WHEN s.is_kept THEN h.raws END,
            CASE WHEN s.is_kept OR h.has_other_clash THEN h.clashes END, {values}, c.attributes, c.tags, c.consents, c.clears,
            CASE WHEN d.diff <> '{{}}' AND NOT coalesce({is_clash}, false) THEN d.diff::jsonb END,
            CASE WHEN h.target IS NOT NULL AND NOT coalesce({is_clash}, false) THEN ({_kept(spec, bind)})::jsonb END,
            CASE WHEN c.problems IS NOT NULL THEN c.problems WHEN {is_clash} THEN {conflict} END, {consent_notices(spec, bind)},
            c.cells
        FROM (
            SELECT line, {fields}, attributes, string_to_array(tags, {separator}) AS tags, consents,
                string_to_array(clears, {separator}) AS clears, problems, notices, cells
            FROM import_batch
        ) c
        LEFT JOIN import_match h ON h.line = c.line
        LEFT JOIN profiles_profile p ON p.id = h.target
        LEFT JOIN LATERAL (
            SELECT CASE WHEN h.target IS NOT NULL THEN {_diff(spec, bind)} END AS diff
        ) d ON true
        CROSS JOIN LATERAL (SELECT h.has_news OR ({_UNLIKE}) AS is_kept) s
        ORDER BY c.line
    """
    return Statement(sql, dict(bind))
