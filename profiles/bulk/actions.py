"""The bulk actions that ship: tags, an attribute, locks, deletion and restoring; each does for many what a single verb does for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Invalid
from profiles import tagging
from profiles.bulk.run_action import CHUNK, Action, BulkResult, Params, actions
from profiles.identity.presets import CONTACTS
from profiles.journal import Cause, Entry, publish_updated, record_many
from profiles.models import Change, Profile, Source
from profiles.privacy.delete import delete_profiles, read_reason
from profiles.privacy.restore import remarks_of, restore_profiles
from profiles.values import attributes

# An e-mail or a phone belongs to one person; set on many profiles it would identify them all.


def register() -> None:
    """Called once, when the app is ready."""
    actions.register(
        "tag",
        Action(
            label="Add tags",
            verb="Add tags to",
            doing="Tag",
            permission="profiles.bulk_update",
            apply=_tag,
            clean=_clean_tags,
            is_main=True,
        ),
    )
    actions.register(
        "untag",
        Action(
            label="Remove tags",
            verb="Remove tags from",
            doing="Untag",
            permission="profiles.bulk_update",
            apply=_untag,
            clean=_clean_tags,
        ),
    )
    actions.register(
        "set",
        Action(
            label="Set an attribute",
            verb="Set an attribute of",
            doing="Set an attribute of",
            permission="profiles.bulk_update",
            apply=_set_attribute,
            clean=_clean_attribute,
            is_main=True,
        ),
    )
    actions.register(
        "lock",
        Action(
            label="Lock against merging",
            verb="Lock",
            doing="Lock",
            permission="profiles.bulk_update",
            apply=_lock,
            clean=lambda raw: {"is_locked": True},
        ),
    )
    actions.register(
        "unlock",
        Action(
            label="Unlock",
            verb="Unlock",
            doing="Unlock",
            permission="profiles.bulk_update",
            apply=_lock,
            clean=lambda raw: {"is_locked": False},
        ),
    )
    # At the end of the menu, after those of apps.
    actions.register(
        "delete",
        Action(
            label="Delete",
            verb="Delete",
            doing="Delete",
            permission="profiles.bulk_delete",
            apply=_delete,
            clean=_clean_reason,
            done="deleted",
            is_destructive=True,
        ),
        order=200,
    )
    actions.register(
        "restore",
        Action(
            label="Restore",
            verb="Restore",
            doing="Restore",
            permission="profiles.bulk_restore",
            apply=_restore,
            done="restored",
            is_main=True,
            status=Profile.Status.DELETED,
        ),
        order=210,
    )


# --- What is done ---------------------------------------------------------------------------------------


def _tag(ids: Sequence[int], params: Params, **by: Any) -> int:
    return tagging.tag_profiles(profile_ids=ids, tag_names=params["tags"], **by).changed


def _untag(ids: Sequence[int], params: Params, **by: Any) -> int:
    return tagging.untag_profiles(profile_ids=ids, tag_names=params["tags"], **by).changed


def _delete(ids: Sequence[int], params: Params, *, actor: Actor, source: Source, cause: Cause) -> int:
    # Profiles somebody else deleted meanwhile are not counted, and are no reason to stop.
    live = list(Profile.objects.live().filter(pk__in=ids).values_list("pk", flat=True))
    if not live:
        return 0
    return delete_profiles(
        profile_ids=live,
        actor=actor,
        source=source,
        reason=params.get("reason", ""),
        note=params.get("note", ""),
        cause=cause,
    ).count


def _restore(ids: Sequence[int], params: Params, *, actor: Actor, source: Source, cause: Cause) -> BulkResult:
    done = restore_profiles(profile_ids=ids, actor=actor, source=source, cause=cause)
    return BulkResult(done.count, remarks_of(done))


def _lock(ids: Sequence[int], params: Params, *, actor: Actor, source: Source, cause: Cause) -> int:
    wanted = bool(params["is_locked"])
    roots = [root for root in _locked(ids) if root.is_locked != wanted]
    action = [root.pk for root in roots]
    Profile.objects.filter(pk__in=action).update(is_locked=wanted, version=F("version") + 1, updated_at=Now())
    kind = Change.Kind.LOCKED if wanted else Change.Kind.UNLOCKED
    entries = [Entry(pk, kind, {"locked": [not wanted, wanted]}) for pk in action]
    record_many(entries=entries, actor=actor, source=source, cause=cause)
    _audit("profile.lock" if wanted else "profile.unlock", action, {}, actor)
    publish_updated(action, ["locked"])
    return len(action)


def _set_attribute(ids: Sequence[int], params: Params, *, actor: Actor, source: Source, cause: Cause) -> int:
    """Set or clear one attribute on every profile that has another value. A constant number of statements."""
    key, value = params["field"], params["value"]
    roots = _locked(ids)
    entries = []
    for root in roots:
        old = attributes.get_value(root, key)
        if old != value:
            entries.append(Entry(root.pk, Change.Kind.UPDATED, {key: [old, value]}))
            attributes.set_value(root, key, value)
            root.version += 1
    touched = {entry.profile_id for entry in entries}
    changed = [root for root in roots if root.pk in touched]
    column = "attributes" if key.startswith(attributes.CUSTOM) else key
    Profile.objects.bulk_update(changed, [column, "version"], batch_size=CHUNK)
    Profile.objects.filter(pk__in=touched).update(updated_at=Now())
    record_many(entries=entries, actor=actor, source=source, cause=cause)
    _audit("profile.update", sorted(touched), {"fields": [key]}, actor)
    publish_updated(touched, [key])
    return len(touched)


def _locked(ids: Sequence[int]) -> list[Profile]:
    """The live profiles among the ids, locked in id order."""
    profiles = Profile.objects.live().filter(pk__in=ids).select_for_update(no_key=True).order_by("pk")
    return list(profiles.defer("search"))


def _audit(verb: str, ids: Sequence[int], detail: dict[str, Any], actor: Actor) -> None:
    audit.record_many(verb, actor=actor, subjects=[f"profile:{pk}" for pk in ids], detail=detail)


# --- What it is done with -------------------------------------------------------------------------------


def _clean_tags(raw: Params) -> Params:
    names = tagging.clean_tag_names(raw.get("tags", []))
    if not names:
        raise _invalid("tags", None, "Name at least one tag.")
    return {"tags": names}


def _clean_reason(raw: Params) -> Params:
    reason, note = read_reason(str(raw.get("reason", "")), str(raw.get("note", "")))
    return {"reason": reason, "note": note}


def _clean_attribute(raw: Params) -> Params:
    key = raw.get("field", "")
    if key in CONTACTS:
        label = attributes.LABELS[key]
        raise _invalid("field", key, f"{label} belongs to one person; change it on each card.")
    return {"field": key, "value": attributes.clean_values({key: raw.get("value")})[key]}


def _invalid(key: str, value: Any, message: str) -> Invalid:
    return Invalid([{"field": key, "value": value, "message": message}])
