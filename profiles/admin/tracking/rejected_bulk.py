"""Many rejected items at once: those ticked or filtered → a confirmation with the repairs → the job that replays or dismisses."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect

from cdp import clock
from cdp.actors import Actor
from cdp.errors import Invalid, Refused
from cdp.ids import row_ids
from cdp.plurals import counted
from profiles.admin.staff_views import may_see, render, write
from profiles.admin.tracking.rejected import PAGE, list_url
from profiles.bulk.run_action import pack, unpack
from profiles.looks import saw_receipts
from profiles.models import Receipt
from profiles.tracking.rejected import receipts
from profiles.tracking.rejected.repair import LABELS, Repair, pretty, read_repairs, repaired
from profiles.tracking.rejected.replay import PERMISSION, dismiss, dismiss_many, freeze, replay_many

REPAIR_ROWS = 3
_SALT = "receipts.bulk"
_VALID_SECONDS = 3600
# The signed list travels in the form; above this the form itself would be refused.
_MAX_PACKED = 3_000_000
_SAMPLE = 3
# Characters of a sample.
_GLANCE = 8_000
_VERBS = {"replay": "Replay", "dismiss": "Dismiss"}


@write("profiles.view_receipt", PERMISSION)
def bulk(request: HttpRequest) -> HttpResponse:
    """First call: those ticked, or all the filters show → the confirmation with the repairs.
    Second call: the signed list and what to do → the job."""
    action = request.POST.get("do", "")
    if action not in _VERBS:
        raise Invalid([{"field": "do", "value": action, "message": "Choose what to do with the items."}])
    if "frozen" not in request.POST:
        return _confirm(request, action, _chosen(request), problems=[])
    ids = _thaw(request, action)
    if "look" in request.POST:
        return _confirm(request, action, ids, problems=_wrong_repairs(request))
    try:
        return _do(request, action, ids)
    except Refused as refusal:
        texts = [problem["message"] for problem in refusal.problems] or [refusal.message]
        return _confirm(request, action, ids, problems=texts)


def _chosen(request: HttpRequest) -> list[int]:
    if request.POST.get("everyone"):
        choice = receipts.parse_choice(QueryDict(request.POST.get("filters", "")).dict())
        return freeze(choice=choice)
    ticked = row_ids(request.POST.getlist("ids"))
    if not ticked:
        raise Invalid([{"field": "ids", "value": None, "message": "Tick at least one item first."}])
    return freeze(ids=ticked)


def _thaw(request: HttpRequest, action: str) -> list[int]:
    """The list as it was counted, for this person and action alone, within the hour."""
    expired = "This confirmation has expired or belongs to another login. Choose the items again."
    try:
        frozen = clock.unsign(request.POST["frozen"], salt=_SALT, max_age=_VALID_SECONDS)
    except BadSignature as error:
        raise Invalid([{"field": "frozen", "value": None, "message": expired}]) from error
    if frozen["a"] != action or frozen["u"] != request.user.pk:
        raise Invalid([{"field": "frozen", "value": None, "message": expired}])
    return list(unpack(frozen["i"]))


def _confirm(request: HttpRequest, action: str, ids: list[int], *, problems: list[str]) -> HttpResponse:
    frozen = clock.sign({"a": action, "u": request.user.pk, "i": pack(ids)}, salt=_SALT)
    if len(frozen) > _MAX_PACKED:
        message = f"{len(ids):,} items are too many at once. Narrow the list with a filter."
        raise Invalid([{"field": "ids", "value": None, "message": message}])
    count = counted(len(ids), "items")
    context = {
        "title": f"{_VERBS[action]} {count}",
        "action": action,
        "count": len(ids),
        "frozen": frozen,
        "problems": problems,
        "repairs": _typed_repairs(request),
        "repair_words": LABELS,
        "reason": request.POST.get("reason", ""),
        "sample": _sample(request, ids, [] if problems else _repairs(request)),
        "more": max(0, len(ids) - _SAMPLE),
        "back": list_url(),
    }
    return render(request, "tracking/bulk.html", context, status=400 if problems else 200)


def _sample(request: HttpRequest, ids: list[int], repairs: list[Repair]) -> list[dict[str, Any]]:
    """The first items as they are and as the repairs would leave them."""
    sample = []
    rows = list(Receipt.objects.filter(pk__in=ids[:_SAMPLE]).select_related("source").order_by("pk"))
    saw_receipts(rows)
    for row in rows:
        before = receipts.payload_of(row, can_view_pii=may_see(request))
        after = repaired(before, repairs, kind=row.kind)
        sample.append(
            {"receipt": row, "before": _glance(before), "after": _glance(after), "differs": after != before}
        )
    return sample


def _glance(payload: Any) -> str:
    text = pretty(payload)
    return text if len(text) <= _GLANCE else f"{text[:_GLANCE]}\n… {len(text) - _GLANCE:,} more characters"


def _typed_repairs(request: HttpRequest) -> list[dict[str, str]]:
    """The rows of the repair form as they were typed, always the same number of them."""
    columns = [request.POST.getlist(name) for name in ("repair", "name", "value")]
    rows = []
    for index in range(REPAIR_ROWS):
        do, name, value = (column[index] if index < len(column) else "" for column in columns)
        rows.append({"do": do, "name": name, "value": value})
    return rows


def _repairs(request: HttpRequest) -> list[Repair]:
    """The repairs of the form; rows without a choice are left out. Raises Invalid."""
    rows: list[dict[str, Any]] = [row for row in _typed_repairs(request) if row["do"]]
    for row in rows:
        if row["do"] == "set":
            row["value"] = _typed(row["value"])
    return read_repairs(rows)


def _typed(text: str) -> Any:
    """A value as people type it: numbers, true, false, lists and objects as JSON, all else as text."""
    text = text.strip()
    try:
        # “007” and “NaN” are no JSON, so they are texts.
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _wrong_repairs(request: HttpRequest) -> list[str]:
    try:
        _repairs(request)
    except Invalid as error:
        return [problem["message"] for problem in error.problems]
    return []


def _do(request: HttpRequest, action: str, ids: list[int]) -> HttpResponse:
    actor = Actor.of_request(request)
    if action == "dismiss" and len(ids) <= PAGE:
        count = dismiss(receipt_ids=ids, reason=request.POST.get("reason", ""), actor=actor)
        messages.success(request, f"{counted(count, 'items')} dismissed. Their receipts stay.")
        return redirect(list_url())
    if action == "dismiss":
        job = dismiss_many(ids=ids, reason=request.POST.get("reason", ""), actor=actor)
    else:
        job = replay_many(ids=ids, repairs=_repairs(request), actor=actor)
    messages.success(request, f"Started: {job.title}. You can leave this page.")
    return redirect("admin:cdp_job_change", job.pk)
