"""The merge wizard and the undo of a merge (M1-M7). Works without JavaScript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html

from cdp.errors import NotFound, Refused, Stale
from cdp.ids import row_ids
from profiles.admin.door import by, card_url, form_page, list_url, may_see, render, root_of, to_card
from profiles.admin.profile_list import found_as
from profiles.admin.timeline_text import plural
from profiles.finding.search import search
from profiles.identity.resolve import find_profile
from profiles.masking import DOTS, mask, mask_identifier, mask_profile
from profiles.merging.merge import merge_many, merge_profiles
from profiles.merging.preview import ConsentRow, FieldRow, Preview, preview_merge, preview_unmerge
from profiles.merging.suggest_winner import suggest_winner
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Merge, Profile
from profiles.values.attributes import CUSTOM, display

FOUND = 12
CHOICE = "choice."
# Two people seldom share these by mistake; a difference is a reason to stop and think.
_TELLING = ("birth_date",)
_RULES = {
    "same": "",
    "winner": "",
    "fill": "filled from the loser",
    "choice": "chosen",
    "union": "both are kept",
}
_CONSENT_RULES = {
    "same": "",
    "only": "",
    "latest": "latest decision wins",
    "caution": "a tie or unknown time means no",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the comparison, ready to show; ``css`` is same, diff, clash or empty."""

    row: FieldRow
    winner: str
    loser: str
    result: str
    said: str
    css: str
    chosen: str

    @property
    def is_held(self) -> bool:
        """Identifiers and tags, of which both sides keep theirs."""
        return self.row.field == "tags" or self.row.field.startswith("identifiers.")

    @property
    def input(self) -> str:
        return CHOICE + self.row.field


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


# --- Who is the other -------------------------------------------------------------------------------------


def _choose(request: HttpRequest, profile_id: int) -> HttpResponse:
    """Search the other by anything (M1)."""
    root, sees = root_of(profile_id), may_see(request)
    text = request.GET.get("q", "")
    found = search(text)
    roots = (
        Profile.objects.live().exclude(pk=root.pk).filter(found.page_condition)
        if text
        else Profile.objects.none()
    )
    order = {pk: place for place, pk in enumerate(found.by_root)}
    people = sorted(roots.order_by("-pk")[: FOUND * 5], key=lambda one: order.get(one.pk, len(order)))[:FOUND]
    rows = [(seen_by(one, sees), found_as(found.by_root.get(one.pk), one, sees=sees)) for one in people]
    context = {"title": "Merge with…", "root": seen_by(root, sees), "q": text, "rows": rows}
    return render(request, "merge_choose.html", context)


def seen_by(profile: Profile, sees: bool) -> Profile:
    return profile if sees else mask_profile(profile)


# --- Two people -------------------------------------------------------------------------------------------


def _two(request: HttpRequest, winner_id: int, loser_id: int, params: QueryDict) -> HttpResponse:
    choices = _choices(params)
    try:
        winner, loser = find_profile(winner_id).root, find_profile(loser_id).root
        if request.method == "POST":
            return _merge(request, winner.pk, loser.pk, choices)
        return _show(request, winner, loser, choices, take=params.get("take", ""))
    except Stale as refusal:
        messages.warning(request, refusal.message)
        fresh_winner, fresh_loser = _fresh(winner_id, loser_id)
        return _show(request, fresh_winner, fresh_loser, choices, status=409)
    except Refused as refusal:
        context = {
            "title": "These two cannot be merged",
            "reason": refusal.message,
            "ids": [winner_id, loser_id],
        }
        return render(request, "merge_refused.html", context, status=refusal.status)


def _fresh(*ids: int) -> list[Profile]:
    return [find_profile(pk).root for pk in ids]


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
    url = reverse("admin:profiles_merge_undo", args=[done.merge_id])
    text = "#{} was merged into this profile. Its ids keep leading here."
    if request.user.has_perm("profiles.unmerge_profile"):
        said = format_html(text + ' <a href="{}">Undo…</a>', str(done.loser_id), url)
    else:
        said = format_html(text, str(done.loser_id))
    messages.success(request, said)
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
    sees = may_see(request)
    best = suggest_winner(winner.pk, loser.pk)
    lines = [_line(row, choices, sees) for row in preview.fields]
    context = {
        "title": "Merge 2 profiles",
        "preview": preview,
        "winner": seen_by(winner, sees),
        "loser": seen_by(loser, sees),
        "lines": [line for line in lines if not line.is_held],
        "held_lines": [line for line in lines if line.is_held],
        "consents": [(row, _CONSENT_RULES.get(row.rule, ""), _consent_css(row)) for row in preview.consents],
        "moved": counted(preview.moved),
        "suggestion": best if best.winner_id == winner.pk else None,
        "other_suggestion": best if best.winner_id != winner.pk else None,
        "swap_url": f"{_wizard_url()}?{urlencode({'winner': loser.pk, 'loser': winner.pk})}",
        "has_choices": any(row.choosable and not row.both for row in preview.fields),
    }
    return render(request, "merge.html", context, status=status)


def _preview(request: HttpRequest, winner_id: int, loser_id: int, choices: dict[str, str]) -> Preview:
    sees = may_see(request)
    return preview_merge(
        winner_id=winner_id, loser_id=loser_id, choices=choices, can_view_pii=sees, **by(request)
    )


def _line(row: FieldRow, choices: dict[str, str], sees: bool) -> Line:
    winner, loser, result = (_text(row.field, value, sees) for value in (row.winner, row.loser, row.result))
    chosen = choices.get(row.field) or ("loser" if row.rule == "fill" else "winner")
    css = "same" if row.rule == "same" else "diff" if row.clash else ""
    css = "clash" if row.clash and row.field in _TELLING else css
    return Line(row, winner, loser, result, _said(row), css, chosen)


def compared(preview: Preview, sees: bool) -> list[Line]:
    """A preview's rows, ready to show, those that are the same on both sides left out."""
    return [_line(row, {}, sees) for row in preview.fields if row.rule != "same"]


def _said(row: FieldRow) -> str:
    """Why the result is what it is, where that is not plain to see."""
    if row.rule == "winner" and row.clash:
        return "the other value stays as an alternate"
    if row.rule == "union" and not (row.winner and row.loser):
        return ""
    return _RULES.get(row.rule, "")


def counted(moved: dict[str, int]) -> list[tuple[str, int]]:
    """What came over, without zeros; “1 tag”, “2 tags”."""
    return [(plural(name, count), count) for name, count in moved.items() if count]


def _text(field: str, value: Any, sees: bool) -> str:
    """A value of the comparison as people read it, masked where need be."""
    if value in (None, "", []):
        return ""
    kind = field.removeprefix("identifiers.")
    if isinstance(value, list):
        is_identifier = field.startswith("identifiers.")
        shown = [mask_identifier(kind, str(one)) for one in value] if is_identifier and not sees else value
        if field.startswith(CUSTOM) and not sees:
            return DOTS
        return ", ".join(map(str, shown))
    shown = value if sees else mask(field, value)
    return DOTS if shown == DOTS else display(field, shown)


def _consent_css(row: ConsentRow) -> str:
    return "diff" if row.winner and row.loser and row.winner != row.loser else ""


# --- More than two ----------------------------------------------------------------------------------------


def _several(request: HttpRequest, ids: list[int]) -> HttpResponse:
    """Several losers into one winner, one after another, with a report (M7)."""
    sees = may_see(request)
    roots = Profile.objects.live().filter(pk__in=Profile.objects.filter(pk__in=ids).values("canonical_id"))
    people = list(roots.order_by("first_seen_at", "pk"))
    if request.method == "POST" and request.POST.get("confirm"):
        return _merge_several(request, [one.pk for one in people])
    best = _best(people)
    context = {
        "title": f"Merge {len(people)} profiles",
        "people": [seen_by(one, sees) for one in people],
        "best": best,
        "count": len(people),
        "losers": len(people) - 1,
    }
    return render(request, "merge_several.html", context)


def _best(people: list[Profile]) -> int:
    """The suggested winner among all: whoever wins against each of the others (a total order)."""
    best = people[0].pk if people else 0
    for one in people[1:]:
        best = suggest_winner(best, one.pk).winner_id
    return best


def _merge_several(request: HttpRequest, ids: list[int]) -> HttpResponse:
    raw = request.POST.get("winner_of_all", "")
    winner_id = int(raw) if raw.isdecimal() else 0
    if winner_id not in ids:
        messages.error(request, "Choose who survives.")
        return redirect(f"{_wizard_url()}?{urlencode({'ids': ids}, doseq=True)}")
    done = merge_many(winner_id=winner_id, loser_ids=[pk for pk in ids if pk != winner_id], **by(request))
    context = {"title": "Merge report", "done": done, "winner_id": winner_id}
    return render(request, "merge_report.html", context)


# --- Undo -------------------------------------------------------------------------------------------------


@form_page("profiles.view_profile", "profiles.unmerge_profile")
def undo(request: HttpRequest, merge_id: int) -> HttpResponse:
    """What goes back and what stays, then the undo (M6)."""
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
    sees = may_see(request)
    context: dict[str, Any] = {
        "title": "Undo a merge",
        "preview": preview,
        "merge": Merge.objects.select_related("user", "key", "source").get(pk=merge_id),
        "winner": seen_by(preview.winner.profile, sees),
        "loser": seen_by(preview.loser.profile, sees),
        "rows": [
            (row.label, *(_text(row.field, value, sees) for value in (row.now, row.winner, row.loser)))
            for row in preview.fields
        ],
        "moved": counted(preview.moved),
    }
    return render(request, "unmerge.html", context)
