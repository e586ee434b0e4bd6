"""Profiles that were merged away, deleted, or came back by an undo → what becomes of the stays they had.

A merge neither ends a stay nor counts it twice: where the survivor is in the segment too, the stay of the profile merged
away is *absorbed*, and given back when the merge is undone. Where the survivor is not in, it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from segments.membership.live_rules import LiveSegment
from segments.membership.write import Reason
from segments.models import Membership


def give_back(segment: LiveSegment, root_ids: Sequence[int]) -> None:
    """Stays of profiles that survive again are their own. One statement."""
    absorbed = Membership.objects.filter(segment=segment.id, profile__in=root_ids, absorbed_by__isnull=False)
    absorbed.update(absorbed_by=None)


def inheriting(segment: LiveSegment, gone: dict[int, Reason], roots: dict[int, int]) -> frozenset[int]:
    """The survivors of profiles merged away that were in: they do not come in anew. One query where any is gone."""
    if not gone:
        return frozenset()
    was_in = Membership.objects.current().filter(segment=segment.id, profile__in=gone)
    return frozenset(roots[pk] for pk in was_in.values_list("profile_id", flat=True))


_SETTLE = """
    WITH gone AS (
        SELECT * FROM unnest(%(ids)s::bigint[], %(roots)s::bigint[], %(causes)s::text[], %(refs)s::bigint[],
            %(ats)s::timestamptz[]) AS g (id, root, cause, ref, at)
        WHERE id <> root
    ), absorbed AS (
        UPDATE segments_membership m SET absorbed_by = coalesce(g.ref, 0) FROM gone g
        WHERE m.segment_id = %(segment)s AND m.profile_id = g.id AND m.left_at IS NULL AND m.absorbed_by IS NULL
          AND EXISTS (SELECT FROM segments_membership r WHERE r.segment_id = m.segment_id AND r.profile_id = g.root
            AND r.left_at IS NULL)
        RETURNING m.id
    ), unset AS (
        DELETE FROM segments_nextcheck c USING gone g WHERE c.segment_id = %(segment)s AND c.profile_id = g.id
    )
    UPDATE segments_membership m SET left_at = greatest(g.at, m.entered_at), left_by = g.cause, left_ref = g.ref,
        left_recorded_at = clock_timestamp()
    FROM gone g WHERE m.segment_id = %(segment)s AND m.profile_id = g.id AND m.left_at IS NULL AND m.absorbed_by IS NULL
      AND m.id NOT IN (SELECT id FROM absorbed)
    RETURNING m.profile_id
"""


def settle_gone(segment: LiveSegment, gone: dict[int, Reason], roots: dict[int, int]) -> list[int]:
    """Absorb or end the stays of profiles that are no surviving ones, their survivors being evaluated already.

    The profiles whose stay ended. One statement where any is gone.
    """
    if not gone:
        return []
    ids = sorted(gone)
    params: dict[str, Any] = {
        "segment": segment.id,
        "ids": ids,
        "roots": [roots[pk] for pk in ids],
        "causes": [gone[pk].cause for pk in ids],
        "refs": [gone[pk].ref for pk in ids],
        "ats": [gone[pk].at for pk in ids],
    }
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, params)
        return sorted(pk for (pk,) in cursor.fetchall())
