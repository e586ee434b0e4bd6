"""A profile → who set each of its values, when and through which source, from the journal."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db import connection

from profiles import sql
from profiles.models import Change

# Journal entries read per member, newest first. More than anybody has, bounded for busy senders.
ENTRIES = 5000


@dataclass(frozen=True, slots=True)
class Provenance:
    """The latest journal entry that set a value."""

    at: datetime.datetime
    source: str
    who: str
    cause: str
    cause_id: int | None = None
    line_no: int | None = None
    loser_id: int | None = None

    @property
    def import_id(self) -> int | None:
        """The import that set it, or whose undo did."""
        is_import = self.cause in (Change.Cause.IMPORT, Change.Cause.IMPORT_UNDO)
        return self.cause_id if is_import else None

    @property
    def text(self) -> str:
        """“import #88, row 1,204”, “merged from #51877”, “sam · Staff”."""
        if self.cause == Change.Cause.IMPORT:
            row = f", row {self.line_no:,}" if self.line_no else ""
            return f"import #{self.cause_id}{row}"
        if self.cause == Change.Cause.MERGE and self.loser_id:
            return f"merged from #{self.loser_id}"
        if self.cause == Change.Cause.UNMERGE:
            return f"merge #{self.cause_id} undone"
        if self.cause == Change.Cause.IMPORT_UNDO:
            return f"import #{self.cause_id} undone"
        return " · ".join(dict.fromkeys(filter(None, (self.who, self.source))))


def provenance_of(root_id: int) -> dict[str, Provenance]:
    """By journal key (``city``, ``attributes.plan``), ``identifiers:<type>:<value>`` and ``tags:<name>``.

    Looks at every member of the profile. One query.
    """
    statement = f"""
        WITH entries AS (
            SELECT c.* FROM {sql.PROFILES} m CROSS JOIN LATERAL (
                SELECT * FROM profiles_change WHERE profile_id = m.id ORDER BY at DESC, id DESC LIMIT %(entries)s
            ) c WHERE m.canonical_id = %(root)s
        ), items AS (
            SELECT f.key AS item, e.id FROM entries e CROSS JOIN LATERAL jsonb_object_keys(e.fields) f(key)
            WHERE f.key NOT IN ('identifiers', 'tags')
            UNION ALL
            SELECT k.name || ':' || v.item, e.id FROM entries e
            CROSS JOIN (VALUES ('identifiers'), ('tags')) k(name)
            CROSS JOIN LATERAL jsonb_array_elements_text(e.fields #> ARRAY[k.name, '1']) v(item)
        )
        SELECT DISTINCT ON (t.item) t.item, e.at, s.name, coalesce(u.username, a.name, ''), e.cause, e.cause_id,
               e.line, (e.detail ->> 'loser_id')::bigint
        FROM items t JOIN entries e ON e.id = t.id JOIN profiles_source s ON s.id = e.source_id
        LEFT JOIN cdp_user u ON u.id = e.user_id LEFT JOIN cdp_apikey a ON a.id = e.key_id
        ORDER BY t.item, e.at DESC, e.id DESC
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, {"root": root_id, "entries": ENTRIES})
        return {row[0]: Provenance(*row[1:]) for row in cursor.fetchall()}
