"""Ids of people → the people deleted, each with everybody merged into them.

A deleted person is out of every list, count and look-up, and their identifiers are free for others; the rows
stay, so a deletion can be taken back (``restore``). Erasing for ever is something else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from django.db import connection, models, transaction
from django.db.models import F
from django.db.models.functions import Now

from cdp import audit, personal_data_registry, webhooks
from cdp.actors import Actor
from cdp.errors import NotFound, RuleForbids, Stale
from profiles.identity.graph import retried
from profiles.journal import REQUEST, Cause, Entry, record_many
from profiles.models import Change, Profile, Source

MAX_NOTE = 500


class DeleteReason(models.TextChoices):
    """Why somebody is deleted. Only the choice goes into the audit log, which is never rewritten."""

    REQUEST = "request", "They asked for it"
    TEST = "test", "A test, or nobody real"
    DUPLICATE = "duplicate", "Entered twice"
    UNUSED = "unused", "No longer needed"
    OTHER = "other", "Another reason"


def read_reason(reason: str, note: str = "") -> tuple[str, str]:
    """A reason and a note as they were sent → the choice, and the text kept beside it. Text that is no choice is *other*."""
    reason, note = reason.strip(), note.strip()
    if reason in DeleteReason.values:
        return reason, note[:MAX_NOTE]
    text = "; ".join(filter(None, (reason, note)))[:MAX_NOTE]
    return (DeleteReason.OTHER.value if text else ""), text


_DELETABLE = (Profile.Status.LIVE, Profile.Status.ANONYMIZED)


@dataclass(frozen=True, slots=True)
class Deleted:
    """``profile_ids`` are the people deleted now; ``skipped`` says per id why it was not."""

    profile_ids: list[int]
    skipped: dict[int, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.profile_ids)


@retried
@transaction.atomic
def delete_profiles(
    *,
    profile_ids: Sequence[int],
    actor: Actor,
    source: Source,
    reason: str = "",
    note: str = "",
    cause: Cause = REQUEST,
) -> Deleted:
    """Delete the people behind these ids, each with everybody merged into them.

    ``reason`` is a ``DeleteReason``, or a text that is kept as a note: notes stand in the journal and leave with it.

    A constant number of statements for thousands. People deleted or erased already, and ids of nobody, are
    skipped and listed; when nobody is left to delete the first reason is raised (NotFound, RuleForbids).
    """
    choice, text = read_reason(reason, note)
    wanted = list(dict.fromkeys(profile_ids))
    roots = lock_roots(wanted)
    skipped = refusals(wanted, roots, _why_not)
    chosen = {pk: root for pk, root in roots.items() if root.status in _DELETABLE}
    if not chosen:
        if skipped:
            refuse(next(iter(skipped.values())))
        return Deleted([])
    members = _members(chosen)
    let_go = _release([pk for family in members.values() for pk in family], members)
    Profile.objects.filter(pk__in=chosen).update(
        status=Profile.Status.DELETED, version=F("version") + 1, updated_at=Now()
    )
    personal_data_registry.delete([pk for family in members.values() for pk in family])
    entries = [
        Entry(
            pk,
            Change.Kind.DELETED,
            {"status": [root.status, Profile.Status.DELETED.value]},
            detail={**let_go.get(pk, {"released": []}), "reason": choice, "note": text},
        )
        for pk, root in chosen.items()
    ]
    record_many(entries=entries, actor=actor, source=source, cause=cause)
    detail = {"reason": choice} if choice else {}
    audit.record_many(
        "profile.delete", actor=actor, subjects=[f"profile:{pk}" for pk in chosen], detail=detail
    )
    webhooks.publish_many(
        "profile.deleted",
        items=[(pk, {"profile_id": pk, "profile_ids": family}) for pk, family in members.items()],
    )
    return Deleted(list(chosen), skipped)


def lock_roots(profile_ids: Iterable[int]) -> dict[int, Profile]:
    """The surviving profiles behind the ids, locked in id order, whatever their status.

    Follows the pointer when a merge moved it while we waited for the lock.
    """
    wanted = set(profile_ids)
    for _ in range(5):
        targets = Profile.objects.filter(pk__in=wanted).values("canonical_id")
        locked = Profile.objects.select_for_update(no_key=True).filter(pk__in=targets).order_by("pk")
        roots = {row.pk: row for row in locked.only("pk", "status", "canonical_id")}
        if all(row.status != Profile.Status.MERGED for row in roots.values()):
            return roots
    raise Stale("Some of these people are being merged right now. Try again.")


def refusals(
    wanted: Iterable[int], roots: Mapping[int, Profile], why_not: Callable[[Profile], str]
) -> dict[int, str]:
    """Id → why nothing is done with it: nobody's, or what ``why_not`` says of its root ("" for nothing). One query."""
    owner = dict(Profile.objects.filter(pk__in=wanted).values_list("pk", "canonical_id"))
    found: dict[int, str] = {}
    for pk in wanted:
        root = roots.get(owner.get(pk, 0))
        if reason := f"No profile “{pk}”." if root is None else why_not(root):
            found[pk] = reason
    return found


def refuse(reason: str) -> NoReturn:
    """One of ``refusals`` as an error: NotFound or RuleForbids."""
    raise (NotFound if reason.startswith("No profile") else RuleForbids)(reason)


def _why_not(root: Profile) -> str:
    if root.status == Profile.Status.ERASED:
        return f"Profile #{root.pk} was erased for ever."
    return "" if root.status in _DELETABLE else f"Profile #{root.pk} is deleted already."


def _members(roots: Iterable[int]) -> dict[int, list[int]]:
    families: dict[int, list[int]] = defaultdict(list)
    rows = Profile.objects.members_of(*roots).order_by("pk").values_list("canonical_id", "pk")
    for root, member in rows:
        families[root].append(member)
    return dict(families)


def _release(member_ids: list[int], families: dict[int, list[int]]) -> dict[int, dict[str, list[int]]]:
    """Let go of every identifier that leads to these members, and of the browsers they had last; two statements.

    ``{root: {"released": [ids of identifiers], "links": [ids of link intervals]}}``: what restoring needs.
    """
    root_of = {member: root for root, family in families.items() for member in family}
    let_go: dict[int, dict[str, list[int]]] = defaultdict(lambda: {"released": []})
    with connection.cursor() as cursor:
        # A browser they had last is nobody's from now on.
        cursor.execute(
            "UPDATE profiles_linkinterval SET ended_at = greatest(now(), started_at)"
            " WHERE profile_id = ANY(%s) AND ended_at IS NULL RETURNING id, profile_id",
            [member_ids],
        )
        for link, member in cursor.fetchall():
            let_go[root_of[member]].setdefault("links", []).append(link)
        cursor.execute(
            "UPDATE profiles_identifier SET resolves = false"
            " WHERE profile_id = ANY(%s) AND resolves RETURNING id, profile_id",
            [member_ids],
        )
        for identifier, member in cursor.fetchall():
            let_go[root_of[member]]["released"].append(identifier)
    return {root: {name: sorted(ids) for name, ids in parts.items()} for root, parts in let_go.items()}
