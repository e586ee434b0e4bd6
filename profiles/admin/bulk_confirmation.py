"""People ticked or filtered → a confirmation with their exact count → the action on exactly these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.signing import BadSignature
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse

from cdp import clock
from cdp.admin.jobs import FollowUp
from cdp.errors import Invalid, Refused
from cdp.ids import row_ids
from cdp.models import Job
from cdp.plurals import counted
from profiles.admin.bulk_forms import BulkForm, form_of
from profiles.admin.list_filters import PLACING, VIEWING, without
from profiles.admin.profile_list import filter_of
from profiles.admin.staff_views import by, form_page, list_url, may_see, render, write
from profiles.bulk.run_action import INLINE, KIND, Action, actions, freeze, pack, run_bulk, unpack
from profiles.masking import displayed
from profiles.models import Profile
from profiles.privacy.restore import deleted_by_job

_SALT = "profiles.bulk"
_VALID_SECONDS = 3600
# The signed list travels in the form; above this the form itself would be refused.
_MAX_PACKED = 3_000_000
_SAMPLE = 8


@dataclass(frozen=True, slots=True)
class Chosen:
    """The people of a confirmed list. ``filters`` are the list's parameters that chose them, None where they were
    ticked one by one."""

    ids: list[int]
    filters: str | None = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is confirmed. ``run(request, chosen)`` does it to the people of the confirmed list.

    ``done``, such as "deleted", is given for what is destructive: then the number of people has to be typed.
    ``status`` is that of the people: live ones, or deleted ones.
    """

    name: str
    verb: str
    permission: str
    form: BulkForm
    run: Callable[[HttpRequest, Chosen], HttpResponse]
    done: str = ""
    status: Profile.Status = Profile.Status.LIVE

    @property
    def list_url(self) -> str:
        """The list its people come from."""
        is_live = self.status == Profile.Status.LIVE
        return list_url() if is_live else reverse("admin:profiles_profile_deleted")


@write("profiles.view_profile")
def bulk(request: HttpRequest, action: str) -> HttpResponse:
    """A registered action on many people."""
    if action not in actions:
        raise Http404(f"“{action}” is not a bulk action.")
    return confirmed(request, _confirmation(action, actions[action]))


def _confirmation(name: str, action: Action) -> Confirmation:
    return Confirmation(
        name=name,
        verb=action.verb,
        permission=action.permission,
        form=form_of(name),
        run=partial(_run, name),
        done=action.done if action.is_destructive else "",
        status=action.status,
    )


@form_page("profiles.restore_profile", "profiles.bulk_restore")
def restore_deleted_by(request: HttpRequest, job_id: int) -> HttpResponse:
    """Takes back what a job deleted, as far as it is still deleted."""
    what = _confirmation("restore", actions["restore"])
    if request.method == "POST":
        return confirmed(request, what)
    ids = deleted_by_job(job_id)
    if not ids:
        messages.info(request, f"Nobody whom job #{job_id} deleted is still deleted.")
        return redirect(what.list_url)
    return _confirm(request, what, Chosen(ids), problems=[])


def confirmed(request: HttpRequest, what: Confirmation) -> HttpResponse:
    """First call: the ids ticked, or everybody matching the list's filters → the confirmation.
    Second call: the signed list and the confirmation → what is confirmed."""
    # Deleted people are shown to those alone who may restore them.
    needed = {what.permission} | (
        {"profiles.restore_profile"} if what.status != Profile.Status.LIVE else set()
    )
    if not all(map(request.user.has_perm, needed)):
        raise PermissionDenied
    if "frozen" not in request.POST:
        return _confirm(request, what, _chosen(request, what.status), problems=[])
    chosen = _thaw(request, what)
    problems = _unconfirmed(request, what, len(chosen.ids))
    if not problems:
        try:
            return what.run(request, chosen)
        except Refused as refusal:
            problems = [problem["message"] for problem in refusal.problems] or [refusal.message]
    return _confirm(request, what, chosen, problems=problems)


def undo_of_deletion(job: Job, user: Any) -> FollowUp | None:
    """The button of a job that deleted people, some of whom are still deleted."""
    if job.kind != KIND or job.params.get("action") != "delete":
        return None
    if not (user.has_perm("profiles.restore_profile") and user.has_perm("profiles.bulk_restore")):
        return None
    ids = deleted_by_job(job.pk)
    if not ids:
        return None
    url = reverse("admin:profiles_profile_restore_deleted_by", args=[job.pk])
    return FollowUp(f"Restore {counted(len(ids), 'people')}", url)


def _chosen(request: HttpRequest, status: str) -> Chosen:
    """The people meant now, in id order: ticked ones, or all the filters match. One or a few queries."""
    query: str | None = None
    if request.POST.get("everyone"):
        params = QueryDict(request.POST.get("filters", ""))
        filters, problems = filter_of(params, status=status)
        if problems:
            raise Invalid([{"field": "filters", "value": None, "message": problems[0]}])
        ids, query = freeze(filters.qs), without(params, *PLACING, *VIEWING, "status").urlencode()
    else:
        ticked = row_ids(request.POST.getlist("ids"))
        ids = freeze(Profile.objects.filter(status=status, pk__in=ticked))
    if not ids:
        raise Invalid([{"field": "ids", "value": None, "message": "Tick at least one person first."}])
    return Chosen(ids, query)


def _confirm(
    request: HttpRequest, what: Confirmation, chosen: Chosen, *, problems: list[str]
) -> HttpResponse:
    ids = chosen.ids
    signed = {"a": what.name, "u": request.user.pk, "i": pack(ids), "f": chosen.filters}
    frozen = clock.sign(signed, salt=_SALT)
    if len(frozen) > _MAX_PACKED:
        message = f"{len(ids):,} people are too many for one action. Narrow the list with a filter."
        raise Invalid([{"field": "ids", "value": None, "message": message}])
    sample = Profile.objects.filter(pk__in=ids[:_SAMPLE]).order_by("pk")
    context = {
        **what.form.context(),
        **what.form.preview(ids),
        "title": f"{what.verb} {counted(len(ids), 'people')}",
        "form_template": what.form.template,
        "is_destructive": bool(what.done),
        "count": len(ids),
        "frozen": frozen,
        "sample": [displayed(profile, can_view_pii=may_see(request)) for profile in sample],
        "more": max(0, len(ids) - _SAMPLE),
        "is_job": len(ids) > INLINE,
        "problems": problems,
        "params": request.POST,
        "back": what.list_url,
        "is_of_deleted": what.status == Profile.Status.DELETED,
    }
    return render(request, "bulk.html", context)


def _thaw(request: HttpRequest, what: Confirmation) -> Chosen:
    """The list as it was counted, for this person and action alone, within the hour."""
    expired = "This confirmation has expired or belongs to another login. Choose the people again."
    try:
        signed = clock.unsign(request.POST["frozen"], salt=_SALT, max_age=_VALID_SECONDS)
    except BadSignature as error:
        raise Invalid([{"field": "frozen", "value": None, "message": expired}]) from error
    if signed["a"] != what.name or signed["u"] != request.user.pk:
        raise Invalid([{"field": "frozen", "value": None, "message": expired}])
    return Chosen(list(unpack(signed["i"])), signed.get("f"))


def _unconfirmed(request: HttpRequest, what: Confirmation, count: int) -> list[str]:
    """What is destructive asks for the number to be typed."""
    if not what.done:
        return []
    typed = request.POST.get("count", "").replace(",", "").replace(" ", "").replace("\u202f", "")
    return (
        [] if typed == str(count) else [f"Type {count:,} to confirm that this many people are {what.done}."]
    )


def _run(name: str, request: HttpRequest, chosen: Chosen) -> HttpResponse:
    action = actions[name]
    params = form_of(name).read(request.POST)
    outcome = run_bulk(action=name, profile_ids=chosen.ids, params=params, **by(request))
    if outcome.job is not None:
        messages.success(request, f"Started: {outcome.job.title}. You can leave this page.")
        return redirect("admin:cdp_job_change", outcome.job.pk)
    text = f"{counted(outcome.changed, 'people')} {action.done}."
    same = outcome.asked - outcome.changed
    if same and not action.is_destructive:
        text += f" {same:,} needed no change."
    messages.success(request, text)
    for remark in outcome.remarks:
        messages.warning(request, remark)
    return redirect(_confirmation(name, action).list_url)
