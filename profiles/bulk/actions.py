"""An action and a frozen list of profile ids → the action done to each, at once or as a job.

What was counted is what is acted on: the confirmation carries the ids themselves, signed, and the job works through
exactly these. Profiles that came into the list since are not touched; those that left it are skipped. Up to
``INLINE`` are done at once, more in the background in chunks, each one transaction.
"""

from __future__ import annotations

import array
import base64
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Forbidden, Invalid, Refused
from cdp.job_steps import Chunk, actor_of, handler
from cdp.jobs import start_job
from cdp.models import Job
from profiles import tagging
from profiles.journal import REQUEST, Cause, Entry, publish_updated, record_many
from profiles.models import Change, Profile, Source
from profiles.privacy.delete import delete_profiles
from profiles.values import attributes

INLINE = 100
CHUNK = 500
# An e-mail or a phone belongs to one person; set on many profiles it would identify them all.
_UNIQUE_VALUES = ("email", "phone")

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """``job`` when it runs in the background (then nothing is done yet), else what was done."""

    asked: int
    changed: int = 0
    skipped: list[str] = field(default_factory=list)
    job: Job | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """``permission`` is checked when it starts and before every chunk. ``doing`` names the job."""

    name: str
    label: str
    doing: str
    permission: str
    apply: Callable[..., int]


# --- The frozen list ------------------------------------------------------------------------------------


def freeze(roots: QuerySet[Profile]) -> list[int]:
    """The ids of all profiles in the list now, in id order. One query."""
    return list(roots.order_by("pk").values_list("pk", flat=True))


def pack(ids: Iterable[int]) -> str:
    """Ids as a short text: sorted, as differences, compressed (a million take about a megabyte at most)."""
    ordered = sorted(set(ids))
    steps = array.array("q", (b - a for a, b in zip([0, *ordered], ordered, strict=False)))
    return base64.urlsafe_b64encode(zlib.compress(steps.tobytes(), 6)).decode()


@lru_cache(maxsize=4)
def unpack(text: str) -> tuple[int, ...]:
    """The reverse of ``pack``."""
    steps = array.array("q", zlib.decompress(base64.urlsafe_b64decode(text)))
    total, ids = 0, []
    for step in steps:
        total += step
        ids.append(total)
    return tuple(ids)


# --- What can be done -----------------------------------------------------------------------------------


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
        profile_ids=live, actor=actor, source=source, reason=params.get("reason", ""), cause=cause
    ).count


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


ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        Action("tag", "Add tags", "Tag", "profiles.bulk_update", _tag),
        Action("untag", "Remove tags", "Untag", "profiles.bulk_update", _untag),
        Action("set", "Set an attribute", "Set an attribute of", "profiles.bulk_update", _set_attribute),
        Action("lock", "Lock against merging", "Lock", "profiles.bulk_update", _lock),
        Action("unlock", "Unlock", "Unlock", "profiles.bulk_update", _lock),
        Action("delete", "Delete", "Delete", "profiles.bulk_delete", _delete),
    )
}


def clean_params(action: str, raw: Params) -> Params:
    """What the action needs, cleaned the way the single verbs clean it. Raises Invalid. At most one query."""
    if action in ("tag", "untag"):
        names = tagging.clean_tag_names(raw.get("tags", []))
        if not names:
            raise _invalid("tags", None, "Name at least one tag.")
        return {"tags": names}
    if action == "set":
        return _clean_attribute(raw.get("field", ""), raw.get("value"))
    if action in ("lock", "unlock"):
        return {"is_locked": action == "lock"}
    return {"reason": str(raw.get("reason", ""))[:500]}


def _clean_attribute(key: str, raw: Any) -> Params:
    if key in _UNIQUE_VALUES:
        label = attributes.LABELS[key]
        raise _invalid("field", key, f"{label} belongs to one person; change it on each card.")
    return {"field": key, "value": attributes.clean_values({key: raw})[key]}


def _invalid(key: str, value: Any, message: str) -> Invalid:
    return Invalid([{"field": key, "value": value, "message": message}])


# --- Doing it -------------------------------------------------------------------------------------------


def run_bulk(
    *,
    action: str,
    profile_ids: Sequence[int],
    params: Params | None = None,
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
) -> BulkOutcome:
    """Do the action to these profiles: at once in one transaction up to ``INLINE``, else as a job.

    Merged-away and deleted profiles among the ids are skipped. Raises Forbidden, Invalid.
    """
    chosen = ACTIONS.get(action)
    if chosen is None:
        raise _invalid("action", action, f"“{action}” is not something to do to many people.")
    if not actor.can(chosen.permission):
        raise Forbidden(f"{actor.name} may not {chosen.label.lower()} for many people at once.")
    clean = clean_params(action, params or {})
    if len(profile_ids) <= INLINE:
        with transaction.atomic():
            changed = chosen.apply(profile_ids, clean, actor=actor, source=source, cause=cause)
        return BulkOutcome(len(profile_ids), changed)
    job = start_job(
        kind="profiles.bulk",
        actor=actor,
        title=f"{chosen.doing} {len(profile_ids):,} people",
        params={"action": action, "ids": pack(profile_ids), "params": clean, "source": source.pk},
        permission=chosen.permission,
        total=len(profile_ids),
        unit="people",
    )
    audit.record(
        "bulk.start",
        actor=actor,
        subject=f"job:{job.pk}",
        detail={"action": action, "people": len(profile_ids)},
    )
    return BulkOutcome(len(profile_ids), job=job)


@handler("profiles.bulk")
def _step(chunk: Chunk) -> bool:
    """One chunk of the frozen ids, in the transaction that moves the cursor."""
    ids = unpack(chunk.params["ids"])
    start = chunk.cursor.get("next", 0)
    part = ids[start : start + CHUNK]
    if not part:
        return False
    action = ACTIONS[chunk.params["action"]]
    source = Source.objects.get(pk=chunk.params["source"])
    with chunk.commit(cursor={"next": start + len(part)}, done=len(part)) as progress:
        try:
            with transaction.atomic():
                changed = action.apply(
                    part,
                    chunk.params["params"],
                    actor=actor_of(chunk.job),
                    source=source,
                    cause=Cause(Change.Cause.JOB, chunk.job.pk),
                )
        except Refused as refusal:
            progress.errors = [f"{part[0]}–{part[-1]}: {refusal.message}"]
            changed = 0
        progress.result = {"people_changed": chunk.job.result.get("people_changed", 0) + changed}
    return bool(start + len(part) < len(ids))
