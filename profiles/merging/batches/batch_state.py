"""The people some pairs are about, in memory, joined there one pair after another. Playing is pure; loading is not.

What a preview shows and what a batch does is the same playing: the preview loads without locks and writes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import connection

from profiles.identity import graph
from profiles.merging.locking import ITSELF, TABLES, already_one, refusal, unknown
from profiles.merging.merge_plan import Joined, join
from profiles.models import DuplicatePair, MergeBatchRow, Profile
from profiles.pairs import verdicts
from profiles.pairs.vetoes import veto_text

KINDS = ("profiles", *TABLES, "events")
# Why a pair is skipped, or not taken back all the way, in words for a list of counts.
CODES = {
    "itself": "the same profile twice",
    "missing": "no such profile",
    "one": "one person already",
    "gone": "deleted, erased or anonymized",
    "locked": "locked against merging",
    "not_duplicate": "somebody said: not duplicates",
    "veto": "something speaks against it",
    "changed": "changed since the preview",
    "off": "automatic merging was switched off",
    "stays": "undone, but for what was changed since",
    "before": "undone before",
}


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a pair is left out: a word of CODES, and the sentence."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Objection:
    """What speaks against joining whoever has ``a`` and whoever has ``b``."""

    a: int
    b: int
    why: Skip


@dataclass(slots=True)
class Crowd:
    """``start`` is each known profile's root before the playing, ``above`` whom a root was merged into since.

    ``versions`` are those the rows had before this batch touched them.
    """

    start: dict[int, int] = field(default_factory=dict)
    above: dict[int, int] = field(default_factory=dict)
    rows: dict[int, Profile] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)
    counts: dict[int, dict[str, int]] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    against: dict[int, list[Objection]] = field(default_factory=lambda: defaultdict(list))

    def top(self, profile_id: int) -> int:
        """The surviving profile as the playing stands."""
        root = self.start[profile_id]
        while root in self.above:
            root = self.above[root]
        return root

    # --- Playing ----------------------------------------------------------------------------------------

    def play(self, row: MergeBatchRow) -> Joined | Skip:
        """Join the pair in memory, or say why not."""
        asked = (row.winner_id, row.loser_id)
        if asked[0] == asked[1]:
            return Skip("itself", ITSELF)
        for wanted in asked:
            if wanted not in self.start:
                return Skip("missing", unknown(wanted))
        winner_id, loser_id = map(self.top, asked)
        if winner_id == loser_id:
            return Skip("one", already_one(*asked, winner_id))
        for root in (winner_id, loser_id):
            if sentence := refusal(self.rows[root]):
                return Skip("locked" if self.rows[root].is_live else "gone", sentence)
        if objection := self._objection(winner_id, loser_id):
            return objection.why
        if self._is_stale(row):
            return Skip("changed", f"Profile #{asked[0]} or #{asked[1]} changed since the preview.")
        return self._join(winner_id, loser_id)

    def _objection(self, winner_id: int, loser_id: int) -> Objection | None:
        sides = {winner_id, loser_id}
        for objection in self.against.get(loser_id, ()):
            if {self.top(objection.a), self.top(objection.b)} == sides:
                return objection
        return None

    def _is_stale(self, row: MergeBatchRow) -> bool:
        seen = ((row.winner_id, row.winner_version), (row.loser_id, row.loser_version))
        return any(version is not None and self.versions[pk] != version for pk, version in seen)

    def _join(self, winner_id: int, loser_id: int) -> Joined:
        moved = dict(self.counts[loser_id])
        joined = join(self.rows[winner_id], self.rows[loser_id], {}, moved)
        self.above[loser_id] = winner_id
        self.members[winner_id] += self.members.pop(loser_id)
        self.against[winner_id] += self.against.pop(loser_id, [])
        if winner_id in self.counts:
            own = self.counts[winner_id]
            self.counts[winner_id] = {kind: own[kind] + moved[kind] for kind in KINDS}
        return joined


# --- Loading --------------------------------------------------------------------------------------------


def load(rows: Sequence[MergeBatchRow], *, is_locked: bool, job_id: int | None = None) -> Crowd:
    """Everybody these pairs are about, as they are now. Some queries for any number of pairs.

    With ``is_locked`` the graph and the rows are held until the transaction ends, and versions are told without
    what the merges of job ``job_id`` added.
    """
    crowd = Crowd()
    if is_locked:
        graph.lock_graph()
    add(crowd, rows, is_locked=is_locked)
    if job_id is not None and any(row.winner_version is not None for row in rows):
        for pk, count in _merged_by(job_id, crowd.versions).items():
            crowd.versions[pk] -= count
    return crowd


def add(crowd: Crowd, rows: Sequence[MergeBatchRow], *, is_locked: bool = False) -> set[int]:
    """Load whom these pairs name and the crowd does not know yet; the new roots."""
    asked = {pk for row in rows for pk in (row.winner_id, row.loser_id)} - crowd.versions.keys()
    found = Profile.objects.filter(pk__in=asked).values_list("pk", "canonical_id", "version")
    for pk, root, version in found:
        crowd.start[pk], crowd.versions[pk] = root, version
    fresh = {crowd.start[pk] for pk in asked if pk in crowd.start} - crowd.rows.keys() - crowd.above.keys()
    if fresh:
        _add_people(crowd, fresh, _may_lose(crowd, rows) & fresh if is_locked else fresh, is_locked=is_locked)
    _set_objections(crowd)
    return fresh


def _may_lose(crowd: Crowd, rows: Iterable[MergeBatchRow]) -> set[int]:
    """Roots that some pair may merge away: losers, and everybody in a chain of several pairs."""
    known = [
        (crowd.start[row.winner_id], crowd.start[row.loser_id])
        for row in rows
        if row.winner_id in crowd.start and row.loser_id in crowd.start
    ]
    group: dict[int, int] = {}

    def top(one: int) -> int:
        group.setdefault(one, one)
        while group[one] != one:
            group[one] = group[group[one]]
            one = group[one]
        return one

    for winner, loser in known:
        group[top(loser)] = top(winner)
    pairs_of = Counter(top(winner) for winner, _ in known)
    chained = {root for root in group if pairs_of[top(root)] > 1}
    return chained | {loser for _, loser in known}


def _add_people(crowd: Crowd, roots: set[int], losers: set[int], *, is_locked: bool) -> None:
    if is_locked:
        held = graph.lock_profiles(roots, members_of=losers)
        people = {root: held[root] for root in roots}
        # As they are now that nobody else can change them.
        crowd.versions |= {pk: held[pk].version for pk in held.keys() & crowd.versions.keys()}
    else:
        people = Profile.objects.defer("search").in_bulk(roots)
    crowd.rows |= people
    members: dict[int, list[int]] = {root: [] for root in roots}
    for pk, root in (
        Profile.objects.filter(canonical_id__in=roots).order_by("pk").values_list("pk", "canonical_id")
    ):
        members[root].append(pk)
        crowd.start[pk] = root
    crowd.members |= members
    crowd.counts |= _counted({root: members[root] for root in losers})


def _counted(members: dict[int, list[int]]) -> dict[int, dict[str, int]]:
    """What each of these people would bring along, by kind. One query, each table by its index on the profile."""
    flat = [(pk, root) for root, all_of_it in members.items() for pk in all_of_it]
    tables = [*TABLES.values(), "profiles_event"]
    sums = ", ".join(f"sum((SELECT count(*) FROM {table} WHERE profile_id = m.id))" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT m.root, count(*), {sums} FROM unnest(%s::bigint[], %s::bigint[]) AS m (id, root) GROUP BY 1",
            [[pk for pk, _ in flat], [root for _, root in flat]],
        )
        return {
            root: dict(zip(KINDS, map(int, numbers), strict=True)) for root, *numbers in cursor.fetchall()
        }


def _set_objections(crowd: Crowd) -> None:
    """Pairs among the crowd that were called different or carry a veto. One query."""
    everybody = [pk for members in crowd.members.values() for pk in members]
    verdict, against = DuplicatePair.Verdict, DuplicatePair.objects.filter(a__in=everybody, b__in=everybody)
    said = against.filter(verdict=verdict.NOT_DUPLICATE).select_related("user", "key")
    vetoed = against.exclude(veto="").filter(verdict__in=[verdict.OPEN, verdict.LATER])
    crowd.against = defaultdict(list)
    for pair in [*said.order_by("-decided_at"), *vetoed.order_by("pk")]:
        if pair.verdict == verdict.NOT_DUPLICATE:
            why = Skip("not_duplicate", verdicts.sentence(pair))
        else:
            why = Skip("veto", f"#{pair.a_id} and #{pair.b_id}: {veto_text(pair.veto)}")
        objection = Objection(pair.a_id, pair.b_id, why)
        for root in {crowd.top(pair.a_id), crowd.top(pair.b_id)}:
            crowd.against[root].append(objection)


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
