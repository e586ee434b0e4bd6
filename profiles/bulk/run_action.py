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
from django.db.models import QuerySet

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Forbidden, Invalid, Refused
from cdp.job_steps import Chunk, JobFailed, actor_of, handler
from cdp.jobs import start_job
from cdp.models import Job
from cdp.plurals import counted
from cdp.registry import Registry
from profiles.journal import REQUEST, Cause
from profiles.models import Change, Profile, Source

KIND = "profiles.bulk"
INLINE = 100
CHUNK = 500

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """``job`` when it runs in the background (then nothing is done yet), else what was done."""

    asked: int
    changed: int = 0
    remarks: list[str] = field(default_factory=list)
    job: Job | None = None


@dataclass(frozen=True, slots=True)
class BulkResult:
    """How many people an action changed, and a sentence for each who was not or not as they may expect."""

    changed: int
    remarks: list[str] = field(default_factory=list)


def _no_params(raw: Params) -> Params:
    return {}


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do to many people; the name it is registered by stands in its address and in its jobs
    (“export” is the address of exports, which are no action: they give a file).

    ``label`` is on its button, ``verb`` begins the title of its confirmation ("Add tags to" 2 people), ``doing`` that
    of its job, and ``done`` ends the sentence about the outcome (2 people "changed").
    ``permission`` is checked when it starts and before every chunk.
    ``apply(ids, params, actor=, source=, cause=)`` does it to at most ``CHUNK`` profiles, skips those that are not
    live any more, and returns how many it changed, or a ``BulkResult`` to say why others were not. It runs in a
    transaction; of a job, a chunk it refuses is reported.
    ``clean(raw)`` are the params that ``apply`` gets and a job stores, cleaned as the single verbs clean them; it raises
    Invalid and takes at most one query.
    ``is_main``: has a button of its own in the list, where others are in the menu beside them. ``is_destructive``: has
    red buttons, and the confirmation asks for the number of people to be typed. ``status``: which list it is offered in,
    that of live people or that of deleted ones.
    """

    label: str
    verb: str
    doing: str
    permission: str
    apply: Callable[..., int | BulkResult]
    clean: Callable[[Params], Params] = _no_params
    done: str = "changed"
    is_main: bool = False
    is_destructive: bool = False
    status: Profile.Status = Profile.Status.LIVE


actions: Registry[Action] = Registry("The bulk action")


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
    if action not in actions:
        message = f"“{action}” is not a bulk action."
        raise Invalid([{"field": "action", "value": action, "message": message}])
    chosen = actions[action]
    if not actor.can(chosen.permission):
        raise Forbidden(f"{actor.name} may not {chosen.label.lower()} for many people at once.")
    clean = chosen.clean(params or {})
    if len(profile_ids) <= INLINE:
        with transaction.atomic():
            done = _result(chosen.apply(profile_ids, clean, actor=actor, source=source, cause=cause))
        return BulkOutcome(len(profile_ids), done.changed, done.remarks)
    job = start_job(
        kind=KIND,
        actor=actor,
        title=f"{chosen.doing} {counted(len(profile_ids), 'people')}",
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


@handler(KIND)
def _step(chunk: Chunk) -> bool:
    """One chunk of the frozen ids, in the transaction that moves the cursor."""
    ids = unpack(chunk.params["ids"])
    start = chunk.cursor.get("next", 0)
    part = ids[start : start + CHUNK]
    if not part:
        return False
    action = _action_of(chunk)
    source = Source.objects.get(pk=chunk.params["source"])
    with chunk.commit(cursor={"next": start + len(part)}, done=len(part)) as progress:
        try:
            with transaction.atomic():
                done = _result(
                    action.apply(
                        part,
                        chunk.params["params"],
                        actor=actor_of(chunk.job),
                        source=source,
                        cause=Cause(Change.Cause.JOB, chunk.job.pk),
                    )
                )
        except Refused as refusal:
            done = BulkResult(0, [f"{part[0]}–{part[-1]}: {refusal.message}"])
        progress.errors = [*done.remarks]
        progress.result = {"people_changed": chunk.job.result.get("people_changed", 0) + done.changed}
    return bool(start + len(part) < len(ids))


def _result(done: int | BulkResult) -> BulkResult:
    return done if isinstance(done, BulkResult) else BulkResult(done)


def _action_of(chunk: Chunk) -> Action:
    """The job's action. Raises JobFailed where its app is not installed any more."""
    name = chunk.params["action"]
    if name not in actions:
        raise JobFailed(
            f"“{name}” is no longer a bulk action. Stopped before the next step; what was done stays done."
        )
    return actions[name]
