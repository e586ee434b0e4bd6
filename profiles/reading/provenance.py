"""A profile → who set each of the values it has, when and through which source, from the journal."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db import connection

from profiles import sql
from profiles.models import Change, Profile

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


_COLUMNS = ", ".join(f"'{name}', r.{name}" for name in Profile.FIELDS)
# An entry that only put an earlier value back does not say whose that is, and an undone merge says nothing any more.
_PROVENANCE = f"""
    WITH members AS ({sql.members("%(root)s")}),
    own AS (
        SELECT c.* FROM members m CROSS JOIN LATERAL (
            SELECT * FROM profiles_change WHERE profile_id = m.id ORDER BY at DESC, id DESC LIMIT %(entries)s
        ) c
    ), returned AS (
        SELECT c.* FROM (
            SELECT DISTINCT other.id FROM own JOIN {sql.PROFILES} winner ON winner.id = (own.detail ->> 'winner_id')::bigint
            JOIN {sql.PROFILES} other ON other.id IN (winner.id, winner.canonical_id)
            WHERE own.kind = 'unmerged' AND own.detail ->> 'side' = 'loser' AND other.canonical_id <> %(root)s
        ) o CROSS JOIN LATERAL (
            SELECT * FROM profiles_change WHERE profile_id = o.id ORDER BY at DESC, id DESC LIMIT %(entries)s
        ) c WHERE c.via_id IN (SELECT id FROM members)
    ), entries AS (
        SELECT * FROM own WHERE via_id IS NULL OR via_id IN (SELECT id FROM members)
        UNION ALL SELECT * FROM returned
    ), ranked AS (
        SELECT e.*, CASE
            WHEN e.cause = 'merge' AND EXISTS (
                SELECT FROM profiles_merge WHERE id = e.cause_id AND undone_at IS NOT NULL) THEN 3
            WHEN e.cause IN ('unmerge', 'import_undo') THEN 2
            WHEN e.profile_id <> %(root)s AND e.profile_id IN (SELECT id FROM members) THEN 1
            ELSE 0 END AS rank
        FROM entries e
    ), present AS (
        SELECT f.key, f.value FROM {sql.PROFILES} r CROSS JOIN LATERAL (
            SELECT key, value FROM jsonb_each(jsonb_build_object({_COLUMNS}))
            UNION ALL SELECT 'attributes.' || key, value FROM jsonb_each(r.attributes)
        ) f WHERE r.id = %(root)s
    ), items AS (
        SELECT p.key AS item, r.id, r.rank FROM present p JOIN ranked r ON r.fields -> p.key -> 1 = p.value
        WHERE p.value <> 'null'
        UNION ALL
        SELECT k.name || ':' || v.item, r.id, 0 FROM ranked r
        CROSS JOIN (VALUES ('identifiers'), ('tags')) k(name)
        CROSS JOIN LATERAL jsonb_array_elements_text(r.fields #> ARRAY[k.name, '1']) v(item)
    )
    SELECT DISTINCT ON (t.item) t.item, e.at, s.name, coalesce(u.username, a.name, ''), e.cause, e.cause_id,
           e.line, (e.detail ->> 'loser_id')::bigint
    FROM items t JOIN entries e ON e.id = t.id JOIN profiles_source s ON s.id = e.source_id
    LEFT JOIN cdp_user u ON u.id = e.user_id LEFT JOIN cdp_apikey a ON a.id = e.key_id
    ORDER BY t.item, t.rank, e.at DESC, e.id DESC
"""


def provenance_of(root_id: int) -> dict[str, Provenance]:
    """By journal key (``city``, ``attributes.plan``), ``identifiers:<type>:<value>`` and ``tags:<name>``.

    Of a value the profile has, the latest entry that set it: on its own row, or by an identifier of its own while it
    was merged into another profile; else on the row of a profile merged into it. One query.
    """
    with connection.cursor() as cursor:
        cursor.execute(_PROVENANCE, {"root": root_id, "entries": ENTRIES})
        return {row[0]: Provenance(*row[1:]) for row in cursor.fetchall()}
