"""Stored rows, pairs and cases → those that contradict the tables they derive from, for the doctor, and
their repair.

Profiles in the queue are left out: what is stored about them is updated within seconds. So are all cases while a scan
has stored its pairs and not yet derived the cases from them.
"""

from __future__ import annotations

from django.db import connection, transaction

from profiles.duplicates.finding import clusters, full_scan, match_rows
from profiles.models import MatchRow

_QUEUED = "EXISTS (SELECT FROM profiles_matchqueue q WHERE q.profile_id = {0})"
_IS_LINK = "p.verdict = 'open' AND p.tier IN ('certain', 'probable')"
_CASES_DUE = (
    f"EXISTS (SELECT FROM cdp_job j WHERE j.kind = '{full_scan.KIND}' AND j.finished_at IS NULL"
    " AND j.cursor ->> 'step' = 'cases')"
)
_FIX = "Run manage.py doctor --fix: it is derived from other rows and can be derived again."

STRAY_MATCH_ROWS = (
    "SELECT m.profile_id FROM profiles_matchrow m JOIN profiles_profile p ON p.id = m.profile_id"
    f" WHERE (p.status <> 'live' OR p.canonical_id <> p.id) AND NOT {_QUEUED.format('p.id')}"
)
STRAY_PAIRS = (
    "SELECT d.id FROM profiles_duplicatepair d JOIN profiles_profile a ON a.id = d.a_id"
    " JOIN profiles_profile b ON b.id = d.b_id JOIN profiles_profile x ON x.id = a.canonical_id"
    " JOIN profiles_profile y ON y.id = b.canonical_id LEFT JOIN profiles_profile z ON z.id = d.through_id"
    " WHERE d.verdict IN ('open', 'later')"
    " AND (x.status <> 'live' OR y.status <> 'live' OR x.id = y.id OR d.a_id >= d.b_id"
    " OR (d.found_by IN ('scan', 'change') AND (x.id <> d.a_id OR y.id <> d.b_id))"
    " OR z.status <> 'live' OR z.canonical_id <> z.id)"
    f" AND NOT {_QUEUED.format('d.a_id')} AND NOT {_QUEUED.format('d.b_id')} AND NOT {_QUEUED.format('d.through_id')}"
)
# The members are exactly the profiles reached from the anchor over open links of the case.
STRAY_CASES = f"""
    WITH RECURSIVE kept AS (
        SELECT id, anchor, members FROM profiles_duplicatecase c WHERE kind = 'people' AND state = 'open'
        AND NOT EXISTS (SELECT FROM profiles_matchqueue q WHERE q.profile_id = ANY(c.members))
        AND NOT {_CASES_DUE}
    ), reached (pk, member) AS (
        SELECT id, anchor FROM kept
        UNION SELECT r.pk, CASE WHEN p.a_id = r.member THEN p.b_id ELSE p.a_id END
        FROM reached r JOIN profiles_duplicatepair p ON p.case_id = r.pk AND r.member IN (p.a_id, p.b_id) AND {_IS_LINK}
    )
    SELECT kept.id FROM kept
    LEFT JOIN (SELECT pk, array_agg(member ORDER BY member) AS members FROM reached GROUP BY pk) r ON r.pk = kept.id
    WHERE r.members IS DISTINCT FROM kept.members OR EXISTS (
        SELECT FROM unnest(kept.members) one LEFT JOIN profiles_profile p
        ON p.id = one AND p.status = 'live' AND p.canonical_id = p.id WHERE p.id IS NULL)"""

# Name, SQL that selects the id of every violation, and what to do.
INVARIANTS = (
    ("people are compared while they are live, and as one", STRAY_MATCH_ROWS, _FIX),
    ("open pairs are of two live people, and rest on a live one", STRAY_PAIRS, _FIX),
    ("open cases are of live people, each linked to the others", STRAY_CASES, _FIX),
)
MATCH_ROWS = "people are compared by the values they have"
MATCH_ROWS_FIX = (
    "Run manage.py doctor --fix, which marks all of them as outdated, and scan everybody for duplicates, which"
    " builds them anew."
)
SAMPLE = 1000


def differing_rows() -> list[int]:
    """Of a sample of match rows, those that differ from what would be built now. A few queries.

    Rows of another version are no violation: the next scan builds them anew.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id FROM profiles_matchrow WHERE version = %s ORDER BY random() LIMIT %s",
            [match_rows.version(), SAMPLE],
        )
        sample = [pk for (pk,) in cursor.fetchall()]
    # A profile that changes meanwhile is in the queue by the second look.
    return _differing(_differing(sample))


def _differing(sample: list[int]) -> list[int]:
    if not sample:
        return []
    now = {row.id: row.stored for row in match_rows.build(sample)}
    columns = ("pk", *match_rows.STORED)
    stored = {row[0]: list(row) for row in MatchRow.objects.filter(pk__in=sample).values_list(*columns)}
    differing = [pk for pk in sample if pk in stored and stored[pk] != now.get(pk)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT profile_id FROM profiles_matchqueue WHERE profile_id = ANY(%s)", [differing])
        queued = {pk for (pk,) in cursor.fetchall()}
    return sorted(set(differing) - queued)


@transaction.atomic
def repair() -> int:
    """Repair what the invariants name; how many rows were wrong."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM profiles_matchrow WHERE profile_id IN ({STRAY_MATCH_ROWS})")
        wrong = cursor.rowcount
        cursor.execute(
            f"WITH gone AS (DELETE FROM profiles_duplicatepair WHERE id IN ({STRAY_PAIRS}) RETURNING id), freed AS"
            " (UPDATE profiles_duplicatecase c SET weakest_id = NULL FROM gone WHERE c.weakest_id = gone.id)"
            " SELECT count(*) FROM gone"
        )
        wrong += cursor.fetchone()[0]
        cursor.execute(f"SELECT count(*) FROM ({STRAY_CASES}) found")
        if stray := cursor.fetchone()[0]:
            clusters.rebuild_cases()
            wrong += stray
        if differing := differing_rows():
            MatchRow.objects.update(version=0)
            wrong += len(differing)
    return int(wrong)
