"""Double opt-in: an identifier that waited is confirmed by its owner, and only then leads somewhere (I9)."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from cdp import audit, webhooks
from cdp.actors import Actor
from cdp.errors import Conflict, Forbidden, Invalid, NotFound, Stale
from profiles.editing.identifiers import (
    CleanIdentifier,
    check_limits,
    clean_identifiers,
    refresh_recognized,
)
from profiles.editing.locking import lock_root, touch
from profiles.identity import graph
from profiles.identity.resolve import find_profile, resolve
from profiles.identity.types import identifier_types
from profiles.journal import REQUEST, Cause, Entry, record
from profiles.merging.merge import merge_profiles
from profiles.models import Change, Identifier, Profile, Source
from profiles.pairs.suggestions import suggest
from profiles.pairs.verdicts import objection

APPLIED, MERGED, CONFLICT, UNCHANGED = "applied", "merged", "conflict", "unchanged"
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Confirmed:
    """``profile`` is the surviving profile; ``outcome`` is applied, merged, conflict or unchanged.

    ``message`` is the sentence about it for people.
    """

    identifier: Identifier
    profile: Profile
    merged: bool
    outcome: str
    message: str


@dataclass(frozen=True, slots=True)
class _Asking:
    """Who asks, and through which door."""

    actor: Actor
    source: Source
    cause: Cause
    may_merge: bool


@graph.retried
@transaction.atomic
def confirm_identifier(
    *,
    profile_id: int,
    type_name: str,
    raw: str,
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
    may_merge: bool = True,
) -> Confirmed:
    """The owner of a value this person holds proved that it is theirs: it is verified, and waits no longer.

    A free value leads here from now on. One that leads to somebody else joins the two when one of them is
    anonymous; the recognized one survives. Two recognized people, locked ones and ones that somebody decided
    are not duplicates stay apart: the value is kept here for contact, and the outcome is a conflict. Doing it
    twice changes nothing the second time.

    Raises NotFound when the person does not hold the value, RuleForbids for too many of a type, Invalid;
    Forbidden when two profiles would be joined and ``may_merge`` is False.
    """
    # Before any row: whoever merges takes the graph first, too.
    graph.lock_graph()
    item = _clean(type_name, raw)
    asking = _Asking(actor, source, cause, may_merge)
    for _ in range(_ATTEMPTS):
        root = find_profile(profile_id).root
        row = _held(root, item, raw)
        hit = resolve([item.pair]).get(item.pair) if item.spec.row.is_unique else None
        if hit is not None and hit.root_id != root.pk:
            return _with_other(root, row, hit.root_id, item, asking)
        try:
            with transaction.atomic():
                return _here(root, row, item, asking, is_led=hit is not None)
        except IntegrityError:  # somebody took the value in this very moment
            continue
    raise Stale(f"{item.spec.row} {item.value} is being taken by somebody right now. Try again.")


def confirm_waiting(
    *, type_name: str, raw: str, actor: Actor, source: Source, cause: Cause = REQUEST
) -> Confirmed:
    """Confirm a value at the one person it waits at; at whom it was confirmed before when it waits no more.

    Raises NotFound when it waits nowhere, Conflict naming how many when several people wait for it.
    """
    item = _clean(type_name, raw)
    rows = Identifier.objects.filter(
        type=item.spec.row, value=item.value, profile__canonical__status=Profile.Status.LIVE
    )
    held = list(rows.values_list("profile__canonical_id", "is_pending", "is_verified"))
    waiting = {root for root, is_pending, _ in held if is_pending}
    if len(waiting) > 1:
        raise Conflict(
            f"{len(waiting)} people wait for {type_name} “{raw}” to be confirmed."
            " Confirm it at one of them: /profiles/{id}/identifiers/{type}/{value}/confirm/."
        )
    done = {root for root, _, is_verified in held if is_verified}
    found = waiting or (done if len(done) == 1 else set())
    if not found:
        raise NotFound(f"Nobody waits for {type_name} “{raw}” to be confirmed.")
    return confirm_identifier(
        profile_id=found.pop(), type_name=type_name, raw=raw, actor=actor, source=source, cause=cause
    )


def _clean(type_name: str, raw: str) -> CleanIdentifier:
    found, blocked = clean_identifiers([(type_name, raw)], identifier_types())
    if blocked:
        raise Invalid([{"field": type_name, "value": raw, "message": blocked[0]}])
    return found[0]


def _held(root: Profile, item: CleanIdentifier, raw: str) -> Identifier:
    """The row to confirm; one that waits before others the person has of the same value."""
    rows = Identifier.objects.of_people(root.pk).filter(type=item.spec.row, value=item.value)
    row = rows.select_related("type").order_by("-is_pending", "-resolves", "pk").first()
    if row is None:
        raise NotFound(f"Profile #{root.pk} has no {item.spec.name} “{raw}” to confirm.")
    return row


# --- The value is free, or leads here ----------------------------------------------------------------------


def _here(
    root: Profile, row: Identifier, item: CleanIdentifier, asking: _Asking, *, is_led: bool
) -> Confirmed:
    root = lock_root(root.pk)
    leads = item.spec.row.is_unique and not is_led
    if leads:
        check_limits([item], root_id=root.pk)
    is_changed = row.is_pending or not row.is_verified or (leads and not row.resolves)
    if is_changed:
        _write(row, root, item, resolves=row.resolves or leads)
        _tell(root, row, asking)
    _verify_all(root, item)
    if not is_changed:
        return Confirmed(row, root, False, UNCHANGED, f"{row.type} {row.value} was confirmed before.")
    return Confirmed(row, _again(root), False, APPLIED, f"{row.type} {row.value} is confirmed.")


def _write(row: Identifier, root: Profile, item: CleanIdentifier, *, resolves: bool) -> None:
    row.is_pending, row.is_verified, row.resolves = False, True, resolves
    Identifier.objects.filter(pk=row.pk).update(
        is_pending=False, is_verified=True, resolves=resolves, last_seen_at=Now()
    )


def _verify_all(root: Profile, item: CleanIdentifier) -> None:
    """The same value on other members of the person is as good as this one."""
    rows = Identifier.objects.of_people(root.pk).filter(type=item.spec.row, value=item.value)
    rows.exclude(is_pending=False, is_verified=True).update(is_pending=False, is_verified=True)


def _again(root: Profile) -> Profile:
    return Profile.objects.defer("search").get(pk=root.pk)


# --- The value leads to somebody else ----------------------------------------------------------------------


def _with_other(
    root: Profile, row: Identifier, other_id: int, item: CleanIdentifier, asking: _Asking
) -> Confirmed:
    held = graph.lock_profiles([root.pk, other_id])
    root, other = held[root.pk], held[other_id]
    if why := _apart(root, other):
        return _keep_apart(root, row, other, item, why, asking)
    if not asking.may_merge:
        raise Forbidden(
            f"{row.type} {row.value} leads to #{other.pk}: confirming it joins the two, and you may not merge."
        )
    winner, loser = (other, root) if other.is_recognized and not root.is_recognized else (root, other)
    done = merge_profiles(
        winner_id=winner.pk,
        loser_id=loser.pk,
        actor=asking.actor,
        source=asking.source,
        cause=asking.cause,
    )
    # The value goes on leading by the row it led by before, so that an undo gives each what was theirs.
    _write(row, done.winner, item, resolves=False)
    _verify_all(done.winner, item)
    _tell(done.winner, row, asking)
    said = f"{row.type} {row.value} is confirmed; #{loser.pk} was joined into #{winner.pk}, who had it."
    if winner.pk == root.pk:
        said = f"{row.type} {row.value} is confirmed; #{loser.pk}, who had it, was joined into #{winner.pk}."
    return Confirmed(row, _again(done.winner), True, MERGED, said)


def _apart(root: Profile, other: Profile) -> str:
    """Why these two are not joined, or ""."""
    for profile in (root, other):
        if profile.is_locked:
            return f"#{profile.pk} is locked against merging"
    if sentence := objection(root.pk, other.pk):
        return sentence.rstrip(".")
    return (
        "two people are never joined by a confirmation" if root.is_recognized and other.is_recognized else ""
    )


def _keep_apart(
    root: Profile, row: Identifier, other: Profile, item: CleanIdentifier, why: str, asking: _Asking
) -> Confirmed:
    if row.is_pending or not row.is_verified:
        _write(row, root, item, resolves=False)
        _tell(root, row, asking)
        _suggest(root, other, row, asking.source)
    said = (
        f"{row.type} {row.value} leads to #{other.pk}, and {why}."
        f" It was confirmed and kept at #{root.pk} for contact only."
    )
    return Confirmed(row, _again(root), False, CONFLICT, said)


def _suggest(root: Profile, other: Profile, row: Identifier, source: Source) -> None:
    """Whoever decides about duplicates sees the two."""
    low, high = sorted((root.pk, other.pk))
    reason = {
        "code": "shared_identifier",
        "type": row.type.name,
        "value": row.value,
        "source": source.name,
        "text": f"Both hold the {row.type.name} {row.value}; #{root.pk} confirmed it.",
    }
    suggest({(low, high): reason})


def _tell(root: Profile, row: Identifier, asking: _Asking) -> None:
    refresh_recognized([root.pk])
    touch(root)
    entry = Entry(root.pk, Change.Kind.UPDATED, {"confirmed": [[], [str(row)]]}, via_id=row.profile_id)
    record(entry=entry, actor=asking.actor, source=asking.source, cause=asking.cause)
    audit.record("profile.confirm", actor=asking.actor, subject=f"profile:{root.pk}")
    payload = {"profile_id": root.pk, "fields": ["identifiers"]}
    webhooks.publish("profile.updated", profile_id=root.pk, payload=payload)
