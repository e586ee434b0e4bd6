"""A profile id → its surviving row, locked while it is changed, and its version counted."""

from __future__ import annotations

from django.db.models import F
from django.db.models.functions import Greatest, Now

from cdp.errors import NotFound, RuleForbids, Stale
from profiles.models import Change, Profile


def lock_root(profile_id: int) -> Profile:
    """The surviving profile behind any id, locked until the transaction ends.

    ``FOR NO KEY UPDATE`` lets events and identifiers come in meanwhile. When a merge moved the pointer
    while we waited, follows it. Raises NotFound, or RuleForbids for a profile that is not live any more.
    """
    wanted_id = profile_id
    for _ in range(5):
        locked = (
            Profile.objects.select_for_update(no_key=True)
            .filter(pk__in=Profile.objects.filter(pk=wanted_id).values("canonical_id"))
            .first()
        )
        if locked is None:
            raise NotFound(f"No profile “{profile_id}”.")
        if locked.status == Profile.Status.MERGED:
            wanted_id = locked.pk
            continue
        if locked.status != Profile.Status.LIVE:
            raise RuleForbids(f"Profile #{locked.pk} is {locked.get_status_display().lower()}.")
        return locked
    raise Stale(f"Profile #{profile_id} is being merged right now. Try again.")


def touch(profile: Profile, *, seen: bool = False) -> None:
    """Count a change: version, updated_at, and last_seen_at when the person was active."""
    changes: dict[str, object] = {"version": F("version") + 1, "updated_at": Now()}
    if seen:
        changes["last_seen_at"] = Greatest(F("last_seen_at"), Now())
    Profile.objects.filter(pk=profile.pk).update(**changes)
    profile.version += 1


def check_version(profile: Profile, expected: int | None) -> None:
    """Refuse a write based on a version that is out of date."""
    if expected is None or expected == profile.version:
        return
    last_change = (
        Change.objects.filter(profile_id=profile.pk)
        .select_related("user", "key", "source")
        .order_by("-at", "-id")
        .first()
    )
    author = "somebody"
    if last_change is not None:
        author = (
            last_change.user.get_username()
            if last_change.user
            else last_change.key.name
            if last_change.key
            else last_change.source.name
        )
    raise Stale(
        f"Profile #{profile.pk} was changed by {author} since you opened it. Nothing was saved; look again and repeat."
    )
