"""A reviewer's decision about a case (a group of profiles, or a value too many share) → stored and audited."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models.functions import Now

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Invalid, NotFound, RuleForbids, Stale
from cdp.plurals import counted
from profiles.duplicates.finding import clusters
from profiles.editing.block_values import block_value
from profiles.identity import graph
from profiles.journal import REQUEST
from profiles.merging.merge import apply_merge, lock_pair
from profiles.merging.suggest_winner import rank
from profiles.models import DuplicateCase, DuplicatePair, Profile, Source

Kind, State = DuplicateCase.Kind, DuplicateCase.State
# One transaction and one page; more profiles are merged as a batch.
MAX_MERGED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class CaseDecision:
    case_id: int
    state: str
    message: str
    winner_id: int | None = None
    merge_ids: tuple[int, ...] = ()


def find_case(case_id: int) -> DuplicateCase:
    case = (
        DuplicateCase.objects.select_related("weakest", "type", "assignee", "user").filter(pk=case_id).first()
    )
    if case is None:
        raise NotFound(f"There is no case {case_id}.")
    return case


def state_of(case: DuplicateCase, profiles: Sequence[Profile]) -> str:
    """A short hash of what a reviewer of this case saw: its members and their versions."""
    profile_states = sorted((profile.pk, profile.version, profile.status) for profile in profiles)
    return hashlib.sha256(repr((case.pk, case.state, case.members, profile_states)).encode()).hexdigest()[:16]


def case_profiles(case: DuplicateCase) -> list[Profile]:
    """The surviving profiles of the case's members, by id. One query."""
    roots = Profile.objects.filter(pk__in=case.members).values("canonical_id")
    return list(Profile.objects.filter(pk__in=roots).defer("search").order_by("pk"))


def suggested_winner(profiles: Sequence[Profile]) -> int:
    """The profile that should survive, as for a pair: valid e-mail, recognized, active first. No query. 0
    for none.
    """
    return min(profiles, key=rank).pk if profiles else 0


@graph.retried
@transaction.atomic
def merge_case(
    *,
    case_id: int,
    winner_id: int,
    members: Sequence[int] | None = None,
    state: str | None = None,
    actor: Actor,
    source: Source,
) -> CaseDecision:
    """Merge members of a group (None: all) into one of them. If one is refused, none is merged.

    Raises NotFound; Stale when the case is closed or not in ``state``; Invalid for a winner or members that
    are not in the case; RuleForbids as a merge does.
    """
    case, profiles = _lock_case(case_id, Kind.PEOPLE, state)
    chosen = sorted({*(members if members is not None else case.members), winner_id})
    unknown = [profile_id for profile_id in chosen if profile_id not in case.members]
    if unknown:
        raise Invalid([_problem("members", unknown[0], f"#{unknown[0]} is not in this case.")])
    if len(chosen) < 2:
        raise Invalid([_problem("members", chosen, "Choose at least two people to merge.")])
    if len(chosen) > MAX_MERGED_AT_ONCE:
        raise RuleForbids(
            f"At most {MAX_MERGED_AT_ONCE} people are merged at once here; choose fewer, or use a batch."
        )
    merges = [
        apply_merge(lock_pair(winner_id, loser), actor=actor, source=source, cause=REQUEST).merged
        for loser in chosen
        if loser != winner_id
    ]
    if len(chosen) == len(profiles):
        _close(case, State.MERGED, actor)
    clusters.refresh_cases(case.members)
    _record(case, "merge", actor, {"winner_id": winner_id, "members": chosen})
    message = f"{counted(len(merges), 'profiles')} merged into #{winner_id}."
    return CaseDecision(
        case.pk, State.MERGED, message, winner_id, tuple(profile_id.merge_id for profile_id in merges)
    )


@graph.retried
@transaction.atomic
def separate_case(*, case_id: int, state: str | None = None, actor: Actor) -> CaseDecision:
    """All members are different people: every suggested pair within the case becomes *not a duplicate*."""
    case, profiles = _lock_case(case_id, Kind.PEOPLE, state)
    ids = [profile.pk for profile in profiles]
    within = DuplicatePair.objects.filter(a_id__in=ids, b_id__in=ids, verdict__in=["open", "later"])
    count = within.update(
        verdict=DuplicatePair.Verdict.NOT_DUPLICATE,
        user=actor.user_id,
        key=actor.key_id,
        decided_at=Now(),
        later_until=None,
    )
    _close(case, State.NOT_DUPLICATES, actor)
    clusters.refresh_derived(ids)
    _record(case, "separate", actor, {"pairs": count})
    message = f"All {len(ids)} are marked as different people ({count} pairs)."
    return CaseDecision(case.pk, State.NOT_DUPLICATES, message)


@graph.retried
@transaction.atomic
def block_shared(*, case_id: int, actor: Actor) -> CaseDecision:
    """The value no longer identifies anybody, from any source; it stays a contact value where it is."""
    case, _ = _lock_case(case_id, Kind.SHARED_VALUE, None)
    if case.type_id is None:
        raise RuleForbids("No identifier type keeps such values, so there is nothing to block.")
    block_value(type_id=case.type_id, value=case.value, actor=actor)
    _record(case, "block", actor, {"type": case.type.name if case.type else ""})
    return CaseDecision(
        case.pk, State.BLOCKED, f"{case.type} {case.value} is blocked: it identifies nobody from now on."
    )


@graph.retried
@transaction.atomic
def leave_shared(*, case_id: int, actor: Actor) -> CaseDecision:
    """The value is a household's or company's: it merges nobody, and is not suggested again."""
    case, _ = _lock_case(case_id, Kind.SHARED_VALUE, None)
    _close(case, State.SHARED, actor)
    _record(case, "leave_shared", actor, {})
    return CaseDecision(case.pk, State.SHARED, f"{case.value} is left as a value several people share.")


def _lock_case(case_id: int, kind: str, state: str | None) -> tuple[DuplicateCase, list[Profile]]:
    graph.lock_graph()
    DuplicateCase.objects.select_for_update().filter(pk=case_id).first()
    case = find_case(case_id)
    if case.kind != kind:
        raise RuleForbids(
            f"Case {case_id} is about {'people' if case.kind == Kind.PEOPLE else 'a shared value'}."
        )
    if case.state != State.OPEN:
        raise Stale(f"Case {case_id} is closed: {case.get_state_display().lower()}.")
    profiles = case_profiles(case) if kind == Kind.PEOPLE else []
    if state is not None and state != state_of(case, profiles):
        raise Stale("Somebody in this case changed since you looked. Nothing was done; look again.")
    return case, profiles


def _close(case: DuplicateCase, state: str, actor: Actor) -> None:
    DuplicateCase.objects.filter(pk=case.pk).update(
        state=state, user=actor.user_id, key=actor.key_id, decided_at=Now(), updated_at=Now()
    )


def _record(case: DuplicateCase, action: str, actor: Actor, detail: dict[str, object]) -> None:
    audit.record(f"duplicate.case.{action}", actor=actor, subject=f"case:{case.pk}", detail=detail)


def _problem(field: str, value: object, message: str) -> dict[str, object]:
    return {"field": field, "value": value, "message": message}
