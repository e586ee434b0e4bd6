"""The rules for duplicates: merging without asking, who gets the report, and what was learned from decisions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from cdp.actors import Actor
from cdp.errors import Invalid
from profiles.admin.definitions import LinesField
from profiles.admin.profile_urls import OwnPages
from profiles.admin.staff_views import form_page, render
from profiles.duplicates.review.explain import probability, score_for
from profiles.duplicates.scoring import calibration
from profiles.duplicates.scoring.model import shipped
from profiles.models import DuplicatePolicy
from profiles.pairs.policy import MAX_ADDRESSES, MAX_PER_HOUR, change_policy

# The scores whose meaning the page shows, in bits.
_SCORES = (-4, 0, 4, 8, 12)


class PolicyForm(forms.Form):
    """The verb checks the values; the form only reads them."""

    auto_merge = forms.BooleanField(
        required=False,
        label="Merge certain pairs automatically",
        help_text="Only pairs listed as “Certain”, and never two that somebody marked as not duplicates or locked."
        " Every such merge is in the merge history and can be undone.",
    )
    auto_merge_cap = forms.IntegerField(
        label="Automatic merges per hour, at most",
        min_value=1,
        max_value=MAX_PER_HOUR,
        help_text="So that a broken source cannot merge many people before somebody notices.",
    )
    report_to = LinesField(
        label="Report to",
        help_text=f"E-mail addresses, one per line, at most {MAX_ADDRESSES}. They get the weekly report (Mondays at"
        " seven, the first one within 15 minutes) and the alarm when a source changes what it sends.",
    )


@form_page("profiles.view_duplicatepolicy")
def page(request: HttpRequest) -> HttpResponse:
    """The rules, to change with the right to; else to read. And what was learned from decisions."""
    policy = DuplicatePolicy.current()
    may_change = request.user.has_perm("profiles.change_duplicatepolicy")
    form = PolicyForm(
        request.POST or None, initial={name: getattr(policy, name) for name in PolicyForm.base_fields}
    )
    for field in form.fields.values():
        field.disabled = not may_change
    if request.method == "POST":
        if not may_change:
            raise PermissionDenied
        if form.is_valid() and _save(request, form):
            messages.success(request, "Saved.")
            return redirect(reverse("admin:profiles_duplicatepolicy_changelist"))
    context = {
        "title": "Duplicate rules",
        "form": form,
        "policy": policy,
        "may_change": may_change,
        **_learned(policy),
    }
    return render(request, "scorecard/policy.html", context)


def _save(request: HttpRequest, form: PolicyForm) -> bool:
    try:
        change_policy(changes=form.cleaned_data, actor=Actor.of_request(request))
    except Invalid as refusal:
        for problem in refusal.problems:
            form.add_error(problem["field"] if problem["field"] in form.fields else None, problem["message"])
        return False
    return True


def _learned(policy: DuplicatePolicy) -> dict[str, Any]:
    """What a score means now, beside what it means as shipped."""
    plain = DuplicatePolicy()
    return {
        "scores": [
            (
                f"{score:+d}".replace("-", "−") if score else "0",
                _percent(score, plain),
                _percent(score, policy),
            )
            for score in _SCORES
        ],
        # Without a slope the score says nothing here, and no score is the one of half.
        "even": _score(score_for(0.5, policy)) if policy.calibration_slope > 0 else "",
        "fewest": calibration.MIN_DECISIONS,
        "fewest_of_each": calibration.MIN_OF_EACH_KIND,
        "model_version": shipped().version,
    }


def _score(score: float) -> str:
    """“+2.0”, “−0.5”; plain “0” for what rounds to it."""
    rounded = round(score, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0"


def _percent(score: float, policy: DuplicatePolicy) -> str:
    share = probability(score, policy) * 100
    return f"{share:.1f} %" if share < 1 or share > 99 else f"{share:.0f} %"


class DuplicatePolicyAdmin(OwnPages):
    pages = (("", page, "changelist"),)


admin.site.register(DuplicatePolicy, DuplicatePolicyAdmin)
