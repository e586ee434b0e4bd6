"""Pairs of a batch → the profiles they are about, loaded, and merged in memory one pair after another.

``BatchState.apply`` is pure; loading is not. A preview and the batch itself apply the same way: the preview loads
without locks and writes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import connection

from profiles.identity import graph
from profiles.merging.merge import (
    MEMBER_TABLES,
    MOVED_KINDS,
    SAME_PROFILE,
    already_merged,
    merge_refusal,
    no_profile,
)
from profiles.merging.merge_plan import MergePlan, plan_merge
from profiles.merging.merge_rules import all_merge_rules, newest_of, value_times
from profiles.merging.undo_replay import Times, is_newer, take_time
from profiles.models import DuplicatePair, MergeBatchRow, Profile
from profiles.pairs import verdicts
from profiles.pairs.vetoes import veto_text

# Why a pair is skipped, or not taken back all the way, in words for a list of counts.
CODES = {
    "itself": "the same profile twice",
    "missing": "no such profile",
    "one": "one person already",
    "gone": "deleted, erased or anonymized",
    "locked": "locked against merging",
    "not_duplicate": "marked as not duplicates",
    "veto": "a difference that rules out one person",
    "changed": "changed since the preview",
    "off": "automatic merging was switched off",
    "stays": "undone, except for what was changed since",
    "before": "undone before",
}


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a pair is left out: a word of CODES, and the sentence."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Objection:
    """What speaks against merging the profiles that ``a`` and ``b`` belong to."""

    a: int
    b: int
    skip: Skip


@dataclass(slots=True)
class BatchState:
    """Profiles of a batch, as merging its pairs so far leaves them.

    ``root_of`` is each known profile's root before the batch, ``merged_into`` what a root was merged into since;
    ``versions`` are those the rows had before this batch touched them. ``rules`` are the merge rules of attributes (None
    before they were read), ``times`` says when each root's values of those with the rule *newest* came in.
    """

    root_of: dict[int, int] = field(default_factory=dict)
    merged_into: dict[int, int] = field(default_factory=dict)
    rows: dict[int, Profile] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)
    counts: dict[int, dict[str, int]] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    objections: dict[int, list[Objection]] = field(default_factory=lambda: defaultdict(list))
    rules: dict[str, str] | None = None
    times: dict[int, Times] = field(default_factory=dict)

    def current_root(self, profile_id: int) -> int:
        """The surviving profile after the pairs applied so far."""
        root = self.root_of[profile_id]
        while root in self.merged_into:
            root = self.merged_into[root]
        return root

    def apply(self, row: MergeBatchRow) -> MergePlan | Skip:
        """Merge the pair in memory, or say why not."""
        ids = (row.winner_id, row.loser_id)
        if ids[0] == ids[1]:
            return Skip("itself", SAME_PROFILE)
        for profile_id in ids:
            if profile_id not in self.root_of:
                return Skip("missing", no_profile(profile_id))
        winner_id, loser_id = map(self.current_root, ids)
        if winner_id == loser_id:
            return Skip("one", already_merged(*ids, winner_id))
        for root in (winner_id, loser_id):
            if sentence := merge_refusal(self.rows[root]):
                return Skip("locked" if self.rows[root].is_live else "gone", sentence)
        if objection := self._objection_to(winner_id, loser_id):
            return objection.skip
        if self._is_stale(row):
            return Skip("changed", f"Profile #{ids[0]} or #{ids[1]} changed since the preview.")
        return self._merge(winner_id, loser_id)

    def _objection_to(self, winner_id: int, loser_id: int) -> Objection | None:
        sides = {winner_id, loser_id}
        for objection in self.objections.get(loser_id, ()):
            if {self.current_root(objection.a), self.current_root(objection.b)} == sides:
                return objection
        return None

    def _is_stale(self, row: MergeBatchRow) -> bool:
        seen = ((row.winner_id, row.winner_version), (row.loser_id, row.loser_version))
        return any(version is not None and self.versions[pk] != version for pk, version in seen)

    def _merge(self, winner_id: int, loser_id: int) -> MergePlan:
        moved = dict(self.counts[loser_id])
        times = self.times.pop(loser_id, {})
        winner_times = self.times.setdefault(winner_id, {})
        plan = plan_merge(
            self.rows[winner_id],
            self.rows[loser_id],
            {},
            moved,
            rules=self.rules or {},
            newer_on_loser={key for key in times if is_newer(winner_times, times, key)},
        )
        for key in plan.fields.keys() & times.keys():
            is_taken = plan.fields[key][1] == plan.loser_before.get(key)
            take_time(winner_times, times, key, is_taken=is_taken)
        self.merged_into[loser_id] = winner_id
        self.members[winner_id] += self.members.pop(loser_id)
        self.objections[winner_id] += self.objections.pop(loser_id, [])
        if winner_id in self.counts:
            winner_counts = self.counts[winner_id]
            self.counts[winner_id] = {kind: winner_counts[kind] + moved[kind] for kind in MOVED_KINDS}
        return plan


# --- Loading --------------------------------------------------------------------------------------------


def load(rows: Sequence[MergeBatchRow], *, is_locked: bool, job_id: int | None = None) -> BatchState:
    """The profiles these pairs are about, as they are now. Some queries for any number of pairs.

    With ``is_locked`` the graph and the rows are locked until the transaction ends, and versions do not count
    what the merges of job ``job_id`` added.
    """
    state = BatchState()
    if is_locked:
        graph.lock_graph()
    load_more(state, rows, is_locked=is_locked)
    if job_id is not None and any(row.winner_version is not None for row in rows):
        for pk, count in _merged_by(job_id, state.versions).items():
            state.versions[pk] -= count
    return state


def load_more(state: BatchState, rows: Sequence[MergeBatchRow], *, is_locked: bool = False) -> set[int]:
    """Load the profiles these pairs name that the state does not know yet; returns the new roots."""
    ids = {pk for row in rows for pk in (row.winner_id, row.loser_id)} - state.versions.keys()
    known = Profile.objects.filter(pk__in=ids).values_list("pk", "canonical_id", "version")
    for pk, root, version in known:
        state.root_of[pk], state.versions[pk] = root, version
    new_roots = (
        {state.root_of[pk] for pk in ids if pk in state.root_of}
        - state.rows.keys()
        - state.merged_into.keys()
    )
    if new_roots:
        losers = _may_lose(state, rows) & new_roots if is_locked else new_roots
        _load_profiles(state, new_roots, losers, is_locked=is_locked)
    _load_objections(state)
    return new_roots


def _may_lose(state: BatchState, rows: Iterable[MergeBatchRow]) -> set[int]:
    """Roots that some pair may merge away: losers, and every root in a chain of several pairs."""
    pairs = [
        (state.root_of[row.winner_id], state.root_of[row.loser_id])
        for row in rows
        if row.winner_id in state.root_of and row.loser_id in state.root_of
    ]
    group: dict[int, int] = {}

    def group_of(pk: int) -> int:
        group.setdefault(pk, pk)
        while group[pk] != pk:
            group[pk] = group[group[pk]]
            pk = group[pk]
        return pk

    for winner, loser in pairs:
        group[group_of(loser)] = group_of(winner)
    pairs_of = Counter(group_of(winner) for winner, _ in pairs)
    chained = {root for root in group if pairs_of[group_of(root)] > 1}
    return chained | {loser for _, loser in pairs}


def _load_profiles(state: BatchState, roots: set[int], losers: set[int], *, is_locked: bool) -> None:
    if is_locked:
        locked = graph.lock_profiles(roots, members_of=losers)
        profiles = {root: locked[root] for root in roots}
        # As they are now that nobody else can change them.
        state.versions |= {pk: locked[pk].version for pk in locked.keys() & state.versions.keys()}
    else:
        profiles = Profile.objects.defer("search").in_bulk(roots)
    state.rows |= profiles
    members: dict[int, list[int]] = {root: [] for root in roots}
    for pk, root in (
        Profile.objects.filter(canonical_id__in=roots).order_by("pk").values_list("pk", "canonical_id")
    ):
        members[root].append(pk)
        state.root_of[pk] = root
    state.members |= members
    if state.rules is None:
        state.rules = all_merge_rules()
    if newest := newest_of(state.rules):
        state.times |= value_times((profiles[root] for root in sorted(profiles)), newest)
    state.counts |= _count_moved({root: members[root] for root in losers})


def _count_moved(members: dict[int, list[int]]) -> dict[int, dict[str, int]]:
    """What each of these profiles would bring along, by kind. One query, each table by its index on the profile."""
    members_flat = [(pk, root) for root, member_ids in members.items() for pk in member_ids]
    tables = [*MEMBER_TABLES.values(), "profiles_event"]
    sums = ", ".join(f"sum((SELECT count(*) FROM {table} WHERE profile_id = m.id))" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT m.root, count(*), {sums} FROM unnest(%s::bigint[], %s::bigint[]) AS m (id, root) GROUP BY 1",
            [[pk for pk, _ in members_flat], [root for _, root in members_flat]],
        )
        return {
            root: dict(zip(MOVED_KINDS, map(int, numbers), strict=True))
            for root, *numbers in cursor.fetchall()
        }


def _load_objections(state: BatchState) -> None:
    """Pairs among these profiles that somebody called different or that carry a veto. Two queries."""
    member_ids = [pk for members in state.members.values() for pk in members]
    Verdict = DuplicatePair.Verdict
    objections = DuplicatePair.objects.filter(a__in=member_ids, b__in=member_ids)
    different = objections.filter(verdict=Verdict.NOT_DUPLICATE).select_related("user", "key")
    vetoed = objections.exclude(veto="").filter(verdict__in=[Verdict.OPEN, Verdict.LATER])
    state.objections = defaultdict(list)
    for pair in [*different.order_by("-decided_at"), *vetoed.order_by("pk")]:
        if pair.verdict == Verdict.NOT_DUPLICATE:
            skip = Skip("not_duplicate", verdicts.sentence(pair))
        else:
            skip = Skip("veto", f"#{pair.a_id} and #{pair.b_id}: {veto_text(pair.veto)}")
        objection = Objection(pair.a_id, pair.b_id, skip)
        for root in {state.current_root(pair.a_id), state.current_root(pair.b_id)}:
            state.objections[root].append(objection)


def _merged_by(job_id: int, ids: Iterable[int]) -> dict[int, int]:
    """How often merges of a job changed each of these profiles. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pk, count(*) FROM (SELECT winner_id AS pk FROM profiles_merge"
            " WHERE job_id = %(job)s AND winner_id = ANY(%(ids)s) UNION ALL SELECT loser_id FROM profiles_merge"
            " WHERE job_id = %(job)s AND loser_id = ANY(%(ids)s)) merged GROUP BY 1",
            {"job": job_id, "ids": list(ids)},
        )
        return dict(cursor.fetchall())
