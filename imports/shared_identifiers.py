"""People whom one import gave the same identifier: suggested as duplicates once the import has ended (I7).

Not chunk by chunk: the row that shares a value may be applied long before the one the value goes to.
"""

from __future__ import annotations

from django.db import connection

from imports.models import Import
from profiles.pairs.suggestions import KEEP


def suggest_rivals(job: Import, *, upto: int | None = None) -> None:
    """Suggest the pairs that written rows (up to a line) came to share an identifier with.

    For the transaction that ends the import; safe to repeat. A pair with a verdict keeps it, and who was
    deleted or merged together meanwhile is left alone. One pass over the rows and, where any of them shares
    something, over the import's journal.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH sharing AS MATERIALIZED (
                SELECT r.line, r.profile_id, u.type_id, u.value
                FROM {job.partition} r
                CROSS JOIN unnest(r.types, r.keys, r.clashes) AS u (type_id, value, clash)
                WHERE r.clashes IS NOT NULL AND r.outcome IN ('created', 'updated')
                  AND (%(upto)s::bigint IS NULL OR r.line <= %(upto)s)
                  AND u.value IS NOT NULL AND u.clash <> 0 AND u.clash IS DISTINCT FROM r.profile_id
            ), mine AS MATERIALIZED (
                SELECT s.*, coalesce(s.profile_id, c.profile_id) AS holder_id
                FROM sharing s LEFT JOIN profiles_change c ON s.profile_id IS NULL
                    AND c.cause = 'import' AND c.cause_id = %(import)s AND c.kind = 'created' AND c.line = s.line
            )
            INSERT INTO profiles_duplicatepair AS d (a_id, b_id, verdict, reasons)
            SELECT DISTINCT ON (1, 2) least(h.canonical_id, p.canonical_id), greatest(h.canonical_id, p.canonical_id),
                'open', jsonb_build_array(jsonb_build_object(
                    'code', 'shared_identifier', 'type', t.name, 'value', m.value, 'source', 'import',
                    'import', %(import)s::bigint, 'line', m.line,
                    'text', 'Both came with the ' || t.name || ' ' || m.value || '.'))
            FROM mine m
            JOIN profiles_identifiertype t ON t.id = m.type_id
            JOIN profiles_profile h ON h.id = m.holder_id
            JOIN profiles_profile root ON root.id = h.canonical_id AND root.status = 'live'
            JOIN profiles_identifier i ON i.type_id = m.type_id AND i.value = m.value AND i.resolves
            JOIN profiles_profile p ON p.id = i.profile_id
            WHERE p.canonical_id <> h.canonical_id
            ORDER BY 1, 2, m.line {KEEP}
            """,
            {"import": job.pk, "upto": upto},
        )
