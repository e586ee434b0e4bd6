"""Profile ids → who is merged into whom: the lock around that graph, its pointers, and the trees they make.

Every change of the graph takes one advisory lock until its transaction ends, then the rows it changes
``FOR NO KEY UPDATE`` in a fixed order. Events and identifiers come in without either (``FOR NO KEY UPDATE``
lets foreign keys through), so ingest never waits for a merge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from psycopg.errors import DeadlockDetected, SerializationFailure

from cdp.errors import Stale
from cdp.locks import Lock, take
from cdp.sql import run
from profiles import sql
from profiles.models import Identifier, IdentifierType, Merge, Profile

_ATTEMPTS = 3

P = ParamSpec("P")
R = TypeVar("R")


def retried(verb: Callable[P, R]) -> Callable[P, R]:
    """Repeat a verb that lost a deadlock or a serialization race, three times in all; then Stale (409).

    Wraps a verb that is atomic itself: inside a caller's transaction its savepoint gives the locks back.
    """

    @wraps(verb)
    def repeated(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(_ATTEMPTS):
            try:
                return verb(*args, **kwargs)
            except OperationalError as error:
                if not isinstance(error.__cause__, (DeadlockDetected, SerializationFailure)):
                    raise
        raise Stale("These profiles are being changed by others right now. Nothing was done; try again.")

    return repeated


def lock_graph() -> None:
    """Be the only one to change the graph until the transaction (or savepoint) ends. One query."""
    take(Lock.MERGE_GRAPH)


def roots_of(ids: Iterable[int]) -> dict[int, int]:
    """``{id: root id}`` of every id that exists. One query; final only under ``lock_graph``."""
    return dict(Profile.objects.filter(pk__in=set(ids)).values_list("pk", "canonical_id"))


def lock_profiles(ids: Iterable[int], *, members_of: Iterable[int] = ()) -> dict[int, Profile]:
    """These rows (and all members of some roots), locked until the transaction ends, as they are now. One query.

    Merged rows before surviving ones, each in id order: whoever locked a profile that was merged away while
    they waited has locked the merged row and goes on to the survivor, so nobody may wait for it the other way round.
    """
    condition = Q(pk__in=set(ids))
    if root_ids := set(members_of):
        condition |= Q(canonical_id__in=root_ids)
    is_root = Case(When(canonical_id=F("pk"), then=Value(1)), default=Value(0))
    rows = Profile.objects.filter(condition).order_by(is_root, "pk").defer("search")
    return {row.pk: row for row in rows.select_for_update(no_key=True)}


def absorb(losers: Mapping[int, int]) -> None:
    """``{loser: winner}``: each loser and everything merged into it points at its winner. One statement.

    The loser's row counts the change; rows merged into it before only point elsewhere.
    """
    run(
        f"""
        UPDATE {sql.PROFILES} p
        SET canonical_id = m.winner, status = '{Profile.Status.MERGED}', version = p.version + (p.id = m.loser)::int,
            updated_at = CASE WHEN p.id = m.loser THEN now() ELSE p.updated_at END
        FROM unnest(%(loser)b::bigint[], %(winner)b::bigint[]) AS m (loser, winner) WHERE p.canonical_id = m.loser
        """,
        {"loser": list(losers), "winner": list(losers.values())},
    )


def release(subtrees: Mapping[int, Iterable[int]]) -> None:
    """``{loser: the ids of its subtree}``: each loser is the root of itself and of what is merged into it again. One statement."""
    root_of = {pk: loser for loser, subtree in subtrees.items() for pk in subtree}
    run(
        f"""
        UPDATE {sql.PROFILES} p SET canonical_id = s.loser,
            status = CASE WHEN p.id = s.loser THEN '{Profile.Status.LIVE}' ELSE p.status END,
            version = p.version + (p.id = s.loser)::int,
            updated_at = CASE WHEN p.id = s.loser THEN now() ELSE p.updated_at END
        FROM unnest(%(id)b::bigint[], %(loser)b::bigint[]) AS s (id, loser) WHERE p.id = s.id
        """,
        {"id": list(root_of), "loser": list(root_of.values())},
    )


def active_merges(root_ids: Iterable[int]) -> dict[int, list[Merge]]:
    """The edges below these roots, oldest first. One query."""
    edges = Merge.objects.active().filter(loser__canonical_id__in=list(root_ids))
    merges: dict[int, list[Merge]] = defaultdict(list)
    for edge in edges.annotate(root_id=F("loser__canonical_id")).order_by("pk"):
        merges[edge.root_id].append(edge)
    return merges


def subtree_of(loser_id: int, winner_of: Mapping[int, int]) -> set[int]:
    """The loser and everything merged into it, by ``{loser: winner}``. Pure."""
    losers_of = defaultdict(list)
    for loser, winner in winner_of.items():
        losers_of[winner].append(loser)
    subtree = {loser_id}
    queue = [loser_id]
    while queue:
        for child in losers_of[queue.pop()]:
            subtree.add(child)
            queue.append(child)
    return subtree


def path_to_root(start_id: int, winner_of: Mapping[int, int]) -> list[int]:
    """``start_id`` and its winners up to the root, by ``{loser: winner}``. Pure."""
    path = [start_id]
    while (winner := winner_of.get(path[-1])) is not None:
        path.append(winner)
    return path


def refresh_recognized(root_ids: Iterable[int]) -> None:
    """Set ``is_recognized`` of these roots from the identifiers of their members. One statement; only real changes."""
    main = Identifier.objects.filter(
        profile__canonical_id=OuterRef("pk"),
        resolves=True,
        type__is_main=True,
        type__is_unique=True,
        type__strength=IdentifierType.Strength.HARD,
    )
    wrong = Profile.objects.filter(~Q(is_recognized=Exists(main)), pk__in=list(root_ids))
    wrong.update(is_recognized=Exists(main))
