"""Many pairs → one batch of merges: from a file or the duplicates, through preview and merging, to the undo."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Invalid, Refused
from cdp.ids import row_id
from cdp.plurals import noun
from profiles.admin.duplicates.listing import read_wanted
from profiles.admin.staff_views import by, form_page, may_see, render, staff_view, write
from profiles.duplicates.review import queue
from profiles.masking import displayed
from profiles.merging.batches.apply import discard_batch, start_batch
from profiles.merging.batches.freeze import LIMIT, PERMISSION, find_batch, make_batch
from profiles.merging.batches.pair_file import PairFile, read_pairs
from profiles.merging.batches.preview import preview_batch
from profiles.merging.batches.report import left_csv, left_rows, tally
from profiles.merging.batches.undo import undo_batch
from profiles.models import AttributeDefinition, MergeBatch, MergeBatchRow, Profile, Tier
from profiles.values.attributes import CUSTOM, attribute_specs, label_of

PAGE = 50
# Shown on a page; the file has all.
LEFT_OUT_ROWS = 100
SAMPLE = 12
PROBLEM_ROWS = 50
_SEE = ("profiles.view_profile", "profiles.view_merge")


def url(name: str, batch: MergeBatch) -> str:
    return reverse(f"admin:profiles_mergebatch_{name}", args=[batch.pk])


@staff_view(*_SEE)
def batches(request: HttpRequest) -> HttpResponse:
    """Every batch, newest first. One query."""
    rows = MergeBatch.objects.select_related("user", "key", "job", "undo_job").order_by("-pk")
    if before := row_id(request.GET.get("before")):
        rows = rows.filter(pk__lt=before)
    page = list(rows[: PAGE + 1])
    context = {
        "title": "Merges in bulk",
        "rows": page[:PAGE],
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "is_first": not before,
        "may_merge": request.user.has_perm(PERMISSION),
    }
    return render(request, "batch/list.html", context)


# --- The duplicates queue ---------------------------------------------------------------------------------


@write(*_SEE, "profiles.view_duplicatepair", PERMISSION)
def of_queue(request: HttpRequest) -> HttpResponseBase:
    """All pairs the queue's filter in the address lets through, the surest first. Related people never."""
    wanted = read_wanted(request.GET)
    if wanted.state == queue.DECIDED or wanted.tier == Tier.RELATED:
        message = (
            "Only pairs that wait for a decision can be merged, and related people are different people."
        )
        raise Invalid([{"field": "tier", "value": wanted.tier, "message": message}])
    pairs = queue.pairs(wanted).exclude(tier=Tier.RELATED).order_by("-score", "-pk")
    what = f"{Tier(wanted.tier).label} duplicates" if wanted.tier else "Duplicates"
    batch = make_batch(pairs, title=f"{what}, as filtered", **by(request))
    return redirect(url("change", preview_batch(batch_id=batch.pk, actor=Actor.of_request(request))))


# --- A file of pairs --------------------------------------------------------------------------------------


@form_page(*_SEE, PERMISSION)
def upload(request: HttpRequest) -> HttpResponse:
    """Two columns, winner and loser. What cannot be read is named by line and column, and nothing is made of it."""
    context: dict[str, Any] = {"title": "Merge the pairs of a file", "limit": LIMIT}
    if request.method != "POST":
        return render(request, "batch/upload.html", context)
    file = request.FILES.get("file")
    if file is None:
        return render(request, "batch/upload.html", {**context, "problem": "Choose a file."}, status=400)
    try:
        read = read_pairs(file.read())
        if read.problems and not (read.pairs and request.POST.get("rest") == "skip"):
            return _show_problems(request, {**context, "name": file.name}, read)
        batch = make_batch(
            read.pairs, title=f"Pairs of {file.name}", origin=MergeBatch.Origin.CSV, **by(request)
        )
    except Refused as refusal:
        context |= {"problem": refusal.message, "name": file.name}
        return render(request, "batch/upload.html", context, status=refusal.status)
    if lines := len({problem.line_no for problem in read.problems}):
        text = "line matches nobody and is left out" if lines == 1 else "lines match nobody and are left out"
        messages.warning(request, f"{lines:,} {text}.")
    return redirect(url("change", preview_batch(batch_id=batch.pk, actor=Actor.of_request(request))))


def _show_problems(request: HttpRequest, context: dict[str, Any], read: PairFile) -> HttpResponse:
    context |= {
        "problems": read.problems[:PROBLEM_ROWS],
        "problem_count": len(read.problems),
        "more": max(0, len(read.problems) - PROBLEM_ROWS),
        "good": len(read.pairs),
    }
    return render(request, "batch/upload.html", context, status=400)


# --- One batch --------------------------------------------------------------------------------------------


@staff_view(*_SEE)
def show(request: HttpRequest, batch_id: int) -> HttpResponse:
    """What will happen, how far it is, or what happened. A handful of queries for any number of pairs."""
    batch = find_batch(batch_id)
    counts = tally(batch)
    left = list(left_rows(batch)[:LEFT_OUT_ROWS])
    outcome = MergeBatchRow.Outcome
    context = {
        "title": batch.title,
        "batch": batch,
        "job": batch.current_job,
        "here": url("change", batch),
        "may_merge": request.user.has_perm(PERMISSION),
        "preview": _preview(batch),
        "outcomes": [(label, counts.count(value)) for value, label in outcome.choices if counts.count(value)],
        "waiting": counts.count(outcome.WAITING),
        "to_undo": 0 if batch.is_busy else counts.count(outcome.MERGED) + counts.count(outcome.KEPT),
        "reasons": counts.reasons,
        "left": left,
        "left_count": sum(reason.count for reason in counts.reasons),
        "sample": _sample(batch, can_view_pii=may_see(request)),
    }
    return render(request, "batch/show.html", context)


def _preview(batch: MergeBatch) -> dict[str, Any]:
    """The preview's numbers in words; empty while nobody looked. One query."""
    seen = batch.preview
    if not seen:
        return {}
    specs = attribute_specs()
    ruled = seen.get("ruled", {})
    rules = {CUSTOM + row.name: AttributeDefinition.MergeRule(row.rule).label for row in _definitions(ruled)}
    return {
        "merges": seen["merges"],
        "people": seen["people"],
        "consents": seen["consents"],
        "moved": [(noun(kind, n), n) for kind, n in seen["moved"].items() if n and kind != "profiles"],
        "fields": [(label_of(key, specs), n) for key, n in seen["fields"].items()],
        "filled": [(label_of(key, specs), n) for key, n in seen["filled"].items()],
        "ruled": [(label_of(key, specs), rules.get(key, "").lower(), n) for key, n in ruled.items()],
    }


def _definitions(fields: Iterable[str]) -> Iterable[AttributeDefinition]:
    """No query where there are none."""
    names = [field.removeprefix(CUSTOM) for field in fields]
    return AttributeDefinition.objects.filter(name__in=names) if names else ()


def _sample(batch: MergeBatch, *, can_view_pii: bool) -> list[tuple[MergeBatchRow, str, str]]:
    """The first pairs that are, were or will be merged, with names for those who may see them. Two queries."""
    outcome = MergeBatchRow.Outcome
    listed = [outcome.WAITING, outcome.MERGED, outcome.UNDONE]
    rows = list(batch.rows.filter(outcome__in=listed).order_by("position")[:SAMPLE])
    ids = {pk for row in rows for pk in (row.winner_id, row.loser_id)}
    profiles = Profile.objects.exclude(status=Profile.Status.DELETED).defer("search").in_bulk(ids)

    def name(pk: int) -> str:
        return displayed(profiles[pk], can_view_pii=True).name if can_view_pii and pk in profiles else ""

    return [(row, name(row.winner_id), name(row.loser_id)) for row in rows]


@write(*_SEE, PERMISSION)
def start(request: HttpRequest, batch_id: int) -> HttpResponseBase:
    batch = start_batch(batch_id=batch_id, actor=Actor.of_request(request))
    messages.success(
        request, "Merging. You can leave this page; every merge can be undone, also all at once."
    )
    return redirect(url("change", batch))


@write(*_SEE, PERMISSION)
def discard(request: HttpRequest, batch_id: int) -> HttpResponseBase:
    batch = discard_batch(batch_id=batch_id, actor=Actor.of_request(request))
    messages.success(request, "Discarded. Nothing was merged.")
    return redirect(url("change", batch))


@form_page(*_SEE, PERMISSION)
def undo(request: HttpRequest, batch_id: int) -> HttpResponseBase:
    """Says how many merges go back, then does it."""
    batch = find_batch(batch_id)
    outcome = MergeBatchRow.Outcome
    if request.method == "POST":
        undo_batch(batch_id=batch.pk, actor=Actor.of_request(request))
        messages.success(request, "Undoing, the latest merge first. You can leave this page.")
        return redirect(url("change", batch))
    count = batch.rows.filter(outcome__in=[outcome.MERGED, outcome.KEPT]).count()
    if batch.is_busy or not count:
        messages.error(request, "There is nothing to undo here right now.")
        return redirect(url("change", batch))
    return render(request, "batch/undo.html", {"title": "Undo a batch", "batch": batch, "count": count})


@staff_view(*_SEE)
def left_file(request: HttpRequest, batch_id: int) -> HttpResponseBase:
    """The pairs that were left out, with the reasons."""
    batch = find_batch(batch_id)
    actor = Actor.of_request(request)
    audit.record("merge.batch.download", actor=actor, subject=f"merge_batch:{batch.pk}")
    headers = {"Content-Disposition": f'attachment; filename="merges-{batch.pk}-left-out.csv"'}
    return StreamingHttpResponse(left_csv(batch), content_type="text/csv; charset=utf-8", headers=headers)
