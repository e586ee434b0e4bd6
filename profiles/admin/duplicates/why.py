"""Why two profiles are separate: what links them, the fix at its source and in the data, its preview, and applying it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html

from cdp.actors import Actor
from cdp.errors import Forbidden, RuleForbids, Stale
from profiles.admin.merge_rows import differing_rows
from profiles.admin.merging import SECOND_LOOK, needs_second_look, other_warnings
from profiles.admin.staff_views import by, card_url, form_page, may_see, render, root_of, staff_view
from profiles.duplicates.why import (
    Finding,
    Fix,
    FixPreview,
    ProfilePair,
    apply_fix,
    find_profile_pair,
    preview_fix,
    profiles_of_pair,
    why,
)
from profiles.duplicates.why.diagnose import value_display
from profiles.duplicates.why.findings import KEEP_APART
from profiles.duplicates.why.fixes import TITLES, may_apply
from profiles.masking import displayed

DECIDE = "profiles.change_duplicatepair"


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding as the page displays it, with the fixes it offers."""

    finding: Finding
    fixes: list[OfferedFix]

    @property
    def may(self) -> bool:
        return bool(self.fixes) and self.fixes[0].may


@dataclass(frozen=True, slots=True)
class OfferedFix:
    """A fix with its title, and whether the current user may apply it."""

    fix: Fix
    title: str
    may: bool


@form_page("profiles.view_profile", "profiles.view_duplicatepair")
def pair_why(request: HttpRequest, pair_id: int) -> HttpResponse:
    """Of a suggested pair."""
    return _page(request, profiles_of_pair(pair_id))


@form_page("profiles.view_profile", "profiles.view_duplicatepair")
def profile_why(request: HttpRequest, profile_id: int, other: int) -> HttpResponse:
    """Of any two."""
    return _page(request, find_profile_pair(profile_id, other))


@staff_view("profiles.view_profile", "profiles.view_duplicatepair")
def choose(request: HttpRequest, profile_id: int) -> HttpResponse:
    """``?with=`` takes any identifier of the other profile, and redirects to an address with ids alone."""
    wanted = request.GET.get("with", "").strip()
    if wanted:
        return redirect(why_url(find_profile_pair(profile_id, wanted)))
    root = root_of(profile_id)
    context = {
        "title": "Why are these two separate?",
        "root": displayed(root, can_view_pii=may_see(request)),
    }
    return render(request, "duplicates/why_choose.html", context)


def why_url(two: ProfilePair) -> str:
    return reverse("admin:profiles_profile_why", args=[two.a.pk, two.b.pk])


def _page(request: HttpRequest, two: ProfilePair) -> HttpResponse:
    if request.method != "POST":
        return _show(request, two, code=request.GET.get("fix", ""))
    if not request.user.has_perm(DECIDE):
        raise PermissionDenied
    code = request.POST.get("code", "")
    try:
        return _apply(request, two, code)
    except Forbidden as refusal:
        raise PermissionDenied(refusal.message) from refusal
    except Stale as refusal:
        messages.warning(request, refusal.message)
        return _show(request, two, code=code, status=409)


def _apply(request: HttpRequest, two: ProfilePair, code: str) -> HttpResponse:
    # Without a hash nobody looked: any text differs from the state, so a fresh preview is shown.
    seen = request.POST.get("preview_hash") or "none"
    if seen != "none" and needs_second_look(request, two.a.pk, two.b.pk):
        messages.error(request, SECOND_LOOK)
        return _show(request, two, code=code, status=422)
    done = apply_fix(a_id=two.a.pk, b_id=two.b.pk, code=code, preview_hash=seen, **by(request))
    if not done.is_merged:
        messages.success(request, done.message)
        return redirect(card_url(done.profile_id) if code == KEEP_APART else why_url(two))
    text: Any = done.message
    if request.user.has_perm("profiles.unmerge_profile"):
        undo = reverse("admin:profiles_merge_undo", args=[done.merge_id])
        text = format_html('{} <a href="{}">Undo…</a>', done.message, undo)
    messages.success(request, text)
    return redirect(card_url(done.profile_id))


def _show(request: HttpRequest, two: ProfilePair, *, code: str = "", status: int = 200) -> HttpResponse:
    can_view_pii = may_see(request)
    findings = why(
        two, display=value_display(can_view_pii), base_url=f"{request.scheme}://{request.get_host()}"
    )
    actor = Actor.of_request(request)
    preview = _preview(request, two, code) if code else None
    context = {
        "title": "Why are these two separate?",
        "a": displayed(two.a, can_view_pii=can_view_pii),
        "b": displayed(two.b, can_view_pii=can_view_pii),
        "findings": [_row(finding, actor) for finding in findings],
        "here": request.path,
        "preview": preview,
        "likelihood": preview.merge.sections["likelihood"] if preview and preview.merge else None,
        "warnings": other_warnings(preview.merge) if preview and preview.merge else [],
        "rows": differing_rows(preview.merge, can_view_pii=can_view_pii) if preview and preview.merge else [],
        "may_decide": request.user.has_perm(DECIDE),
        "may_see_imports": request.user.has_perm("imports.view_import"),
        "is_decided": any(finding.code == "decided_apart" for finding in findings),
        "titles": TITLES,
    }
    return render(request, "duplicates/why.html", context, status=status)


def _row(finding: Finding, actor: Actor) -> FindingRow:
    may_decide = actor.can(DECIDE)
    fixes = [
        OfferedFix(fix, TITLES[fix.code], may_decide and may_apply(actor, fix.code)) for fix in finding.fixes
    ]
    return FindingRow(finding, fixes)


def _preview(request: HttpRequest, two: ProfilePair, code: str) -> FixPreview | None:
    """What the fix would do; None, and a message, where it cannot be applied."""
    try:
        return preview_fix(two, code=code, display=value_display(may_see(request)), **by(request))
    except Forbidden as refusal:
        raise PermissionDenied(refusal.message) from refusal
    except RuleForbids as refusal:
        messages.error(request, refusal.message)
        return None
