"""Rejected items → ingested again, corrected or not, one or many; or dismissed.

A replay keeps the original's time: its clock is the receipt's. The receipt is resolved, whatever becomes of the
replay; a replay that is rejected again waits in the inbox as a receipt of its own (``replay_of``), so that the
item as it was sent, every correction and every refusal can be looked up.
"""

from __future__ import annotations

import copy
import datetime
from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor, Block
from cdp.errors import Conflict, Forbidden, Invalid, NotFound, RuleForbids
from cdp.job_steps import Chunk, NotAllowed, actor_of, handler
from cdp.jobs import start_job
from cdp.models import Job
from profiles.bulk.run_action import pack, unpack
from profiles.models import Receipt, Source, WriteKey
from profiles.tracking.ingest.ingest import ingest_items
from profiles.tracking.parse.item_types import BatchEntry, ItemResult, RefusedItem
from profiles.tracking.parse.items import read_item
from profiles.tracking.parse.sanitize import MAX_DEPTH, TooDeep, clean
from profiles.tracking.parse.truncate import CUT
from profiles.tracking.rejected.receipts import (
    DISMISSED,
    REPLAYED,
    Choice,
    filtered_receipts,
    is_waiting,
)
from profiles.tracking.rejected.repair import (
    MAX_BYTES,
    Repair,
    check_payload,
    measure,
    read_repairs,
    repaired,
)
from profiles.tracking.sources.may_send import check_may_send, may_send
from profiles.tracking.sources.write_keys import Sender

PERMISSION = "profiles.replay_receipt"
CHUNK = 50
MAX_REASON = 300


@transaction.atomic
def replay_receipt(*, receipt_id: int, payload: dict[str, Any] | None = None, actor: Actor) -> ItemResult:
    """Carry a rejected item out, with ``payload`` in its place when it was corrected.

    The result may be a rejection again; then its own receipt waits. Raises NotFound, Forbidden, Invalid for a
    payload that is no item or too large, RuleForbids for one that was too large and is not corrected, Conflict when
    the receipt does not wait (any more).
    """
    _check(actor)
    check_may_send(actor, "A replay")
    receipt = _lock_receipts([receipt_id]).get(receipt_id)
    if receipt is None:
        raise NotFound(f"There is no receipt #{receipt_id}.")
    _check_waiting(receipt)
    if payload is not None:
        payload = check_payload(payload)
    if payload in (None, receipt.payload) and (why := why_not_unchanged(receipt)):
        raise RuleForbids(why)
    at = _first_received([receipt.pk])[receipt.pk]
    result = _carry_out(receipt, payload, _sender_of(receipt.source), at)
    _resolve([receipt.pk], REPLAYED, actor)
    is_corrected = payload is not None and payload != receipt.payload
    _audit("receipt.replay", receipt.pk, {"outcome": result.outcome, "corrected": is_corrected}, actor)
    return result


def replay_many(
    *,
    ids: Sequence[int] | None = None,
    choice: Choice | None = None,
    repairs: Sequence[Repair] = (),
    actor: Actor,
) -> Job:
    """Replay these receipts, or all a choice shows now, in the background, each repaired first.

    What waits now is what is replayed; what is resolved meanwhile is skipped. Raises Forbidden, Invalid when
    nothing waits.
    """
    _check(actor)
    check_may_send(actor, "A replay")
    frozen = freeze(ids=ids, choice=choice)
    params = {"do": REPLAYED, "ids": pack(frozen), "repairs": [repair.as_json() for repair in repairs]}
    return _start(f"Replay {_items(len(frozen))}", params, len(frozen), actor)


def dismiss(*, receipt_ids: Sequence[int], reason: str = "", actor: Actor) -> int:
    """Take items out of the inbox without carrying them out; how many did wait. Their receipts stay.

    Raises Forbidden, Invalid for a reason that is too long.
    """
    _check(actor)
    reason = _reason(reason)
    with transaction.atomic():
        waiting = [pk for pk, row in _lock_receipts(receipt_ids).items() if is_waiting(row)]
        _resolve(waiting, DISMISSED, actor, note=reason)
        _audit_dismissed(waiting, actor)
    return len(waiting)


def dismiss_many(
    *,
    ids: Sequence[int] | None = None,
    choice: Choice | None = None,
    reason: str = "",
    actor: Actor,
) -> Job:
    """The bulk twin of ``dismiss``: these, or all a choice shows now, in the background."""
    _check(actor)
    frozen = freeze(ids=ids, choice=choice)
    params = {"do": DISMISSED, "ids": pack(frozen), "reason": _reason(reason)}
    return _start(f"Dismiss {_items(len(frozen))}", params, len(frozen), actor)


def freeze(*, ids: Sequence[int] | None = None, choice: Choice | None = None) -> list[int]:
    """The ids that wait now: of these, or of all a choice shows. One query. Raises Invalid for none."""
    if ids is None and choice is None:
        raise _invalid("ids", "Name receipts by “ids”, or choose them with “filter”.")
    receipts = filtered_receipts(Choice() if choice is None else choice.replaced(state="waiting"))
    if ids is not None:
        receipts = receipts.filter(pk__in=list(ids))
    frozen = list(receipts.order_by("pk").values_list("pk", flat=True))
    if not frozen:
        raise _invalid("ids", "None of these waits under Rejected.")
    return frozen


# --- The job ----------------------------------------------------------------------------------------------


def _start(title: str, params: dict[str, Any], total: int, actor: Actor) -> Job:
    with transaction.atomic():
        job = start_job(
            kind="receipts.resolve",
            actor=actor,
            title=title,
            params=params,
            permission=PERMISSION,
            total=total,
            unit="items",
        )
        detail = {"do": params["do"], "items": total, "repairs": len(params.get("repairs", ()))}
        audit.record("receipt.bulk", actor=actor, subject=f"job:{job.pk}", detail=detail)
    return job


@handler("receipts.resolve")
def _resolve_step(chunk: Chunk) -> bool:
    """Fifty items of the frozen list, in the transaction that moves the cursor."""
    ids = unpack(chunk.params["ids"])
    start = chunk.cursor.get("next", 0)
    # Who died of fifty items gets one at a time, so that the one is named.
    part = ids[start : start + (CHUNK if chunk.tries == 1 else 1)]
    if not part:
        return False
    actor = actor_of(chunk.job)
    if chunk.params["do"] == REPLAYED and not may_send(actor):
        raise NotAllowed(Block("permission_lost", f"{actor.name} may no longer do this."))
    with chunk.commit(cursor={"next": start + len(part)}, done=len(part)) as progress:
        counts = _resolve_part(part, chunk.params, actor)
        before = chunk.job.result
        progress.result = before | {name: before.get(name, 0) + count for name, count in counts.items()}
    return bool(start + len(part) < len(ids))


def _resolve_part(ids: Sequence[int], params: dict[str, Any], actor: Actor) -> dict[str, int]:
    """What became of these receipts, counted in words the job's page shows."""
    receipts = _lock_receipts(ids)
    waiting = [row for row in receipts.values() if is_waiting(row)]
    counts = {"skipped": len(ids) - len(waiting)}
    if params["do"] == DISMISSED:
        _resolve([row.pk for row in waiting], DISMISSED, actor, note=params["reason"])
        _audit_dismissed([row.pk for row in waiting], actor)
        return {"dismissed": len(waiting), **counts}
    repairs = read_repairs(params["repairs"])
    senders = {source.pk: _sender_of(source) for source in {row.source for row in waiting}}
    first_received = _first_received([row.pk for row in waiting])
    applied = 0
    ready = [row for row in waiting if not why_not_unchanged(row)]
    if len(ready) < len(waiting):
        counts["too_large"] = len(waiting) - len(ready)
    for row in ready:
        payload = repaired(row.payload, repairs, kind=row.kind)
        applied += not _carry_out(row, payload, senders[row.source_id], first_received[row.pk]).is_rejected
    _resolve([row.pk for row in ready], REPLAYED, actor)
    audit.record_many(
        "receipt.replay",
        actor=actor,
        subjects=[f"receipt:{row.pk}" for row in ready],
        detail={"repairs": len(repairs)},
    )
    return {"accepted": applied, "rejected_again": len(ready) - applied, **counts}


# --- One item ---------------------------------------------------------------------------------------------


def why_not_unchanged(receipt: Receipt) -> str:
    """Why an item cannot be replayed uncorrected, which no repair of many at once changes; else empty."""
    if receipt.code != "too_large":
        return ""
    if any(problem.get("code") == CUT for problem in receipt.problems or []):
        return "Parts of this item were cut when it arrived, so it cannot be replayed as it is. Correct it first."
    size = measure(receipt.payload)
    if size <= MAX_BYTES:
        return ""
    return f"This item has {size:,} bytes; the limit is {MAX_BYTES:,}. Make it smaller, then replay it."


def _carry_out(receipt: Receipt, payload: Any, sender: Sender, at: datetime.datetime) -> ItemResult:
    """Read and ingest it as a call's item, with the time it was first received at."""
    raw = copy.deepcopy(receipt.payload if payload is None else payload)
    return ingest_items([_entry(receipt, raw, at)], sender=sender, replay_of=receipt.pk).results[0]


def _entry(receipt: Receipt, raw: Any, at: datetime.datetime) -> BatchEntry:
    try:
        raw = clean(raw)
    except TooDeep:
        message = f"This item nests more than {MAX_DEPTH} levels of lists and objects."
        return RefusedItem(0, "too_deep", message, raw, receipt.kind, receipt.name, receipt.message_id)
    if isinstance(raw, dict) and receipt.message_id:
        # One that came without an id was given one then; it stays the same message.
        raw.setdefault("messageId", receipt.message_id)
    # The item of a call to /v1/track has no type of its own; the path gave it.
    sent_kind = raw.get("type") if isinstance(raw, dict) else None
    kind = None if isinstance(sent_kind, str) and sent_kind else receipt.kind or None
    return read_item(raw, index=0, received_at=at, kind=kind)


def _first_received(ids: Sequence[int]) -> dict[int, datetime.datetime]:
    """When each was sent the first time: a replay that was rejected again still has its original's time."""
    sql = """
        WITH RECURSIVE chain (id, replay_of_id, received_at, of_id) AS (
            SELECT id, replay_of_id, received_at, id FROM profiles_receipt WHERE id = ANY(%s)
            UNION ALL
            SELECT r.id, r.replay_of_id, r.received_at, c.of_id
            FROM chain c JOIN profiles_receipt r ON r.id = c.replay_of_id AND r.id < c.id
        )
        SELECT of_id, min(received_at) FROM chain GROUP BY 1
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(ids)])
        return dict(cursor.fetchall())


def _sender_of(source: Source) -> Sender:
    """The rights the item came with: what a public key must not do, its replay does not do either."""
    has_web_key = WriteKey.objects.filter(source=source, kind=WriteKey.Kind.WEB).exists()
    return Sender(0, source, source.channel == Source.Channel.WEB or has_web_key)


def _lock_receipts(ids: Sequence[int]) -> dict[int, Receipt]:
    """The receipts, locked in id order."""
    receipts = Receipt.objects.filter(pk__in=list(ids)).select_for_update(no_key=True, of=("self",))
    return {row.pk: row for row in receipts.select_related("source").order_by("pk")}


def _check_waiting(receipt: Receipt) -> None:
    if receipt.resolved_at is not None:
        raise Conflict(f"Item #{receipt.pk} was {receipt.resolution} already.")
    if receipt.payload is None:
        outcome = receipt.get_outcome_display().lower()
        raise Conflict(f"Item #{receipt.pk} has nothing to replay: {outcome}.")


def _resolve(ids: Sequence[int], resolution: str, actor: Actor, *, note: str = "") -> None:
    """``note`` is what somebody typed: it leaves with the receipt, as nothing leaves the audit log."""
    Receipt.objects.filter(pk__in=ids).update(
        resolved_at=timezone.now(), resolved_by_id=actor.user_id, resolution=resolution, note=note
    )


def _check(actor: Actor) -> None:
    if not actor.can(PERMISSION):
        raise Forbidden(f"{actor.name} may not replay or dismiss rejected items.")


def _reason(text: str) -> str:
    text = text.strip()
    if len(text) > MAX_REASON:
        raise _invalid("reason", f"A reason has at most {MAX_REASON} characters; this one has {len(text):,}.")
    return text


def _invalid(field: str, message: str) -> Invalid:
    return Invalid([{"field": field, "value": None, "message": message}])


def _items(count: int) -> str:
    return f"{count:,} rejected item{'' if count == 1 else 's'}"


def _audit(action: str, receipt_id: int, detail: dict[str, Any], actor: Actor) -> None:
    audit.record(action, actor=actor, subject=f"receipt:{receipt_id}", detail=detail)


def _audit_dismissed(ids: Sequence[int], actor: Actor) -> None:
    audit.record_many("receipt.dismiss", actor=actor, subjects=[f"receipt:{pk}" for pk in ids])
