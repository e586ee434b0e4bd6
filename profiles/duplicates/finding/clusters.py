"""Stored pairs → what follows from them: transitive pairs, cases of three and more profiles, and cases of
shared values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models.functions import Now

from cdp.sql import ask, run, together
from profiles.duplicates.finding import transitive
from profiles.models import DuplicateCase, FrequentValue, IdentifierType, Tier

# Two profiles are a pair; three and more are a case.
MIN_CASE_SIZE = 3
# Larger cases are never merged unattended.
MAX_UNATTENDED_SIZE = 5
# How many holders of a shared value its case names.
MAX_NAMED = 100

State, Kind = DuplicateCase.State, DuplicateCase.Kind
_IS_LINK = "verdict = 'open' AND tier IN ('certain', 'probable')"


@dataclass(frozen=True, slots=True)
class ClusterLink:
    pair_id: int
    a: int
    b: int
    tier: str
    score: float


def refresh_cases(roots: Sequence[int]) -> int:
    """Update the cases these profiles are, were or come to be in; how many such cases are open. A few
    queries.
    """
    if not roots:
        return 0
    links, former_members = _links_around(roots)
    groups = find_groups(links)
    # Most profiles are in no case before and after. One that is new in a group may have a smaller id than its anchor.
    members = (profile_id for group in groups for profile_id in members_of(group))
    return _save_cases(groups, among=former_members.union(roots, members)) if groups or former_members else 0


def rebuild_cases() -> int:
    """The same for every profile."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, a_id, b_id, tier, score FROM profiles_duplicatepair WHERE {_IS_LINK}")
        links = [ClusterLink(*row) for row in cursor.fetchall()]
    return _save_cases(find_groups(links), among=None)


def refresh_derived(roots: Sequence[int]) -> None:
    """Bring what follows from these profiles' pairs up to date: transitive pairs, then cases.

    In the caller's transaction. A fixed number of queries for any number of profiles.
    """
    transitive.refresh(roots)
    refresh_cases(roots)


def rebuild_derived() -> dict[str, int]:
    """The same for every profile; how many transitive pairs and how many cases there are."""
    return {"through": transitive.rebuild(), "cases": rebuild_cases()}


def _links_around(roots: Sequence[int]) -> tuple[list[ClusterLink], set[int]]:
    """Every link of the groups these profiles are in, and the members of their open cases. One query."""
    rows = run(
        f"""
        WITH RECURSIVE was AS MATERIALIZED (
            SELECT unnest(members) AS id FROM profiles_duplicatecase
            WHERE state = 'open' AND kind = 'people' AND members && %(people)b::bigint[]
        ), circle (id) AS (
            (SELECT unnest(%(people)b::bigint[]) UNION SELECT id FROM was)
            UNION
            SELECT n.id FROM circle c CROSS JOIN LATERAL (
                SELECT b_id AS id FROM profiles_duplicatepair WHERE a_id = c.id AND {_IS_LINK}
                UNION ALL SELECT a_id FROM profiles_duplicatepair WHERE b_id = c.id AND {_IS_LINK}) n
        )
        SELECT p.id, p.a_id, p.b_id, p.tier, p.score FROM circle c
        CROSS JOIN LATERAL (SELECT * FROM profiles_duplicatepair WHERE a_id = c.id AND {_IS_LINK}) p
        UNION ALL SELECT NULL, id, NULL, NULL, NULL FROM was
        """,
        {"people": list(roots)},
    )
    return [ClusterLink(*row) for row in rows if row[0]], {row[1] for row in rows if not row[0]}


def find_groups(links: Sequence[ClusterLink]) -> list[list[ClusterLink]]:
    """The links of each connected group of three or more. Pure."""
    parent: dict[int, int] = {}

    def root_of(node: int) -> int:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for link in links:
        node, higher = sorted((root_of(link.a), root_of(link.b)))
        parent[higher] = node
    by_root: dict[int, list[ClusterLink]] = defaultdict(list)
    for link in links:
        by_root[root_of(link.a)].append(link)
    return [group for _, group in sorted(by_root.items()) if len(members_of(group)) >= MIN_CASE_SIZE]


def members_of(links: Sequence[ClusterLink]) -> list[int]:
    return sorted({profile_id for link in links for profile_id in (link.a, link.b)})


def weakest_link(links: Sequence[ClusterLink]) -> ClusterLink:
    """The link to look at first: the least certain one. The same for the same links in any order."""
    return min(links, key=lambda link: (link.tier != Tier.PROBABLE, link.score, link.a, link.b))


def split_without(links: Sequence[ClusterLink], cut: ClusterLink) -> list[set[int]]:
    """The members of the group without one link: one set if it stays connected, two if the link was a
    bridge.
    """
    remaining = [link for link in links if link is not cut]
    sets: list[set[int]] = [{profile_id} for profile_id in members_of(links)]
    for link in remaining:
        touched = [members for members in sets if link.a in members or link.b in members]
        sets = [members for members in sets if members not in touched] + [set().union(*touched)]
    return sets


def _save_cases(groups: Sequence[Sequence[ClusterLink]], *, among: set[int] | None) -> int:
    """Open, update and close cases. Six statements for any number of groups, in two round trips."""
    members_of_groups = sorted({profile_id for group in groups for profile_id in members_of(group)})
    locked, apart = _locked_and_apart(members_of_groups)
    cases = []
    for group in groups:
        members, weakest = members_of(group), weakest_link(group)
        cases.append(
            DuplicateCase(
                kind=Kind.PEOPLE,
                anchor=members[0],
                members=members,
                size=len(members),
                tier=Tier.PROBABLE if any(link.tier == Tier.PROBABLE for link in group) else Tier.CERTAIN,
                score=min(link.score for link in group),
                weakest_id=weakest.pair_id,
                problem=problem(group, locked=locked, apart=apart),
            )
        )
    anchors = {link.pair_id: members_of(group)[0] for group in groups for link in group}
    with together():
        _close([case.anchor for case in cases if case.anchor], among)
        _upsert(cases)
        _set_case_of_pairs(anchors, among)
    return len(cases)


def problem(links: Sequence[ClusterLink], *, locked: set[int], apart: set[tuple[int, int]]) -> str:
    """Why the group may not be merged unattended, as a sentence; "" when it may."""
    members = members_of(links)
    if locked_members := [profile_id for profile_id in members if profile_id in locked]:
        return f"#{locked_members[0]} is locked against merging."
    apart_pairs = [pair for pair in sorted(apart) if pair[0] in members and pair[1] in members]
    if apart_pairs:
        return f"#{apart_pairs[0][0]} and #{apart_pairs[0][1]} are two people."
    if len(members) > MAX_UNATTENDED_SIZE:
        return f"{len(members)} profiles are more than one person usually has."
    weakest = weakest_link(links)
    if weakest.tier == Tier.PROBABLE and min(map(len, split_without(links, weakest))) > 1:
        return f"Only one pair links two groups: #{weakest.a} and #{weakest.b}."
    return ""


def _locked_and_apart(profile_ids: Sequence[int]) -> tuple[set[int], set[tuple[int, int]]]:
    """The locked profiles, and the pairs known to be two people (by a veto or a verdict). Two queries."""
    if not profile_ids:
        return set(), set()
    params = {"people": list(profile_ids)}
    with together():
        locked = ask(
            "SELECT id FROM profiles_profile WHERE id = ANY(%(people)b::bigint[]) AND is_locked", params
        )
        apart = ask(
            "SELECT a_id, b_id FROM profiles_duplicatepair WHERE a_id = ANY(%(people)b::bigint[])"
            " AND b_id = ANY(%(people)b::bigint[]) AND (verdict = 'not_duplicate' OR veto <> '')",
            params,
        )
    return {profile_id for (profile_id,) in locked.value}, {(a, b) for a, b in apart.value}


def _close(kept_anchors: Sequence[int], among: set[int] | None) -> None:
    ask(
        "UPDATE profiles_duplicatecase SET state = 'gone', decided_at = now(), updated_at = now()"
        " WHERE state = 'open' AND kind = 'people' AND (anchor = ANY(%(kept)b::bigint[])) IS NOT TRUE"
        f" AND {'true' if among is None else 'members && %(among)b::bigint[]'}",
        {"kept": list(kept_anchors), "among": sorted(among or ())},
    )


def _upsert(cases: Sequence[DuplicateCase]) -> None:
    if not cases:
        return
    columns = "kind, state, anchor, members, size, tier, score, weakest_id, problem, value"
    updates = ", ".join(
        f"{name} = excluded.{name}" for name in ("members", "size", "tier", "score", "weakest_id", "problem")
    )
    rows = [
        (case.anchor, "{" + ",".join(map(str, case.members)) + "}", case.size, case.tier, case.score,
         case.weakest_id, case.problem)
        for case in cases
    ]  # fmt: skip
    ask(
        f"INSERT INTO profiles_duplicatecase AS c ({columns})"
        " SELECT 'people', 'open', anchor, members::bigint[], size, tier, score, weakest, problem, ''"
        " FROM unnest(%b::bigint[], %b::text[], %b::int[], %b::text[], %b::float8[], %b::bigint[], %b::text[])"
        " AS d (anchor, members, size, tier, score, weakest, problem)"
        " ON CONFLICT (anchor) WHERE kind = 'people' AND state = 'open'"
        f" DO UPDATE SET {updates}, updated_at = now() WHERE (c.members, c.score, c.problem, c.weakest_id)"
        " IS DISTINCT FROM (excluded.members, excluded.score, excluded.problem, excluded.weakest_id)",
        [list(column) for column in zip(*rows, strict=True)],
    )


def _set_case_of_pairs(anchors: dict[int, int], among: set[int] | None) -> None:
    """Set each pair's case; pairs of no group have none."""
    of_them = "a_id = ANY(%(among)b::bigint[]) OR b_id = ANY(%(among)b::bigint[])"
    ask(
        "UPDATE profiles_duplicatepair SET case_id = NULL WHERE case_id IS NOT NULL AND id <> ALL(%(pairs)b::bigint[])"
        f" AND ({'true' if among is None else of_them})",
        {"pairs": list(anchors), "among": sorted(among or ())},
    )
    ask(
        "UPDATE profiles_duplicatepair p SET case_id = c.id"
        " FROM unnest(%b::bigint[], %b::bigint[]) AS d (pair, anchor) JOIN profiles_duplicatecase c"
        " ON c.anchor = d.anchor AND c.state = 'open' AND c.kind = 'people'"
        " WHERE p.id = d.pair AND p.case_id IS DISTINCT FROM c.id",
        [list(anchors), list(anchors.values())],
    )


# --- Shared values ------------------------------------------------------------------------------------------


def save_shared_values(values: Sequence[tuple[str, str, int, list[int]]]) -> int:
    """One case for each ``(email|phone, value, holders, some of them)`` that too many share; others close.
    How many.

    A value that was left as shared stays so, with a new count. A blocked one gets no case. A few queries.
    """
    types = {
        row.normalizer: row
        for row in IdentifierType.objects.filter(normalizer__in=["email", "phone"]).order_by("-priority")
    }
    blocked = {(field, value.lower()) for field, row in types.items() for value in row.blocked_values}
    rows = [
        (types[field].pk if field in types else None, value, count, examples[:MAX_NAMED])
        for field, value, count, examples in values
        if (field, value.lower()) not in blocked
    ]
    FrequentValue.objects.filter(key__isnull=True).delete()
    FrequentValue.objects.bulk_create(
        [FrequentValue(field=field, value=value, holders=count) for field, value, count, _ in values],
        batch_size=5000,
    )
    known = {value for _, value, _, _ in rows}
    shared = DuplicateCase.objects.filter(kind=Kind.SHARED_VALUE)
    shared.filter(state=State.OPEN).exclude(value__in=known).update(
        state=State.GONE, value="", members=[], updated_at=Now()
    )
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO profiles_duplicatecase AS c (kind, state, type_id, value, size, members, tier, score, problem)"
                " SELECT 'shared_value', 'open', type_id, value, size, ARRAY(SELECT one FROM unnest(members::bigint[]) one"
                " JOIN profiles_matchrow m ON m.profile_id = one ORDER BY 1), 'related', 0, ''"
                " FROM unnest(%s::int[], %s::text[], %s::int[], %s::text[]) AS d (type_id, value, size, members)"
                " ON CONFLICT (type_id, value) WHERE kind = 'shared_value' AND state IN ('open', 'shared')"
                " DO UPDATE SET size = excluded.size, members = excluded.members, updated_at = now()",
                [
                    [type_id for type_id, *_ in rows],
                    [value for _, value, *_ in rows],
                    [count for *_, count, _ in rows],
                    ["{" + ",".join(map(str, examples)) + "}" for *_, examples in rows],
                ],
            )
    return len(rows)
