"""Stored values → who wrote each, from the journal: the entry that set it, with the call, the file or the
API key.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import orjson

from cdp.sql import run
from profiles.duplicates.why.findings import ValueOrigin
from profiles.reading.provenance import ENTRIES

# (journal key, item): ("identifiers", "email:ann@example.com"), ("attributes.plan", "pro").
Key = tuple[str, str]

# Merges carry values over, so their entries are skipped. The item "" asks who created the profile.
_SQL = """
    WITH members AS (
        SELECT id, canonical_id FROM profiles_profile WHERE canonical_id = ANY(%(roots)b::bigint[])
    ), entries AS (
        SELECT m.canonical_id AS root, m.id = m.canonical_id AS is_own, c.* FROM members m CROSS JOIN LATERAL (
            SELECT * FROM profiles_change WHERE profile_id = m.id ORDER BY at DESC, id DESC LIMIT %(entries)s
        ) c WHERE c.kind NOT IN ('merged', 'unmerged')
    ), wanted AS (
        SELECT * FROM unnest(%(keys)b::text[], %(items)b::text[]) AS w (key, item)
    ), written AS (
        SELECT e.root, w.key, w.item, e.id FROM entries e JOIN wanted w
            ON w.key = 'identifiers' AND e.fields #> '{identifiers,1}' ? w.item
        UNION ALL
        SELECT e.root, w.key, w.item, e.id FROM entries e JOIN wanted w
            ON w.key <> 'identifiers' AND (e.fields #>> ARRAY[w.key, '1'] = w.item
                OR jsonb_typeof(e.fields #> ARRAY[w.key, '1']) = 'array' AND e.fields #> ARRAY[w.key, '1'] ? w.item)
        UNION ALL
        SELECT e.root, '', '', e.id FROM entries e WHERE e.kind = 'created' AND e.is_own
    )
    SELECT DISTINCT ON (t.root, t.key, t.item) t.root, t.key, t.item, e.at, s.name, s.door, s.id, e.cause,
        coalesce(u.username, a.name, ''), a.id IS NOT NULL, ev.kind, n.name, ev.envelope, ev.properties,
        im.id, im.name, im.mapping, e.line, s.identifies_by_email, s.needs_confirmation
    FROM written t JOIN entries e ON e.id = t.id JOIN profiles_source s ON s.id = e.source_id
    LEFT JOIN cdp_user u ON u.id = e.user_id LEFT JOIN cdp_apikey a ON a.id = e.key_id
    LEFT JOIN profiles_event ev ON e.cause = 'event' AND ev.id = e.cause_id
    LEFT JOIN profiles_eventname n ON n.id = ev.name_id
    LEFT JOIN imports_import im ON e.cause = 'import' AND im.id = e.cause_id
    ORDER BY t.root, t.key, t.item, e.at DESC, e.id DESC
"""


def origins_of(roots: Sequence[int], wanted: Collection[Key]) -> dict[tuple[int, str, str], ValueOrigin]:
    """``{(root, journal key, item): origin}``; ``(root, "", "")`` is who created the profile. One query."""
    keys = sorted(wanted)
    params = {
        "roots": [*roots],
        "entries": ENTRIES,
        "keys": [key for key, _ in keys],
        "items": [item for _, item in keys],
    }
    return {(root, key, item): _origin(*rest) for root, key, item, *rest in run(_SQL, params)}


def loaded(value: str | None) -> Any:
    """A jsonb column as ``run`` returns it, parsed."""
    return None if value is None else orjson.loads(value)


def _origin(
    at: Any,
    source: str,
    channel: str,
    source_id: int,
    cause: str,
    author: str,
    is_key: bool,
    call: str | None,
    event: str | None,
    envelope: Any,
    sent: Any,
    import_id: int | None,
    file: str | None,
    mapping: Any,
    row: int | None,
    identifies_by_email: bool,
    needs_confirmation: bool,
) -> ValueOrigin:
    envelope_ids = loaded(envelope) or {}
    return ValueOrigin(
        at,
        source,
        channel,
        source_id,
        cause,
        author,
        is_key,
        call or "",
        event or "",
        str(envelope_ids.get("user_id") or ""),
        str(envelope_ids.get("anonymous_id") or ""),
        loaded(sent),
        import_id,
        file or "",
        row,
        loaded(mapping) or {},
        identifies_by_email,
        needs_confirmation,
    )
