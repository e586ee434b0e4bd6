"""Changed profiles → also whoever has the same e-mail address or phone number: a no of one counts for all of them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from django.db import connection

from segments.membership.live_rules import LiveSegment
from segments.membership.write import Reason
from segments.models import Cause

_TOKENS = frozenset({"*", "field:consents", "field:email", "field:phone", "field:identifiers"})
# Addresses the changed profiles have, had until now, or decided about, with those of everybody merged with them; and
# whoever else has one of these. A profile merged away keeps the address it had.
_HOLDERS = """
    WITH member AS (
        SELECT id, canonical_id AS root, email, phone FROM profiles_profile WHERE canonical_id IN
            (SELECT canonical_id FROM profiles_profile WHERE id = ANY(%(ids)s))
    ), address AS (
        SELECT v.value, m.root FROM member m CROSS JOIN LATERAL (VALUES (m.email), (m.phone)) AS v (value)
            WHERE v.value <> ''
        UNION
        SELECT f.old ->> 0, m.root FROM member m JOIN profiles_change c ON c.profile_id = m.id
            CROSS JOIN LATERAL (VALUES (c.fields -> 'email'), (c.fields -> 'phone')) AS f (old)
            WHERE c.at >= %(since)s AND f.old ->> 0 <> ''
        UNION
        SELECT c.address, m.root FROM member m JOIN profiles_consent c ON c.profile_id = m.id WHERE c.address <> ''
    )
    SELECT DISTINCT p.canonical_id FROM address a JOIN profiles_identifier i ON i.value = a.value
    JOIN profiles_profile p ON p.id = i.profile_id WHERE p.canonical_id <> a.root
"""


def with_address_holders(
    reasons: dict[int, dict[str, Reason]], segments: Sequence[LiveSegment], since: datetime.datetime | None
) -> None:
    """Adds them, with the cause *other*; nothing where no rule asks whether somebody can be reached. At most one query.

    ``since``: when the first of the changes took effect.
    """
    if not any(segment.reads.address for segment in segments):
        return
    changed = {
        profile_id: max(relevant, key=lambda reason: reason.at)
        for profile_id, by_token in reasons.items()
        if (relevant := [reason for token, reason in by_token.items() if token in _TOKENS])
    }
    if not changed:
        return
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS, {"ids": sorted(changed), "since": since})
        holders = [pk for (pk,) in cursor.fetchall()]
    latest = max(changed.values(), key=lambda reason: reason.at)
    for pk in holders:
        reasons[pk].setdefault("field:consents", Reason(Cause.OTHER, None, latest.at))
