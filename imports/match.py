"""The plan's SQL: staged rows → who they lead to, and what each would change. Reads people, writes only the plan.

Three steps per chunk, each one statement over all its rows:

1. ``import_chunk`` (temporary) takes the cleaned rows by COPY; one text column per identifier slot.
2. ``import_hit`` (temporary): the person each row leads to, by the identifiers' priority, and which
   identifiers that person does not have yet.
3. Both, joined to the person as they are, go into the import's partition with outcome and diff.

The statements are put together from the import's Shape; every value and name travels as a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imports.plan_spec import APPEND, FILL, NEVER, OVERWRITE, Custom, Shape
from profiles.models import Profile

# Between tags (and cleared fields) in one COPY column; no cleaned value can hold it.
SEPARATOR = "\x1f"

_TYPES = {"birth_date": "date"}


class Binds(dict[str, Any]):
    """Collects parameters: ``bind("x")`` gives the placeholder that stands for it."""

    def __call__(self, value: Any) -> str:
        name = f"p{len(self)}"
        self[name] = value
        return f"%({name})s"


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    params: dict[str, Any]


def chunk_columns(shape: Shape) -> list[tuple[str, str]]:
    """Name and type of each column of ``import_chunk``, in the order COPY sends them."""
    columns = [("line", "bigint")]
    for index in range(len(shape.slots)):
        columns += [(f"k{index}", "text"), (f"r{index}", "text")]
    columns += [(name, _TYPES.get(name, "text")) for name in Profile.FIELDS]
    columns += [("attributes", "jsonb"), ("tags", "text"), ("consents", "jsonb"), ("clears", "text")]
    return [*columns, ("problems", "jsonb"), ("notices", "jsonb")]


def create_chunk(shape: Shape) -> str:
    columns = ", ".join(f"{name} {kind}" for name, kind in chunk_columns(shape))
    return f"CREATE TEMP TABLE import_chunk ({columns}) ON COMMIT DROP"


def copy_chunk(shape: Shape) -> str:
    """NULL is the empty string: an empty cell never gets this far."""
    columns = ", ".join(name for name, _ in chunk_columns(shape))
    return f"COPY import_chunk ({columns}) FROM STDIN (FORMAT text, NULL '')"


# --- Who -----------------------------------------------------------------------------------------------


def _members(root: str) -> str:
    """The person's rows as an array: the root and what was merged into it (partial index, mostly empty)."""
    return (
        f"({root} || ARRAY(SELECT m.id FROM profiles_profile m"
        f" WHERE m.canonical_id = {root} AND m.canonical_id <> m.id))"
    )


def _held(members: str, type_id: int) -> str:
    """How many values of a type a person holds."""
    return (
        "(SELECT count(*) FROM profiles_identifier x"
        f" WHERE x.profile_id = ANY({members}) AND x.type_id = {type_id} AND x.resolves)"
    )


def _accepts(shape: Shape, index: int) -> str:
    """Whether the person slot ``index`` leads to may be the row's person (I7).

    Not when the row names a stronger identifier that is nobody's yet and that person already has all they
    may have of its type: then it is somebody else who shares the weaker value.
    """
    full = [
        f"(f.k{other} IS NOT NULL AND f.g{other} IS NULL"
        f" AND {_held(_members(f'f.g{index}'), slot.type_id)} >= {slot.limit})"
        for other, slot in shape.unique_slots()
        if other < index and slot.limit is not None
    ]
    guard = f" AND NOT ({' OR '.join(full)})" if full else ""
    return f"f.g{index} IS NOT NULL{guard}"


def _earlier(shape: Shape, index: int) -> list[int]:
    """Stronger slots of the same type."""
    kind = shape.slots[index].type_id
    return [other for other in range(index) if shape.slots[other].type_id == kind]


def _repeats(shape: Shape, index: int) -> str:
    same = [f"t.k{other} = t.k{index}" for other in _earlier(shape, index)]
    return " OR ".join([f"t.k{index} IS NULL", *same])


def _key(shape: Shape, index: int) -> str:
    """The identifier, unless it is there twice in the row, or kept for contact on its person already."""
    kept = f" OR (t.seen{index} AND t.g{index} IS NOT NULL)" if shape.slots[index].is_unique else ""
    return f"CASE WHEN {_repeats(shape, index)}{kept} THEN NULL ELSE t.k{index} END"


def _clash(shape: Shape, index: int) -> str:
    """Whose the value is: the row's own person's, somebody else's, or 0: they may have no more of its type."""
    slot = shape.slots[index]
    seen = f" WHEN t.seen{index} THEN t.target"
    if not slot.is_unique:
        return f"CASE{seen} END"
    over = ""
    if slot.limit is not None:
        before = " + ".join(f"(t.k{other} IS NOT NULL)::int" for other in _earlier(shape, index)) or "0"
        over = (
            f" WHEN t.k{index} IS NOT NULL AND NOT ({_repeats(shape, index)}) AND {before}"
            f" + CASE WHEN t.target IS NULL THEN 0 ELSE {_held('t.members', slot.type_id)} END >= {slot.limit}"
            " THEN 0"
        )
    return f"CASE WHEN t.g{index} IS NOT NULL THEN t.g{index}{seen}{over} END"


def _is_seen(shape: Shape, index: int) -> str:
    """Whether the row's person holds the value in whatever way; not asked when it leads there anyway."""
    known = f" OR k.g{index} = k.target" if shape.slots[index].is_unique else ""
    return (
        f"CASE WHEN k.target IS NULL OR k.k{index} IS NULL{known} THEN false ELSE EXISTS ("
        "SELECT FROM profiles_identifier x WHERE x.profile_id = ANY(k.members)"
        f" AND x.type_id = {shape.slots[index].type_id} AND x.value = k.k{index}) END AS seen{index}"
    )


def create_hits(shape: Shape) -> str:
    """Step 2. Index look-ups only, whatever the statistics say: a chunk is small, the base is not.

    ``keys`` holds all the row's identifiers as soon as one of them is new to its person.
    """
    count = len(shape.slots)
    unique = list(shape.unique_slots())
    keys = "".join(f", c.k{index}, c.r{index}" for index in range(count))
    hits = "".join(f", h{i}.profile_id AS m{i}, p{i}.canonical_id AS g{i}" for i, _ in unique)
    joins = "".join(
        f" LEFT JOIN profiles_identifier h{i}"
        f" ON h{i}.type_id = {slot.type_id} AND h{i}.value = c.k{i} AND h{i}.resolves"
        f" LEFT JOIN profiles_profile p{i} ON p{i}.id = h{i}.profile_id"
        for i, slot in unique
    )
    chosen = "".join(f" WHEN {_accepts(shape, i)} THEN {i}" for i, _ in unique)
    slot = f"CASE{chosen} END" if unique else "NULL::int"
    target = "".join(f" WHEN {i} THEN s.g{i}" for i, _ in unique)
    via = "".join(f" WHEN {i} THEN s.m{i}" for i, _ in unique)
    led = "NULL::bigint AS target, NULL::bigint AS via"
    if unique:
        led = f"CASE s.slot{target} END AS target, CASE s.slot{via} END AS via"
    seen = "".join(f", {_is_seen(shape, i)}" for i in range(count))
    types = "ARRAY[" + ", ".join(str(slot.type_id) for slot in shape.slots) + "]::smallint[]"
    key_list = ", ".join(_key(shape, i) for i in range(count))
    raw_list = ", ".join(f"t.r{i}" for i in range(count))
    clash_list = ", ".join(_clash(shape, i) for i in range(count))
    led_to = (
        ", ".join(
            f"CASE WHEN t.k{i} IS NOT NULL THEN '{slot.type_name} to '"
            f" || coalesce('#' || t.g{i}::text, 'nobody yet') END"
            for i, slot in unique
        )
        or "NULL"
    )
    return f"""
        CREATE TEMP TABLE import_hit ON COMMIT DROP AS
        WITH found AS MATERIALIZED (
            SELECT c.line{keys}{hits} FROM import_chunk c{joins} WHERE c.problems IS NULL
        ), picked AS (
            SELECT f.*, {slot} AS slot FROM found f
        ), led AS MATERIALIZED (
            SELECT s.*, {led} FROM picked s
        ), known AS MATERIALIZED (
            SELECT l.*, CASE WHEN l.target IS NOT NULL THEN {_members("l.target")} END AS members FROM led l
        ), seen AS MATERIALIZED (
            SELECT k.*{seen} FROM known k
        ), told AS (
            SELECT t.line, t.target, t.via, t.members,
                ARRAY[{key_list}]::text[] AS keys, ARRAY[{raw_list}]::text[] AS raws,
                ARRAY[{clash_list}]::bigint[] AS clashes, concat_ws(', ', {led_to}) AS led_to
            FROM seen t
        ), judged AS (
            SELECT *, CASE WHEN target IS NULL THEN array_remove(keys, NULL) <> '{{}}' ELSE EXISTS (
                SELECT FROM unnest(keys, clashes) AS u (value, clash)
                WHERE value IS NOT NULL AND clash IS DISTINCT FROM target) END AS has_news FROM told
        )
        SELECT line, target, via, members, {types} AS types,
            CASE WHEN has_news THEN keys END AS keys,
            CASE WHEN has_news AND array_remove(raws, NULL) <> '{{}}' THEN raws END AS raws,
            CASE WHEN has_news THEN CASE WHEN array_remove(clashes, NULL) <> '{{}}' THEN clashes END
                WHEN array_remove(array_remove(clashes, NULL), target) <> '{{}}' THEN clashes END AS clashes,
            EXISTS (SELECT FROM unnest(clashes) AS c WHERE c <> 0 AND c IS DISTINCT FROM target) AS is_clash,
            led_to
        FROM judged
    """


# --- What ----------------------------------------------------------------------------------------------


def _is_set(name: str, policy: str) -> str:
    """Whether the cell changes the person's default attribute."""
    if policy == OVERWRITE:
        return f"c.{name} IS NOT NULL AND c.{name} IS DISTINCT FROM p.{name}"
    if policy == NEVER:
        return "false"
    return f"c.{name} IS NOT NULL AND p.{name} IS NULL"


def _field_piece(name: str, policy: str) -> str:
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


def _custom_piece(custom: Custom, bind: Binds) -> str:
    if custom.policy == NEVER:
        return "NULL"
    name, key = bind(custom.name), bind(f'"attributes.{custom.name}":[')
    old, new = f"(p.attributes -> {name})", f"(c.attributes -> {name})"
    cleared = (
        f" WHEN p.attributes ? {name} AND {new} IS NULL AND 'attributes.' || {name} = ANY(c.clears)"
        f" THEN {key} || {old}::text || ',null]'"
    )
    is_set = f"{new} IS NOT NULL AND {old} IS NULL"
    value = new
    if custom.policy == OVERWRITE:
        is_set = f"{new} IS NOT NULL AND {new} IS DISTINCT FROM {old}"
    elif custom.policy == APPEND and custom.is_list:
        is_set = f"{new} IS NOT NULL AND NOT coalesce({old}, '[]') @> {new}"
        value = (
            f"(coalesce({old}, '[]') || (SELECT jsonb_agg(e ORDER BY n) FROM jsonb_array_elements({new})"
            f" WITH ORDINALITY AS x (e, n) WHERE NOT coalesce({old}, '[]') @> jsonb_build_array(e)))"
        )
    return f"CASE WHEN {is_set} THEN {key} || coalesce({old}::text, 'null') || ',' || {value}::text || ']'{cleared} END"


_CARRIED = (
    "FROM profiles_profiletag l JOIN profiles_tag g ON g.id = l.tag_id WHERE l.profile_id = ANY(h.members)"
)


def _tags_piece(policy: str) -> str:
    """Tags that come (and with *overwrite* those that leave); a tag's registered spelling wins."""
    came = (
        "ARRAY(SELECT coalesce(g.name, w.name) FROM unnest(c.tags) WITH ORDINALITY AS w (name, n)"
        " LEFT JOIN profiles_tag g ON lower(g.name) = lower(w.name)"
        " WHERE NOT EXISTS (SELECT FROM profiles_profiletag l"
        " WHERE l.profile_id = ANY(h.members) AND l.tag_id = g.id) ORDER BY w.n)"
    )
    all_carried = f"ARRAY(SELECT DISTINCT g.name {_CARRIED} ORDER BY 1)"
    left = f"CASE WHEN 'tags' = ANY(c.clears) AND c.tags IS NULL THEN {all_carried} ELSE '{{}}' END"
    when = "c.tags IS NOT NULL"
    if policy == NEVER:
        return "NULL"
    if policy == FILL:
        when += f" AND NOT EXISTS (SELECT {_CARRIED})"
    if policy == OVERWRITE:
        left = (
            f"ARRAY(SELECT DISTINCT g.name {_CARRIED} AND lower(g.name) <> ALL"
            " (SELECT lower(w) FROM unnest(c.tags) w) ORDER BY 1)"
        )
    when = f"({when}) OR 'tags' = ANY(c.clears)"
    return (
        f"CASE WHEN {when} THEN (SELECT '\"tags\":[' || to_json(gone)::text || ',' || to_json(came)::text || ']'"
        f" FROM (SELECT {left} AS gone, {came} AS came) x WHERE gone <> '{{}}' OR came <> '{{}}') END"
    )


# What holds now for the decision ``w.e`` = [channel, purpose, …] is about; as profiles.consent.ledger.decide.
_HOLDS_NOW = """
    (SELECT CASE WHEN count(*) = 0 THEN NULL
        WHEN max(x.at) FILTER (WHERE x.state = 'granted') > coalesce(
            max(coalesce(x.at, x.recorded_at)) FILTER (WHERE x.state <> 'granted'), '-infinity')
        THEN 'granted' ELSE 'withdrawn' END
    FROM profiles_consent x WHERE x.profile_id = ANY(h.members)
        AND x.channel = w.e ->> 0 AND x.purpose = w.e ->> 1)"""

# Decisions to add. A *no* is always taken; a *yes* only from people who never decided (M8, F22).
_CONSENTS_PIECE = f"""
    CASE WHEN c.consents IS NOT NULL THEN (
        SELECT '"consents":[' || coalesce(jsonb_agg(label || now) FILTER (WHERE now IS NOT NULL), '[]')::text
            || ',' || jsonb_agg(label || state)::text || ']'
        FROM (
            SELECT w.e ->> 0 || '/' || (w.e ->> 1) || '=' AS label, w.e ->> 2 AS state, {_HOLDS_NOW} AS now,
                EXISTS (
                    SELECT FROM profiles_consent x WHERE x.profile_id = ANY(h.members)
                        AND x.channel = w.e ->> 0 AND x.purpose = w.e ->> 1
                        AND x.state = w.e ->> 2 AND x.at = (w.e ->> 3)::timestamptz
                ) AS is_known
            FROM jsonb_array_elements(c.consents) AS w (e)
        ) y WHERE NOT is_known AND (now IS NULL OR (state = 'withdrawn' AND now = 'granted'))
    ) END"""

NOT_RAISED = "This person said no. An import does not turn it into a yes; the consent stays withdrawn."


def _notices(shape: Shape, bind: Binds) -> str:
    if not shape.has_consents:
        return "c.notices"
    refused = (
        f"(SELECT jsonb_agg(jsonb_build_object('column', w.e ->> 0 || '/' || (w.e ->> 1), 'value', w.e ->> 2,"
        f" 'message', {bind(NOT_RAISED)}::text)) FROM jsonb_array_elements(c.consents) AS w (e)"
        f" WHERE w.e ->> 2 = 'granted' AND {_HOLDS_NOW} = 'withdrawn')"
    )
    return (
        f"CASE WHEN c.consents IS NULL OR h.target IS NULL THEN c.notices"
        f" ELSE nullif(coalesce(c.notices, '[]') || coalesce({refused}, '[]'), '[]') END"
    )


_IDENTIFIERS_PIECE = """
    CASE WHEN h.keys IS NOT NULL THEN (
        SELECT '"identifiers":[[],' || jsonb_agg(t.name || ':' || k.value ORDER BY k.n)::text || ']'
        FROM unnest(h.types, h.keys, h.clashes) WITH ORDINALITY AS k (type_id, value, clash, n)
        JOIN profiles_identifiertype t ON t.id = k.type_id
        WHERE k.value IS NOT NULL AND k.clash IS DISTINCT FROM h.target
    ) END"""


def _diff(shape: Shape, bind: Binds) -> str:
    """The journal's fields of an update as JSON text: only what changes. Strings, for they join cheaper."""
    pieces = [_field_piece(name, policy) for name, policy in shape.fields]
    pieces += [_custom_piece(custom, bind) for custom in shape.customs]
    if shape.tags:
        pieces.append(_tags_piece(shape.tags))
    if shape.has_consents:
        pieces.append(_CONSENTS_PIECE)
    pieces.append(_IDENTIFIERS_PIECE)
    return "'{' || concat_ws(',', " + ", ".join(pieces) + ") || '}'"


def insert_rows(shape: Shape, *, import_id: int, partition: str) -> Statement:
    """Step 3: everything about the chunk's rows into the partition."""
    bind = Binds()
    fields = ", ".join(Profile.FIELDS)
    values = ", ".join(f"c.{name}" for name in Profile.FIELDS)
    separator = bind(SEPARATOR)
    clash = "h.is_clash" if shape.is_strict else "false"
    conflict = (
        "jsonb_build_array(jsonb_build_object('column', NULL, 'value', '', 'message',"
        " 'This row leads to more than one person: ' || h.led_to || '. It was left out.'))"
    )
    sql = f"""
        INSERT INTO {partition} (import_id, line, outcome, profile_id, via_id, version, types, keys, raws, clashes,
            {fields}, attributes, tags, consents, clears, diff, problems, notices)
        SELECT {bind(import_id)}, c.line,
            CASE WHEN c.problems IS NOT NULL THEN 'failed' WHEN {clash} THEN 'conflict'
                WHEN h.target IS NULL THEN 'created' WHEN d.diff = '{{}}' THEN 'unchanged' ELSE 'updated' END,
            h.target, nullif(h.via, h.target), p.version, CASE WHEN h.keys IS NOT NULL THEN h.types END, h.keys,
            h.raws, h.clashes, {values}, c.attributes, c.tags, c.consents, c.clears,
            CASE WHEN d.diff <> '{{}}' AND NOT coalesce({clash}, false) THEN d.diff::jsonb END,
            CASE WHEN c.problems IS NOT NULL THEN c.problems WHEN {clash} THEN {conflict} END, {_notices(shape, bind)}
        FROM (
            SELECT line, {fields}, attributes, string_to_array(tags, {separator}) AS tags, consents,
                string_to_array(clears, {separator}) AS clears, problems, notices
            FROM import_chunk
        ) c
        LEFT JOIN import_hit h ON h.line = c.line
        LEFT JOIN profiles_profile p ON p.id = h.target
        LEFT JOIN LATERAL (
            SELECT CASE WHEN h.target IS NOT NULL THEN {_diff(shape, bind)} END AS diff
        ) d ON true
        ORDER BY c.line
    """
    return Statement(sql, dict(bind))
