"""The merge wizard and the undo of a merge: chosen profiles → preview → merge. Works without JavaScript."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html

from cdp.errors import NotFound, Refused, Stale
from cdp.ids import row_id, row_ids
from profiles.admin.card_duplicates import suggestions_of
from profiles.admin.merge_rows import (
    CHOICE,
    compare_rows,
    consent_rows,
    counted,
    several_rows,
    value_text,
)
from profiles.admin.profile_list import found_as
from profiles.admin.staff_views import by, card_url, form_page, list_url, may_see, render, root_of, to_card
from profiles.duplicates.review.likelihood import likelihood_of, warnings_of
from profiles.identity.lookup import find_profile
from profiles.masking import displayed
from profiles.merging.merge import merge_many, merge_profiles
from profiles.merging.preview import Preview, preview_many, preview_merge, preview_unmerge
from profiles.merging.preview_sections import sections
from profiles.merging.suggest_winner import suggest_winner
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Merge, Profile
from profiles.search.search import search

SECOND_LOOK = (
    "These may be two people, so nothing was merged. Look again, tick that they are one person, and merge."
)
# Matches of the search for the profile to merge with.
MATCHES = 12


@form_page("profiles.view_profile", "profiles.merge_profile")
def wizard(request: HttpRequest) -> HttpResponse:
    """``?ids=1&ids=2`` from the list, ``?profile=1`` from a card, ``?winner=1&loser=2`` once both are known."""
    params = request.POST if request.method == "POST" else request.GET
    ids = _ids(params)
    if params.get("winner", "").isdecimal() and params.get("loser", "").isdecimal():
        return _two(request, int(params["winner"]), int(params["loser"]), params)
    if len(ids) > 2:
        return _several(request, ids)
    if len(ids) == 2:
        try:
            best = suggest_winner(*ids)
        except NotFound as refusal:
            messages.error(request, refusal.message)
            return redirect(list_url())
        query = {"winner": best.winner_id, "loser": best.loser_id}
        return redirect(f"{_wizard_url()}?{urlencode(query)}")
    if params.get("profile", "").isdecimal() or ids:
        return _choose(request, ids[0] if ids else int(params["profile"]))
    messages.error(request, "Choose two or more people to merge.")
    return redirect(list_url())


def _ids(params: QueryDict) -> list[int]:
    return row_ids(params.getlist("ids"))[:50]


def _wizard_url() -> str:
    return reverse("admin:profiles_profile_merge")


# --- With whom --------------------------------------------------------------------------------------------


def _choose(request: HttpRequest, profile_id: int) -> HttpResponse:
    """The profile's suggested duplicates, and a search by anything."""
    root, can_view_pii = root_of(profile_id), may_see(request)
    text = request.GET.get("q", "").strip()
    context = {
        "title": "Merge with…",
        "root": displayed(root, can_view_pii=can_view_pii),
        "q": text,
        "matches": _matches(root, text, can_view_pii) if text else [],
        "suggestions": [] if text else suggestions_of(root, can_view_pii),
    }
    return render(request, "merge_choose.html", context)


def _matches(root: Profile, text: str, can_view_pii: bool) -> list[tuple[Profile, str]]:
    """(profile, why it matches) of the likeliest matches of a search."""
    result = search(text)
    ranks = {pk: rank for rank, pk in enumerate(result.by_root)}
    roots = Profile.objects.live().exclude(pk=root.pk).filter(result.page_condition).order_by("-pk")
    best = sorted(roots[: MATCHES * 5], key=lambda profile: ranks.get(profile.pk, len(ranks)))
    return [
        (
            displayed(profile, can_view_pii=can_view_pii),
            found_as(result.by_root.get(profile.pk), profile, can_view_pii=can_view_pii),
        )
        for profile in best[:MATCHES]
    ]


# --- Two profiles -----------------------------------------------------------------------------------------


def _two(request: HttpRequest, winner_id: int, loser_id: int, params: QueryDict) -> HttpResponse:
    choices = _choices(params)
    try:
        winner, loser = find_profile(winner_id).root, find_profile(loser_id).root
        if request.method == "POST":
            if needs_second_look(request, winner.pk, loser.pk):
                messages.error(request, SECOND_LOOK)
                return _show(request, winner, loser, choices, status=422)
            return _merge(request, winner.pk, loser.pk, choices)
        return _show(request, winner, loser, choices, take=params.get("take", ""))
    except Stale as refusal:
        messages.warning(request, refusal.message)
        fresh_winner, fresh_loser = (find_profile(pk).root for pk in (winner_id, loser_id))
        return _show(request, fresh_winner, fresh_loser, choices, status=409)
    except Refused as refusal:
        context = {
            "title": "These two cannot be merged",
            "reason": refusal.message,
            "ids": [winner_id, loser_id],
        }
        return render(request, "merge_refused.html", context, status=refusal.status)


def needs_second_look(request: HttpRequest, a_id: int, b_id: int) -> bool:
    """Whether a merge of unlike people was sent without the tick that it asks for."""
    return not request.POST.get("second_look") and bool(likelihood_of(a_id, b_id).second_look)


def other_warnings(preview: Preview) -> list[str]:
    """The warnings beside what stands above the merge."""
    above = warnings_of(preview.sections["likelihood"])
    return [warning for warning in preview.warnings if warning not in above]


def _choices(params: QueryDict) -> dict[str, str]:
    return {
        name.removeprefix(CHOICE): value
        for name, value in params.items()
        if name.startswith(CHOICE) and value in ("winner", "loser")
    }


def _merge(request: HttpRequest, winner_id: int, loser_id: int, choices: dict[str, str]) -> HttpResponse:
    done = merge_profiles(
        winner_id=winner_id,
        loser_id=loser_id,
        choices=choices,
        # Without a hash nobody looked: any text differs from the state, so a fresh preview is shown.
        preview_hash=request.POST.get("preview_hash") or "none",
        **by(request),
    )
    text = "#{} was merged into this profile. Its ids still open this profile."
    if request.user.has_perm("profiles.unmerge_profile"):
        url = reverse("admin:profiles_merge_undo", args=[done.merge_id])
        messages.success(request, format_html(text + ' <a href="{}">Undo…</a>', str(done.loser_id), url))
    else:
        messages.success(request, format_html(text, str(done.loser_id)))
    return to_card(done.winner_id)


def _show(
    request: HttpRequest,
    winner: Profile,
    loser: Profile,
    choices: dict[str, str],
    *,
    take: str = "",
    status: int = 200,
) -> HttpResponse:
    preview = _preview(request, winner.pk, loser.pk, choices)
    if take in ("winner", "loser"):
        choices = {row.field: take for row in preview.fields if row.choosable}
        preview = _preview(request, winner.pk, loser.pk, choices)
    can_view_pii = may_see(request)
    best = suggest_winner(winner.pk, loser.pk)
    context = {
        "title": "Merge 2 profiles",
        "preview": preview,
        "winner": displayed(winner, can_view_pii=can_view_pii),
        "loser": displayed(loser, can_view_pii=can_view_pii),
        "moved": counted(preview.moved),
        "suggestion": best if best.winner_id == winner.pk else None,
        "other_suggestion": best if best.winner_id != winner.pk else None,
        "swap_url": f"{_wizard_url()}?{urlencode({'winner': loser.pk, 'loser': winner.pk})}",
        "has_choices": any(row.choosable and not row.both for row in preview.fields),
        "sections": _sections(preview),
        "second_look": preview.sections["likelihood"]["second_look"],
        "warnings": other_warnings(preview),
        "is_looked_at": request.GET.get("second_look") == "1",
        **_comparison(preview, choices, can_view_pii),
    }
    return render(request, "merge.html", context, status=status)


def _preview(request: HttpRequest, winner_id: int, loser_id: int, choices: dict[str, str]) -> Preview:
    return preview_merge(
        winner_id=winner_id, loser_id=loser_id, choices=choices, can_view_pii=may_see(request), **by(request)
    )


def _comparison(preview: Preview, choices: dict[str, str], can_view_pii: bool) -> dict[str, Any]:
    """The rows by what there is to decide: what differs, what one side fills, what both keep, what is equal."""
    rows = compare_rows(preview, choices, can_view_pii=can_view_pii)
    consents = consent_rows(preview.sections["consents"])
    changing = [row for row in rows if row.row.rule != "same"]
    return {
        "lines": [row for row in rows if not row.is_kept],
        "differing": [row for row in changing if row.row.clash],
        "one_sided": [row for row in changing if not row.row.clash and not row.is_kept],
        "kept": [row for row in changing if not row.row.clash and row.is_kept],
        "equal": [row for row in rows if row.row.rule == "same"],
        "decisive": [row.row.label for row in changing if row.css == "clash"],
        "consents": consents,
        "withdrawn": [consent for consent in consents if consent.is_withdrawn],
    }


def _sections(preview: Preview) -> dict[str, list[tuple[str, Any]]]:
    """(template, data) of the registered sections that the page shows, by their place on it."""
    places: dict[str, list[tuple[str, Any]]] = {"top": [], "table": [], "closing": []}
    for name, section in sections.items():
        if section.template:
            places[section.place].append((section.template, preview.sections[name]))
    return places


# --- More than two ----------------------------------------------------------------------------------------


def _several(request: HttpRequest, ids: list[int]) -> HttpResponse:
    """Several profiles into one, one after another: what that does, then the report."""
    roots = Profile.objects.live().filter(pk__in=Profile.objects.filter(pk__in=ids).values("canonical_id"))
    profiles = list(roots.order_by("first_seen_at", "pk"))
    params = request.POST if request.method == "POST" else request.GET
    best = _best(profiles)
    chosen = row_id(params.get("winner_of_all"))
    if request.method == "POST" and request.POST.get("confirm"):
        if chosen not in [profile.pk for profile in profiles]:
            messages.error(request, "Choose the profile to keep.")
            return redirect(f"{_wizard_url()}?{urlencode({'ids': ids}, doseq=True)}")
        others = [profile.pk for profile in profiles if profile.pk != chosen]
        if any(needs_second_look(request, chosen, pk) for pk in others):
            messages.error(request, SECOND_LOOK)
            return redirect(f"{_wizard_url()}?{urlencode({'ids': ids, 'winner_of_all': chosen}, doseq=True)}")
        try:
            return _merge_several(request, chosen, others)
        except Stale as refusal:
            messages.warning(request, refusal.message)
            return _show_several(request, profiles, chosen, best, status=409)
    winner_id = chosen if chosen in [profile.pk for profile in profiles] else best
    return _show_several(request, profiles, winner_id, best)


def _show_several(
    request: HttpRequest, profiles: list[Profile], winner_id: int, best: int, *, status: int = 200
) -> HttpResponse:
    can_view_pii = may_see(request)
    profiles = sorted(profiles, key=lambda profile: profile.pk != winner_id)
    losers = [profile.pk for profile in profiles if profile.pk != winner_id]
    preview = preview_many(winner_id=winner_id, loser_ids=losers, can_view_pii=can_view_pii, **by(request))
    likelihoods = {pk: likelihood_of(winner_id, pk) for pk in losers}
    moved: Counter[str] = Counter()
    for step in preview.steps:
        moved.update(step.moved)
    consents = [row for step in preview.steps for row in consent_rows(step.sections["consents"])]
    context = {
        "title": f"Merge {len(profiles)} profiles",
        "people": [
            (displayed(profile, can_view_pii=can_view_pii), likelihoods.get(profile.pk))
            for profile in profiles
        ],
        "second_look": any(likelihood.second_look for likelihood in likelihoods.values()),
        "winner_id": winner_id,
        "best": best,
        "count": len(profiles),
        "losers": len(losers),
        "columns": len(profiles) + 2,
        "preview": preview,
        "rows": several_rows(profiles, preview, can_view_pii=can_view_pii),
        "moved": counted(dict(moved)),
        "warnings": list(dict.fromkeys(text for step in preview.steps for text in step.warnings)),
        "withdrawn": [consent for consent in consents if consent.is_withdrawn],
        "webhooks": preview.steps[0].webhooks if preview.steps else [],
    }
    return render(request, "merge_several.html", context, status=status)


def _best(profiles: list[Profile]) -> int:
    """The suggested survivor among all: the one that wins against each of the others (a total order)."""
    best = profiles[0].pk if profiles else 0
    for profile in profiles[1:]:
        best = suggest_winner(best, profile.pk).winner_id
    return best


def _merge_several(request: HttpRequest, winner_id: int, loser_ids: list[int]) -> HttpResponse:
    # In the order of the preview; without a hash nobody looked, and a preview is shown.
    done = merge_many(
        winner_id=winner_id,
        loser_ids=loser_ids,
        preview_hash=request.POST.get("preview_hash") or "none",
        **by(request),
    )
    merged = [(merge, counted(merge.moved)) for merge in done.merged]
    context = {"title": "Merge report", "done": done, "merged": merged, "winner_id": winner_id}
    return render(request, "merge_report.html", context)


# --- Undo -------------------------------------------------------------------------------------------------


@form_page("profiles.view_profile", "profiles.unmerge_profile")
def undo(request: HttpRequest, merge_id: int) -> HttpResponse:
    """What goes back and what stays, then the undo."""
    if request.method == "POST":
        done = unmerge_profiles(merge_id=merge_id, **by(request))
        text = 'Separated again. <a href="{}">Open #{}</a>'
        messages.success(request, format_html(text, card_url(done.loser_id), str(done.loser_id)))
        return to_card(done.winner_id)
    try:
        preview = preview_unmerge(merge_id=merge_id, **by(request))
    except NotFound:
        raise
    except Refused as refusal:
        refused: dict[str, Any] = {
            "title": "This merge cannot be undone",
            "reason": refusal.message,
            "ids": [],
        }
        return render(request, "merge_refused.html", refused, status=refusal.status)
    can_view_pii = may_see(request)
    context: dict[str, Any] = {
        "title": "Undo a merge",
        "preview": preview,
        "merge": Merge.objects.select_related("user", "key", "source").get(pk=merge_id),
        "winner": displayed(preview.winner.profile, can_view_pii=can_view_pii),
        "loser": displayed(preview.loser.profile, can_view_pii=can_view_pii),
        "rows": [
            (row.label, *(value_text(row.field, value, can_view_pii=can_view_pii) for value in values))
            for row, values in ((row, (row.now, row.winner, row.loser)) for row in preview.fields)
        ],
        "moved": counted(preview.moved),
    }
    return render(request, "unmerge.html", context)
