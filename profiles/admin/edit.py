"""Forms that add a person, change attributes, delete and restore."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html

from cdp.errors import Invalid, Refused, Stale
from profiles.admin.forms import AttributesForm, read_seen, seen_of, texts_of
from profiles.admin.staff_views import (
    by,
    form_page,
    list_url,
    render,
    root_of,
    to_card,
    visible_root,
    with_link,
)
from profiles.editing import create_profile, update_profile
from profiles.identity.types import identifier_types
from profiles.models import Event, Identifier, Profile, Tag
from profiles.privacy.delete import DeleteReason, delete_profiles
from profiles.privacy.restore import restore_profile
from profiles.values.attributes import DEFAULTS, AttributeSpec, attribute_specs


@dataclass(frozen=True, slots=True)
class Clash:
    """A field somebody else changed meanwhile: what it says now, and what was about to be saved."""

    label: str
    now: str
    mine: str


@form_page("profiles.add_profile", "profiles.view_pii")
def add(request: HttpRequest) -> HttpResponse:
    """A person by hand; a first or last name is enough."""
    specs, types = attribute_specs(), identifier_types()
    form = AttributesForm(specs.values(), request.POST if request.method == "POST" else None)
    typed = {name: request.POST.get(f"identifier.{name}", "").strip() for name in types}
    tags = [tag for tag in request.POST.get("tags", "").split(",") if tag.strip()]
    if request.method == "POST":
        try:
            made = create_profile(
                values={key: value for key, value in form.values().items() if value is not None},
                identifiers=[(name, raw) for name, raw in typed.items() if raw],
                tags=tags,
                **by(request),
            )
        except Refused as refusal:
            _explain(form, refusal)
        else:
            for warning in made.warnings:
                messages.warning(request, warning)
            messages.success(request, f"{made.profile.name} was added.")
            return to_card(made.profile.pk)
    names = [name for name in types if name not in ("email", "phone", "anonymous_id")]
    context = {
        "title": "Add a person",
        "names": [form["first_name"], form["last_name"]],
        "contact": [form[key] for key in DEFAULTS if key not in ("first_name", "last_name")],
        "custom": [form[key] for key in specs if key not in DEFAULTS],
        "form": form,
        "identifiers": [(types[name].row, f"identifier.{name}", typed[name]) for name in names],
        "tags": ", ".join(tags),
        "tag_names": list(Tag.objects.values_list("name", flat=True)[:300]),
    }
    return render(request, "add.html", context)


@form_page("profiles.change_profile", "profiles.view_pii")
def edit(request: HttpRequest, profile_id: int) -> HttpResponse:
    """All attributes of one person."""
    root = root_of(profile_id)
    specs = attribute_specs()
    return _edit(request, root, specs.values(), specs, "edit.html")


@form_page("profiles.change_profile", "profiles.view_pii")
def edit_field(request: HttpRequest, profile_id: int, field: str) -> HttpResponse:
    """One attribute: a small page, or the same form inside the card."""
    root, specs = root_of(profile_id), attribute_specs()
    if field not in specs:
        raise Http404(f"There is no attribute “{field}”.")
    template = "field_form.html" if request.headers.get("HX-Request") else "field.html"
    return _edit(request, root, [specs[field]], specs, template)


def _edit(
    request: HttpRequest,
    root: Profile,
    chosen: Iterable[AttributeSpec],
    specs: dict[str, AttributeSpec],
    template: str,
) -> HttpResponse:
    chosen = list(chosen)
    clashes: list[Clash] = []
    form = AttributesForm.of(root, chosen)
    if request.method == "POST":
        form = AttributesForm(chosen, request.POST)
        version = request.POST.get("version", "")
        try:
            done = update_profile(
                profile_id=root.pk,
                values=form.values(),
                expected_version=int(version) if version.isdecimal() else None,
                **by(request),
            )
        except Stale as refusal:
            root.refresh_from_db()
            form, clashes = _again(form, root, chosen, read_seen(request.POST.get("seen", "")))
            form.add_error(None, refusal.message)
        except Refused as refusal:
            _explain(form, refusal)
        else:
            labels = [specs[key].label for key in done.fields if key in specs]
            text = f"Saved: {', '.join(labels)}." if labels else "Nothing was changed."
            messages.success(request, text)
            return _saved(request, root)
    context = {
        "title": f"Edit {root.name}",
        "root": root,
        "form": form,
        "sections": _sections(form),
        "field": next(iter(form)),
        "seen": seen_of(texts_of(root, chosen)),
        "clashes": clashes,
    }
    return render(request, template, context)


def _again(
    form: AttributesForm, root: Profile, chosen: list[AttributeSpec], seen: dict[str, str]
) -> tuple[AttributesForm, list[Clash]]:
    """The form once more on today's values: one's own changes kept, the other person's shown beside them."""
    now, mine = texts_of(root, chosen), form.texts()
    merged, clashes = {}, []
    for spec in chosen:
        key = spec.field
        touched = mine[key] != seen.get(key, mine[key])
        merged[key] = mine[key] if touched else now[key]
        if now[key] != seen.get(key, now[key]):
            clashes.append(Clash(spec.label, now[key] or "empty", (mine[key] or "empty") if touched else ""))
    fresh = AttributesForm(chosen, merged)
    fresh.is_valid()
    return fresh, clashes


def _sections(form: AttributesForm) -> list[tuple[str, list[Any]]]:
    default = [form[key] for key in form.fields if key in DEFAULTS]
    custom = [form[key] for key in form.fields if key not in DEFAULTS]
    return [(title, fields) for title, fields in (("About", default), ("Attributes", custom)) if fields]


def _explain(form: AttributesForm, refusal: Refused) -> None:
    if isinstance(refusal, Invalid):
        form.add_problems(refusal)
        return
    form.is_valid()
    form.add_error(None, with_link(refusal, refusal.message))


def _saved(request: HttpRequest, root: Profile) -> HttpResponse:
    if request.headers.get("HX-Request"):
        # The whole card again: the value may be part of its title, and the timeline has a new entry.
        response = HttpResponse(status=204)
        response["HX-Refresh"] = "true"
        return response
    return to_card(root.pk)


# --- Deleting -----------------------------------------------------------------------------------------------


@form_page("profiles.delete_profile")
def delete(request: HttpRequest, profile_id: int) -> HttpResponse:
    """Says what deleting does, then does it."""
    root = root_of(profile_id)
    if request.method == "POST":
        sent = request.POST
        delete_profiles(
            profile_ids=[root.pk], reason=sent.get("reason", ""), note=sent.get("note", ""), **by(request)
        )
        text = "{} was deleted."
        if request.user.has_perm("profiles.restore_profile"):
            url = reverse("admin:profiles_profile_restore", args=[root.pk])
            messages.success(request, format_html(text + ' <a href="{}">Restore…</a>', f"#{root.pk}", url))
        else:
            messages.success(request, format_html(text, f"#{root.pk}"))
        return redirect(list_url())
    members = Profile.objects.members_of(root.pk)
    context = {
        "title": "Delete this person",
        "root": root,
        "reasons": DeleteReason.choices,
        "counts": {
            "profiles": members.count(),
            "identifiers": Identifier.objects.of_profiles(root.pk).filter(resolves=True).count(),
            "events": Event.objects.of_profiles(root.pk).count(),
        },
    }
    return render(request, "delete.html", context)


@form_page("profiles.restore_profile")
def restore(request: HttpRequest, profile_id: int) -> HttpResponse:
    """Brings a deleted person back."""
    root = visible_root(request, profile_id)
    if request.method == "POST":
        done = restore_profile(profile_id=root.pk, **by(request))
        for taken in done.taken:
            messages.warning(
                request,
                f"The {taken.type.replace('_', ' ')} now belongs to profile #{taken.profile_id} and stays there.",
            )
        messages.success(request, f"#{root.pk} is restored.")
        return to_card(root.pk)
    if root.status != Profile.Status.DELETED:
        messages.info(request, f"#{root.pk} is not deleted.")
        return to_card(root.pk)
    return render(request, "restore.html", {"title": "Restore this person", "root": root})
