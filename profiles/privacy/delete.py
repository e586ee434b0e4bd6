"""Deleting people and bringing them back (P7).

A deleted person is out of every list, count and look-up, and their identifiers are free for others; the rows
stay, so a deletion can be taken back. Erasing for ever is something else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import IntegrityError, connection, models, transaction
from django.db.models import F
from django.db.models.functions import Now

from cdp import audit, personal_data_registry, webhooks
from cdp.actors import Actor
from cdp.errors import NotFound, RuleForbids, Stale
from profiles.identity.graph import refresh_recognized, retried
from profiles.journal import REQUEST, Cause, Entry, record, record_many
from profiles.models import Change, Identifier, Profile, Source

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


@dataclass(frozen=True, slots=True)
class Taken:
    """An identifier that leads to somebody else by now."""

    type: str
    value: str
    profile_id: int


@dataclass(frozen=True, slots=True)
class Restored:
    """``identifiers`` lead here again; ``taken`` do not, they stay as contact values."""

    profile: Profile
    identifiers: list[str]
    taken: list[Taken]


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
    roots = _lock_roots(wanted)
    skipped = _refusals(wanted, roots)
    chosen = {pk: root for pk, root in roots.items() if root.status in _DELETABLE}
    if not chosen:
        if skipped:
            _raise(next(iter(skipped.values())))
        return Deleted([])
    members = _members(chosen)
    released = _release([pk for family in members.values() for pk in family], members)
    Profile.objects.filter(pk__in=chosen).update(
        status=Profile.Status.DELETED, version=F("version") + 1, updated_at=Now()
    )
    personal_data_registry.delete([pk for family in members.values() for pk in family])
    entries = [
        Entry(
            pk,
            Change.Kind.DELETED,
            {"status": [root.status, Profile.Status.DELETED.value]},
            detail={"released": released.get(pk, []), "reason": choice, "note": text},
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


@retried
@transaction.atomic
def restore_profile(*, profile_id: int, actor: Actor, source: Source, cause: Cause = REQUEST) -> Restored:
    """Bring a deleted person back, by any id they had, as they were.

    Identifiers lead here again where nobody else took them meanwhile; the others are listed.
    Raises NotFound, RuleForbids (not deleted, or erased).
    """
    root = _lock_roots([profile_id]).get(_root_of(profile_id))
    if root is None:
        raise NotFound(f"No profile “{profile_id}”.")
    if root.status == Profile.Status.ERASED:
        raise RuleForbids(f"Profile #{root.pk} was erased; nothing is left to bring back.")
    if root.status != Profile.Status.DELETED:
        raise RuleForbids(f"Profile #{root.pk} is not deleted.")
    deletion = Change.objects.filter(profile=root, kind=Change.Kind.DELETED).order_by("-pk").first()
    released: list[int] = (deletion.detail or {}).get("released", []) if deletion else []
    status = deletion.fields["status"][0] if deletion else Profile.Status.LIVE.value
    back = _lead_again(released)
    Profile.objects.filter(pk=root.pk).update(status=status, version=F("version") + 1, updated_at=Now())
    refresh_recognized([root.pk])
    taken = _taken(set(released) - set(back))
    entry = Entry(
        root.pk,
        Change.Kind.RESTORED,
        {"status": [Profile.Status.DELETED.value, status]},
        detail={"restored": back, "taken": [item.profile_id for item in taken]},
    )
    record(entry=entry, actor=actor, source=source, cause=cause)
    audit.record("profile.restore", actor=actor, subject=f"profile:{root.pk}", detail={"taken": len(taken)})
    webhooks.publish("profile.restored", profile_id=root.pk, payload={"profile_id": root.pk})
    root.refresh_from_db()
    rows = Identifier.objects.filter(pk__in=back).select_related("type")
    return Restored(root, [str(row) for row in rows], taken)


def _lock_roots(profile_ids: Iterable[int]) -> dict[int, Profile]:
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


def _root_of(profile_id: int) -> int:
    row = Profile.objects.filter(pk=profile_id).values_list("canonical_id", flat=True).first()
    return row or 0


def _refusals(wanted: list[int], roots: dict[int, Profile]) -> dict[int, str]:
    """Why an id will not be deleted, by id; one query."""
    owner = dict(Profile.objects.filter(pk__in=wanted).values_list("pk", "canonical_id"))
    found: dict[int, str] = {}
    for pk in wanted:
        root = roots.get(owner.get(pk, 0))
        if root is None:
            found[pk] = f"No profile “{pk}”."
        elif root.status == Profile.Status.ERASED:
            found[pk] = f"Profile #{root.pk} was erased for ever."
        elif root.status not in _DELETABLE:
            found[pk] = f"Profile #{root.pk} is deleted already."
    return found


def _raise(reason: str) -> None:
    raise (NotFound if reason.startswith("No profile") else RuleForbids)(reason)


def _members(roots: Iterable[int]) -> dict[int, list[int]]:
    families: dict[int, list[int]] = defaultdict(list)
    rows = Profile.objects.members_of(*roots).order_by("pk").values_list("canonical_id", "pk")
    for root, member in rows:
        families[root].append(member)
    return dict(families)


def _release(member_ids: list[int], families: dict[int, list[int]]) -> dict[int, list[int]]:
    """Let go of every identifier that leads to these members: ``{root: [identifier ids]}``. Two statements."""
    root_of = {member: root for root, family in families.items() for member in family}
    released: dict[int, list[int]] = defaultdict(list)
    with connection.cursor() as cursor:
        # A browser they had last is nobody's from now on.
        cursor.execute(
            "UPDATE profiles_linkinterval SET ended_at = greatest(now(), started_at)"
            " WHERE profile_id = ANY(%s) AND ended_at IS NULL",
            [member_ids],
        )
        cursor.execute(
            "UPDATE profiles_identifier SET resolves = false"
            " WHERE profile_id = ANY(%s) AND resolves RETURNING id, profile_id",
            [member_ids],
        )
        for identifier, member in cursor.fetchall():
            released[root_of[member]].append(identifier)
    return {root: sorted(ids) for root, ids in released.items()}


def _lead_again(released: list[int]) -> list[int]:
    """Switch on what is still free; the ids that lead here again.

    Somebody may take a value in the very moment; then the constraint says so, and we look again.
    """
    for _ in range(3):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    """
                    UPDATE profiles_identifier i SET resolves = true
                    FROM profiles_identifiertype t
                    WHERE i.id = ANY(%s) AND NOT i.resolves AND NOT i.is_pending AND t.id = i.type_id AND t.is_unique
                      AND NOT EXISTS (
                          SELECT FROM profiles_identifier other
                          WHERE other.type_id = i.type_id AND other.value = i.value AND other.resolves)
                    RETURNING i.id
                    """,
                    [released],
                )
                return sorted(row[0] for row in cursor.fetchall())
        except IntegrityError:
            continue
    raise Stale("Somebody is taking these identifiers right now. Try again.")


def _taken(identifier_ids: Iterable[int]) -> list[Taken]:
    """Who holds the values of these identifiers now; values of types that no longer lead anywhere are left out."""
    lost = set(
        Identifier.objects.filter(pk__in=list(identifier_ids)).values_list("type_id", "type__name", "value")
    )
    holders = Identifier.objects.resolving().filter(
        type_id__in={type_id for type_id, _, _ in lost}, value__in={value for _, _, value in lost}
    )
    names = {(type_id, value): name for type_id, name, value in lost}
    rows = holders.values_list("type_id", "value", "profile__canonical_id").order_by("type_id", "value")
    return [
        Taken(names[type_id, value], value, root)
        for type_id, value, root in rows
        if (type_id, value) in names
    ]
