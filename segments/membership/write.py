"""Verdicts of a rule → stays that begin and end, timers, and what follows from them: one statement for one or a million.

The verdicts never come to Python: the statement that asks the rule is a part of the one that writes.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils import timezone

from cdp import webhooks
from cdp.times import iso
from segments.evaluate.statements import verdict_statement
from segments.membership.live_rules import LiveSegment
from segments.models import Watch
from segments.moments import Moment

# Later than that, a message says it is late: workers were away.
LATE = datetime.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why and when something about a profile took effect."""

    cause: str
    ref: int | None
    at: datetime.datetime


@dataclass(frozen=True, slots=True)
class Turnover:
    """Who came in and who went out, by profile."""

    entered: tuple[int, ...] = ()
    left: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.entered or self.left)


_WRITE = """
    WITH verdict AS MATERIALIZED ({verdicts}),
    reason AS MATERIALIZED ({reasons}),
    went AS (
        UPDATE segments_membership m SET left_at = greatest(r.at, m.entered_at), left_by = r.cause, left_ref = r.ref,
            left_recorded_at = clock_timestamp()
        FROM reason r
        WHERE m.segment_id = %(segment)s AND m.left_at IS NULL AND m.absorbed_by IS NULL AND {same_reason}
          AND NOT EXISTS (SELECT FROM verdict v WHERE v.id = m.profile_id AND v.is_in)
        RETURNING m.profile_id
    ), came AS (
        INSERT INTO segments_membership (segment_id, profile_id, entered_at, entered_by, entered_ref,
            entered_recorded_at, left_by)
        SELECT %(segment)s, v.id, r.at, r.cause, r.ref, clock_timestamp(), ''
        FROM verdict v JOIN reason r ON {reason_of_verdict}
        WHERE v.is_in AND NOT EXISTS (SELECT FROM segments_membership m
            WHERE m.segment_id = %(segment)s AND m.profile_id = v.id AND m.left_at IS NULL)
        ON CONFLICT DO NOTHING
        RETURNING profile_id
    ), unset AS (
        DELETE FROM segments_nextcheck c USING reason r
        WHERE c.segment_id = %(segment)s AND {same_check}
          AND NOT EXISTS (SELECT FROM verdict v WHERE v.id = c.profile_id AND v.next IS NOT NULL)
    ), timed AS (
        INSERT INTO segments_nextcheck (segment_id, profile_id, due_at)
        SELECT %(segment)s, v.id, v.next FROM verdict v WHERE v.next IS NOT NULL
        ON CONFLICT (segment_id, profile_id) DO UPDATE SET due_at = excluded.due_at
            WHERE segments_nextcheck.due_at <> excluded.due_at
    )
"""
_OF_SOME = (
    "SELECT * FROM unnest(%(ids)s::bigint[], %(causes)s::text[], %(refs)s::bigint[], %(ats)s::timestamptz[])"
    " AS r (id, cause, ref, at)"
)
_OF_ALL = "SELECT %(cause)s::text AS cause, %(ref)s::bigint AS ref, %(at)s::timestamptz AS at"
_NAMES = " SELECT true, profile_id FROM came UNION ALL SELECT false, profile_id FROM went"


def write_some(
    segment: LiveSegment,
    reasons: dict[int, Reason],
    moment: Moment,
    *,
    heirs: frozenset[int] = frozenset(),
) -> Turnover:
    """Compare these surviving profiles with the rule, and write what changed. One statement, and what follows.

    ``heirs``: survivors of somebody who was in; no message says that they came in.
    """
    ids = sorted(reasons)
    statement = verdict_statement(segment.rule, segment.id, is_scoped=True)
    text = _WRITE.format(
        verdicts=statement.text,
        reasons=_OF_SOME,
        same_reason="m.profile_id = r.id",
        reason_of_verdict="r.id = v.id",
        same_check="c.profile_id = r.id",
    )
    params: dict[str, Any] = {
        **statement.params(moment, ids),
        "segment": segment.id,
        "causes": [reasons[pk].cause for pk in ids],
        "refs": [reasons[pk].ref for pk in ids],
        "ats": [reasons[pk].at for pk in ids],
    }
    with connection.cursor() as cursor:
        cursor.execute(text + _NAMES, params)
        rows = cursor.fetchall()
    turnover = Turnover(
        tuple(sorted(pk for came, pk in rows if came)), tuple(sorted(pk for came, pk in rows if not came))
    )
    follow(segment, turnover, reasons, silent=heirs)
    return turnover


def write_everybody(segment: LiveSegment, reason: Reason, moment: Moment) -> tuple[int, int]:
    """The same for everybody, without naming them in Python; how many came in and went out."""
    statement = verdict_statement(segment.rule, segment.id, is_scoped=False)
    text = _WRITE.format(
        verdicts=statement.text,
        reasons=_OF_ALL,
        same_reason="true",
        reason_of_verdict="true",
        same_check="true",
    )
    params = {
        **statement.params(moment),
        "segment": segment.id,
        "cause": reason.cause,
        "ref": reason.ref,
        "at": reason.at,
    }
    with connection.cursor() as cursor:
        cursor.execute(f"{text}, changed AS ({_NAMES}), queued AS ({_QUEUE_DEPENDANTS})" + _COUNTS, params)
        entered, left = cursor.fetchone()
    if (entered or left) and _is_heard():
        _publish_recorded(segment, reason)
    return entered, left


_QUEUE_DEPENDANTS = """
    INSERT INTO segments_queueentry (profile_id, reads, cause, cause_id, at)
    SELECT profile_id, ARRAY['segment:' || %(segment)s], 'segment', %(segment)s, %(at)s::timestamptz
    FROM changed AS c (came, profile_id)
    WHERE EXISTS (SELECT FROM segments_watch WHERE token = 'segment:' || %(segment)s)
"""
_COUNTS = " SELECT count(*) FILTER (WHERE came), count(*) FILTER (WHERE NOT came) FROM changed AS c (came, profile_id)"


def follow(
    segment: LiveSegment,
    turnover: Turnover,
    reasons: dict[int, Reason],
    *,
    silent: frozenset[int] = frozenset(),
) -> None:
    """Queue whoever changed for the segments made from this one, and send the messages of webhooks but for ``silent``."""
    if not turnover:
        return
    changed = [*turnover.entered, *turnover.left]
    token = f"segment:{segment.id}"
    if Watch.objects.filter(pk=token).exists():
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO segments_queueentry (profile_id, reads, cause, cause_id, at)"
                " SELECT id, ARRAY[%s], 'segment', %s, at FROM unnest(%s::bigint[], %s::timestamptz[]) AS c (id, at)",
                [token, segment.id, changed, [reasons[pk].at for pk in changed]],
            )
    for topic, ids in (("segment.entered", turnover.entered), ("segment.left", turnover.left)):
        items = [(pk, _payload(segment, pk, reasons[pk])) for pk in ids if pk not in silent]
        if items:
            webhooks.publish_many(topic, items=items)


def _payload(segment: LiveSegment, profile_id: int, reason: Reason) -> dict[str, Any]:
    return {
        "profile_id": profile_id,
        "segment_id": segment.id,
        "segment": segment.row.name,
        "at": iso(reason.at),
        "cause": {"kind": reason.cause, "id": reason.ref},
        "late": timezone.now() - reason.at > LATE,
    }


def _is_heard() -> bool:
    return bool(webhooks.heard_topics() & {"segment.entered", "segment.left"})


_RECORDED = """
    SELECT profile_id FROM segments_membership WHERE segment_id = %s AND {at} = %s AND {by} = %s AND {ref} IS NOT DISTINCT FROM %s
"""


def _publish_recorded(segment: LiveSegment, reason: Reason) -> None:
    """Messages about everybody who came in or went out by this very reason."""
    for topic, at, by, ref in (
        ("segment.entered", "entered_at", "entered_by", "entered_ref"),
        ("segment.left", "left_at", "left_by", "left_ref"),
    ):
        with connection.cursor() as cursor:
            sql = _RECORDED.format(at=at, by=by, ref=ref)
            cursor.execute(sql, [segment.id, reason.at, reason.cause, reason.ref])
            ids = [pk for (pk,) in cursor.fetchall()]
        webhooks.publish_many(topic, items=[(pk, _payload(segment, pk, reason)) for pk in ids])
