"""An identifier that waits, and its owner's confirmation → the identifier verified, resolving, its profile merged."""

from __future__ import annotations

from collections.abc import Sequence
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
)
from profiles.editing.locking import lock_root, touch
from profiles.identity import graph
from profiles.identity.graph import refresh_recognized
from profiles.identity.lookup import find_profile, resolve
from profiles.identity.types import identifier_types
from profiles.journal import REQUEST, Cause, Entry, record
from profiles.merging.merge import merge_profiles
from profiles.models import Change, Identifier, Profile, Source
from profiles.pairs.suggestions import suggest
from profiles.pairs.verdicts import objection

APPLIED, MERGED, CONFLICT, UNCHANGED = "applied", "merged", "conflict", "unchanged"
_ATTEMPTS = 3
# More browsers than this wait for nobody's address: somebody sends it again and again.
MAX_WAITING = 50


@dataclass(frozen=True, slots=True)
class ConfirmedIdentifier:
    """``profile`` is the surviving profile; ``outcome`` is applied, merged, conflict or unchanged.

    ``message`` is a sentence about it.
    """

    identifier: Identifier
    profile: Profile
    merged: bool
    outcome: str
    message: str


@dataclass(frozen=True, slots=True)
class _Confirmation:
    """Who confirms, from which source, and whether they may merge."""

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
) -> ConfirmedIdentifier:
    """The owner of a value on this profile proved that it is theirs: it is verified, and waits no longer.

    A free value resolves to this profile from now on. One of another profile merges the two when one of them is
    anonymous; the recognized one survives. Two recognized profiles, locked ones and ones that somebody decided
    are not duplicates stay apart: the value is kept here for contact, and the outcome is a conflict. Doing it
    twice changes nothing the second time.

    Raises NotFound when the profile does not have the value, RuleForbids for too many of a type, Invalid;
    Forbidden when two profiles would be merged and ``may_merge`` is False.
    """
    # Before any row: whoever merges takes the graph first, too.
    graph.lock_graph()
    item = _clean(type_name, raw)
    confirmation = _Confirmation(actor, source, cause, may_merge)
    for _ in range(_ATTEMPTS):
        root = find_profile(profile_id).root
        row = _row_to_confirm(root, item, raw)
        resolved = resolve([item.pair]).get(item.pair) if item.spec.row.is_unique else None
        if resolved is not None and resolved.root_id != root.pk:
            return _confirm_against(root, row, resolved.root_id, item, confirmation)
        try:
            with transaction.atomic():
                return _confirm_here(root, row, item, confirmation, resolves_here=resolved is not None)
        except IntegrityError:  # somebody took the value in this very moment
            continue
    raise Stale(f"{item.spec.row} {item.value} is being added to another profile right now. Try again.")


@graph.retried
@transaction.atomic
def confirm_waiting(
    *, type_name: str, raw: str, actor: Actor, source: Source, cause: Cause = REQUEST
) -> ConfirmedIdentifier:
    """Confirm a value wherever it waits; on the profile it was confirmed on when it waits no more.

    Its owner proved that it is theirs, so all who wait for it become one, as far as ``confirm_identifier`` merges
    them: recognized ones first, then the oldest. The outcome is of the profile that has it then; the message is about
    each. Raises NotFound when it waits nowhere, Conflict where more wait than one person has browsers.
    """
    graph.lock_graph()
    item = _clean(type_name, raw)
    rows = Identifier.objects.filter(
        type=item.spec.row, value=item.value, profile__canonical__status=Profile.Status.LIVE
    ).order_by("-profile__canonical__is_recognized", "profile__canonical_id")
    holders = list(rows.values_list("profile__canonical_id", "is_pending", "is_verified"))
    waiting = list(dict.fromkeys(root for root, is_pending, _ in holders if is_pending))
    if len(waiting) > MAX_WAITING:
        raise Conflict(
            f"{len(waiting):,} people wait for {type_name} “{raw}” to be confirmed, more than one person has browsers."
            " Confirm it at one of them: /profiles/{id}/identifiers/{type}/{value}/confirm/."
        )
    confirmed = list(dict.fromkeys(root for root, _, is_verified in holders if is_verified))
    roots = waiting or (confirmed if len(confirmed) == 1 else [])
    if not roots:
        raise NotFound(f"Nobody waits for {type_name} “{raw}” to be confirmed.")
    done = [
        confirm_identifier(
            profile_id=root, type_name=type_name, raw=raw, actor=actor, source=source, cause=cause
        )
        for root in roots
    ]
    return _combined(done)


def _combined(done: Sequence[ConfirmedIdentifier]) -> ConfirmedIdentifier:
    """What one confirmation did at several profiles, told of the one that has the value in the end."""
    if len(done) == 1:
        return done[0]
    outcomes = [one.outcome for one in done]
    outcome = next((wanted for wanted in (MERGED, APPLIED, CONFLICT) if wanted in outcomes), UNCHANGED)
    last = next((one for one in reversed(done) if one.outcome in (MERGED, APPLIED)), done[0])
    messages = dict.fromkeys(one.message for one in done)
    return ConfirmedIdentifier(last.identifier, last.profile, MERGED in outcomes, outcome, " ".join(messages))


def _clean(type_name: str, raw: str) -> CleanIdentifier:
    cleaned, blocked = clean_identifiers([(type_name, raw)], identifier_types())
    if blocked:
        raise Invalid([{"field": type_name, "value": raw, "message": blocked[0]}])
    return cleaned[0]


def _row_to_confirm(root: Profile, item: CleanIdentifier, raw: str) -> Identifier:
    """The row to confirm; one that waits before others the profile has of the same value."""
    rows = Identifier.objects.of_profiles(root.pk).filter(type=item.spec.row, value=item.value)
    row = rows.select_related("type").order_by("-is_pending", "-resolves", "pk").first()
    if row is None:
        raise NotFound(f"Profile #{root.pk} has no {item.spec.name} “{raw}” to confirm.")
    return row


# --- The value is free, or resolves here ----------------------------------------------------------------------


def _confirm_here(
    root: Profile, row: Identifier, item: CleanIdentifier, confirmation: _Confirmation, *, resolves_here: bool
) -> ConfirmedIdentifier:
    root = lock_root(root.pk)
    may_resolve = item.spec.row.is_unique and not resolves_here
    if may_resolve:
        check_limits([item], root_id=root.pk)
    is_changed = row.is_pending or not row.is_verified or (may_resolve and not row.resolves)
    if is_changed:
        _write(row, root, item, resolves=row.resolves or may_resolve)
        _record_confirmation(root, row, confirmation)
    _verify_all(root, item)
    if not is_changed:
        return ConfirmedIdentifier(
            row, root, False, UNCHANGED, f"{row.type} {row.value} was confirmed before."
        )
    return ConfirmedIdentifier(row, _reload(root), False, APPLIED, f"{row.type} {row.value} is confirmed.")


def _write(row: Identifier, root: Profile, item: CleanIdentifier, *, resolves: bool) -> None:
    row.is_pending, row.is_verified, row.resolves = False, True, resolves
    Identifier.objects.filter(pk=row.pk).update(
        is_pending=False, is_verified=True, resolves=resolves, last_seen_at=Now()
    )


def _verify_all(root: Profile, item: CleanIdentifier) -> None:
    """The same value on other members of the profile is as good as this one."""
    rows = Identifier.objects.of_profiles(root.pk).filter(type=item.spec.row, value=item.value)
    rows.exclude(is_pending=False, is_verified=True).update(is_pending=False, is_verified=True)


def _reload(root: Profile) -> Profile:
    return Profile.objects.defer("search").get(pk=root.pk)


# --- The value resolves to another profile ----------------------------------------------------------------------


def _confirm_against(
    root: Profile, row: Identifier, owner_id: int, item: CleanIdentifier, confirmation: _Confirmation
) -> ConfirmedIdentifier:
    locked = graph.lock_profiles([root.pk, owner_id])
    root, owner = locked[root.pk], locked[owner_id]
    if why := _reason_to_keep_apart(root, owner):
        return _keep_apart(root, row, owner, item, why, confirmation)
    if not confirmation.may_merge:
        raise Forbidden(
            f"{row.type} {row.value} belongs to #{owner.pk}: confirming it would merge the two, and you may not merge."
        )
    winner, loser = (owner, root) if owner.is_recognized and not root.is_recognized else (root, owner)
    merged = merge_profiles(
        winner_id=winner.pk,
        loser_id=loser.pk,
        actor=confirmation.actor,
        source=confirmation.source,
        cause=confirmation.cause,
    )
    # The value goes on resolving by the row it resolved by before, so that an undo gives each what was theirs.
    _write(row, merged.winner, item, resolves=False)
    _verify_all(merged.winner, item)
    _record_confirmation(merged.winner, row, confirmation)
    message = f"{row.type} {row.value} is confirmed; #{loser.pk} was merged into #{winner.pk}, who had it."
    if winner.pk == root.pk:
        message = (
            f"{row.type} {row.value} is confirmed; #{loser.pk}, who had it, was merged into #{winner.pk}."
        )
    return ConfirmedIdentifier(row, _reload(merged.winner), True, MERGED, message)


def _reason_to_keep_apart(root: Profile, owner: Profile) -> str:
    """Why these two are not merged, or ""."""
    for profile in (root, owner):
        if profile.is_locked:
            return f"#{profile.pk} is locked against merging"
    if sentence := objection(root.pk, owner.pk):
        return sentence.rstrip(".")
    return (
        "a confirmation never merges two recognized people"
        if root.is_recognized and owner.is_recognized
        else ""
    )


def _keep_apart(
    root: Profile,
    row: Identifier,
    owner: Profile,
    item: CleanIdentifier,
    why: str,
    confirmation: _Confirmation,
) -> ConfirmedIdentifier:
    if row.is_pending or not row.is_verified:
        _write(row, root, item, resolves=False)
        _record_confirmation(root, row, confirmation)
        _suggest_duplicate(root, owner, row, confirmation.source)
    message = (
        f"{row.type} {row.value} belongs to #{owner.pk}, and {why}."
        f" It was confirmed and kept at #{root.pk} for contact only."
    )
    return ConfirmedIdentifier(row, _reload(root), False, CONFLICT, message)


def _suggest_duplicate(root: Profile, owner: Profile, row: Identifier, source: Source) -> None:
    """Whoever decides about duplicates sees the two."""
    low, high = sorted((root.pk, owner.pk))
    reason = {
        "code": "shared_identifier",
        "type": row.type.name,
        "value": row.value,
        "source": source.name,
        "text": f"Both hold the {row.type.name} {row.value}; #{root.pk} confirmed it.",
    }
    suggest({(low, high): reason})


def _record_confirmation(root: Profile, row: Identifier, confirmation: _Confirmation) -> None:
    refresh_recognized([root.pk])
    touch(root)
    entry = Entry(root.pk, Change.Kind.UPDATED, {"confirmed": [[], [str(row)]]}, via_id=row.profile_id)
    record(entry=entry, actor=confirmation.actor, source=confirmation.source, cause=confirmation.cause)
    audit.record("profile.confirm", actor=confirmation.actor, subject=f"profile:{root.pk}")
    payload = {"profile_id": root.pk, "fields": ["identifiers"]}
    webhooks.publish("profile.updated", profile_id=root.pk, payload=payload)
