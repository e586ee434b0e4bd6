"""Profiles that were merged, deleted or came back → also the other side of each suggested pair they are in."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from segments.conditions.duplicate import READ
from segments.membership.live_rules import EVERY, LiveSegment
from segments.membership.write import Reason
from segments.models import Cause

_OTHERS = """
    WITH member AS (
        SELECT id FROM profiles_profile WHERE canonical_id IN
            (SELECT canonical_id FROM profiles_profile WHERE id = ANY(%(ids)s))
    )
    SELECT DISTINCT p.canonical_id FROM (
        SELECT d.b_id AS id FROM profiles_duplicatepair d JOIN member m ON m.id = d.a_id WHERE d.verdict = 'open'
        UNION ALL
        SELECT d.a_id FROM profiles_duplicatepair d JOIN member m ON m.id = d.b_id WHERE d.verdict = 'open'
    ) o JOIN profiles_profile p ON p.id = o.id
"""


def with_other_sides(reasons: dict[int, dict[str, Reason]], segments: Sequence[LiveSegment]) -> None:
    """Adds them, with the cause *other*: a pair counts while both are live. Changes of the pairs themselves are queued by
    triggers. Nothing where no rule asks for duplicates; at most one query.
    """
    changed = {pk: by_token[EVERY] for pk, by_token in reasons.items() if EVERY in by_token}
    if not changed or not any(READ in segment.reads.tokens for segment in segments):
        return
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS, {"ids": sorted(changed)})
        others = [pk for (pk,) in cursor.fetchall()]
    latest = max(reason.at for reason in changed.values())
    for pk in others:
        reasons[pk].setdefault(READ, Reason(Cause.OTHER, None, latest))
