"""Ids of deleted people → the people brought back as they were, one or thousands; before that, what cannot come back and why.

Where two deleted people held the same value one after the other, the older profile gets it back. Taken identifiers
stay with whoever has them by now, and are contact values here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef

from cdp import audit, webhooks
from cdp.actors import Actor
from cdp.errors import Stale
from cdp.sql import run
from profiles import sql
from profiles.identity.graph import refresh_recognized, retried
from profiles.journal import REQUEST, Cause, Entry, record_many
from profiles.models import Change, Identifier, Profile, Source
from profiles.privacy.delete import lock_roots, refusals, refuse


@dataclass(frozen=True, slots=True)
class Taken:
    """An identifier that leads to somebody else by now."""

    type: str
    value: str
    profile_id: int


@dataclass(frozen=True, slots=True)
class Restored:
    """One person: ``identifiers`` lead here again; ``taken`` do not, they stay as contact values."""

    profile: Profile
    identifiers: list[str]
    taken: list[Taken]


@dataclass(frozen=True, slots=True)
class RestoredMany:
    """``profile_ids`` are the people back; ``taken`` lists by person what stays with others; ``skipped`` says per id
    why it was not restored. Of a preview: what would be."""

    profile_ids: list[int]
    taken: dict[int, list[Taken]] = field(default_factory=dict)
    skipped: dict[int, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.profile_ids)


def restore_profile(*, profile_id: int, actor: Actor, source: Source, cause: Cause = REQUEST) -> Restored:
    """Bring a deleted person back, by any id they had, as they were.

    Raises NotFound, RuleForbids (not deleted, or erased).
    """
    with transaction.atomic():
        done = restore_profiles(profile_ids=[profile_id], actor=actor, source=source, cause=cause)
        if reason := done.skipped.get(profile_id):
            refuse(reason)
        (root_id,) = done.profile_ids
        change = Change.objects.filter(profile_id=root_id, kind=Change.Kind.RESTORED).latest("pk")
        rows = Identifier.objects.filter(pk__in=(change.detail or {})["restored"]).select_related("type")
        root = Profile.objects.defer("search").get(pk=root_id)
        return Restored(root, [str(row) for row in rows], done.taken.get(root_id, []))


@retried
@transaction.atomic
def restore_profiles(
    *, profile_ids: Sequence[int], actor: Actor, source: Source, cause: Cause = REQUEST
) -> RestoredMany:
    """Bring the deleted people behind these ids back, each with everybody merged into them, as they were.

    A constant number of statements for thousands. Identifiers lead to them again where nobody else took them
    meanwhile, and so do browsers. Whoever cannot be restored is skipped and listed. Raises Stale.
    """
    wanted = list(dict.fromkeys(profile_ids))
    roots = lock_roots(wanted)
    skipped = refusals(wanted, roots, _why_not)
    chosen = sorted(pk for pk, root in roots.items() if root.status == Profile.Status.DELETED)
    if not chosen:
        return RestoredMany([], skipped=skipped)
    claims = _lead_again(chosen)
    statuses = _bring_back(chosen)
    refresh_recognized(chosen)
    back, taken = _by_root(claims)
    entries = [
        Entry(
            pk,
            Change.Kind.RESTORED,
            {"status": [Profile.Status.DELETED.value, statuses[pk]]},
            detail={"restored": back.get(pk, []), "taken": [item.profile_id for item in taken.get(pk, [])]},
        )
        for pk in chosen
    ]
    record_many(entries=entries, actor=actor, source=source, cause=cause)
    audit.record_many(
        "profile.restore",
        actor=actor,
        subjects=[f"profile:{pk}" for pk in chosen],
        details=[{"taken": len(taken.get(pk, []))} for pk in chosen],
    )
    webhooks.publish_many("profile.restored", items=[(pk, {"profile_id": pk}) for pk in chosen])
    return RestoredMany(chosen, taken, skipped)


def preview_restore(profile_ids: Sequence[int]) -> RestoredMany:
    """What ``restore_profiles`` would do with these ids now, with nothing changed or locked. Three queries."""
    wanted = list(dict.fromkeys(profile_ids))
    rows = Profile.objects.filter(members__pk__in=wanted).distinct().only("pk", "status")
    roots = {root.pk: root for root in rows}
    chosen = sorted(pk for pk, root in roots.items() if root.status == Profile.Status.DELETED)
    return RestoredMany(chosen, _by_root(_claims(chosen))[1], refusals(wanted, roots, _why_not))


def deleted_by_job(job_id: int) -> list[int]:
    """Whom a job deleted and who is deleted since, in id order: those its undoing would restore. One query."""
    deletions = Change.objects.filter(
        kind=Change.Kind.DELETED,
        cause=Change.Cause.JOB,
        cause_id=job_id,
        profile__status=Profile.Status.DELETED,
    )
    # Restored and deleted once more, they are not this job's any longer.
    returned = Change.objects.filter(
        profile_id=OuterRef("profile_id"), kind=Change.Kind.RESTORED, pk__gt=OuterRef("pk")
    )
    return sorted(deletions.filter(~Exists(returned)).values_list("profile_id", flat=True))


def remarks_of(done: RestoredMany) -> list[str]:
    """A sentence for each id that was not restored, and for each value that stays with somebody else. Names no values."""
    return [
        *done.skipped.values(),
        *(
            f"#{root_id}: the {item.type.replace('_', ' ')} now belongs to profile #{item.profile_id} and stays there."
            for root_id, items in done.taken.items()
            for item in items
        ),
    ]


# --- Who can come back ------------------------------------------------------------------------------------


def _why_not(root: Profile) -> str:
    if root.status == Profile.Status.ERASED:
        return f"Profile #{root.pk} was erased; nothing is left to bring back."
    return "" if root.status == Profile.Status.DELETED else f"Profile #{root.pk} is not deleted."


# --- What comes back with them ----------------------------------------------------------------------------

_DELETION = """
    deletion AS MATERIALIZED (
        SELECT DISTINCT ON (profile_id) profile_id AS root, detail, fields -> 'status' ->> 0 AS status
        FROM profiles_change WHERE profile_id = ANY(%(roots)b::bigint[]) AND kind = 'deleted'
        ORDER BY profile_id, at DESC, id DESC
    )"""

# Every identifier the last deletion released, and who keeps it from its person: a holder, or an older profile among
# those that come back. Values of types that no longer identify anybody are left out.
_CLAIMS = f"""
    WITH {_DELETION}
    SELECT d.root, i.id, t.name, i.value, coalesce(
        (SELECT p.canonical_id FROM profiles_identifier o JOIN {sql.PROFILES} p ON p.id = o.profile_id
            WHERE o.type_id = i.type_id AND o.value = i.value AND o.resolves),
        nullif(first_value(d.root) OVER same, d.root))
    FROM deletion d CROSS JOIN jsonb_array_elements_text(d.detail -> 'released') AS r (id)
        JOIN profiles_identifier i ON i.id = r.id::bigint AND NOT i.resolves AND NOT i.is_pending
        JOIN profiles_identifiertype t ON t.id = i.type_id AND t.is_unique
    WINDOW same AS (PARTITION BY i.type_id, i.value ORDER BY d.root, i.id)
    ORDER BY d.root, t.priority, i.id
"""

# A browser of theirs that nobody else used since: its last interval was ended by the deletion.
_REOPEN = f"""
    WITH {_DELETION}
    UPDATE profiles_linkinterval l SET ended_at = NULL
    FROM deletion d, jsonb_array_elements_text(d.detail -> 'links') AS e (id), profiles_identifier i
    WHERE l.id = e.id::bigint AND i.id = ANY(%(back)b::bigint[])
        AND i.profile_id = l.profile_id AND i.type_id = l.type_id AND i.value = l.value
        AND NOT EXISTS (
            SELECT FROM profiles_linkinterval o WHERE o.type_id = l.type_id AND o.value = l.value AND o.id <> l.id
                AND (o.ended_at IS NULL OR o.ended_at > l.ended_at))
"""

_BRING_BACK = f"""
    WITH {_DELETION}
    UPDATE {sql.PROFILES} p SET status = coalesce(d.status, '{Profile.Status.LIVE}'), version = p.version + 1,
        updated_at = now()
    FROM unnest(%(roots)b::bigint[]) AS r (id) LEFT JOIN deletion d ON d.root = r.id
    WHERE p.id = r.id RETURNING p.id, p.status
"""


@dataclass(frozen=True, slots=True)
class _Claim:
    """An identifier and its person; ``taken_by`` is the profile that has the value instead, None where it comes back."""

    root_id: int
    identifier_id: int
    type: str
    value: str
    taken_by: int | None


def _claims(root_ids: Collection[int]) -> list[_Claim]:
    return [_Claim(*row) for row in run(_CLAIMS, {"roots": list(root_ids)})]


def _lead_again(root_ids: Collection[int]) -> list[_Claim]:
    """Switch on what is still free.

    Somebody may take a value in the very moment; then the constraint says so, and we look again.
    """
    for _ in range(3):
        claims = _claims(root_ids)
        back = [claim.identifier_id for claim in claims if claim.taken_by is None]
        try:
            with transaction.atomic():
                Identifier.objects.filter(pk__in=back).update(resolves=True)
                run(_REOPEN, {"roots": list(root_ids), "back": back})
        except IntegrityError:
            continue
        return claims
    raise Stale("Somebody is taking these identifiers right now. Try again.")


def _bring_back(root_ids: Collection[int]) -> dict[int, str]:
    """Give them the status they had; it by id."""
    rows: Iterable[Any] = run(_BRING_BACK, {"roots": list(root_ids)})
    return dict(rows)


def _by_root(claims: Iterable[_Claim]) -> tuple[dict[int, list[int]], dict[int, list[Taken]]]:
    """``{root: ids of identifiers that come back}`` and ``{root: what stays with others}``."""
    back: dict[int, list[int]] = defaultdict(list)
    taken: dict[int, list[Taken]] = defaultdict(list)
    for claim in claims:
        if claim.taken_by is None:
            back[claim.root_id].append(claim.identifier_id)
        else:
            taken[claim.root_id].append(Taken(claim.type, claim.value, claim.taken_by))
    return {pk: sorted(ids) for pk, ids in back.items()}, dict(taken)
