"""A segment → who came in and went out, newest first, with the cause of each; one page by keyset over the stays."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from cdp.sql import run
from segments.models import Cause

ENTERED, LEFT = "entered", "left"
KINDS = (ENTERED, LEFT)
# When, 0 for entered and 1 for left, the stay: a place in the list. At one time the end of a stay is newer than its begin.
Place = tuple[datetime.datetime, int, int]


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """``profile_id`` is who it is now, ``member_id`` the profile it was about; ``recorded_at`` is later than ``at`` where
    workers were late.
    """

    at: datetime.datetime
    kind: str
    stay_id: int
    profile_id: int
    member_id: int
    cause: str
    cause_id: int | None
    recorded_at: datetime.datetime

    @property
    def place(self) -> Place:
        return self.at, KINDS.index(self.kind), self.stay_id

    @property
    def cause_text(self) -> str:
        return str(Cause(self.cause).label)


# Each side gives at most a page by its own index, so the cost does not grow with the history.
_SIDE = """
    (SELECT m.{side}_at AS at, {number} AS side, m.id, p.canonical_id, m.profile_id, m.{side}_by, m.{side}_ref,
        m.{side}_recorded_at
    FROM segments_membership m JOIN profiles_profile p ON p.id = m.profile_id
    JOIN profiles_profile r ON r.id = p.canonical_id AND r.status = 'live'
    WHERE m.segment_id = %(segment)s AND m.{side}_at IS NOT NULL
      AND (%(since)s::timestamptz IS NULL OR m.{side}_at >= %(since)s)
      AND (%(at)s::timestamptz IS NULL OR (m.{side}_at <= %(at)s
        AND (m.{side}_at, {number}, m.id) < (%(at)s::timestamptz, %(side)s::int, %(stay)s::bigint)))
    ORDER BY m.{side}_at DESC, m.id DESC LIMIT %(limit)s)
"""


def changes_of(
    segment_id: int,
    *,
    kind: str = "",
    since: datetime.datetime | None = None,
    older_than: Place | None = None,
    limit: int,
) -> list[MembershipChange]:
    """Those at or after ``since``, before the place ``older_than``; of one kind where it is named. One query.

    People who are no surviving profiles any more are left out.
    """
    sides = [
        _SIDE.format(side=name, number=number) for number, name in enumerate(KINDS) if kind in ("", name)
    ]
    at, side, stay = older_than or (None, None, None)
    params: dict[str, Any] = {
        "segment": segment_id,
        "since": since,
        "at": at,
        "side": side,
        "stay": stay,
        "limit": limit,
    }
    both = " UNION ALL ".join(sides)
    rows = run(f"SELECT * FROM ({both}) AS c ORDER BY at DESC, side DESC, id DESC LIMIT %(limit)s", params)
    return [MembershipChange(row[0], KINDS[row[1]], *row[2:]) for row in rows]
