"""Event schemas: what events look like, what breaks them, and events without a schema yet."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from cdp.errors import Invalid, Refused
from cdp.ids import row_id
from profiles.admin.profile_urls import OwnPages
from profiles.admin.schema_form_rows import BLANK, Row, attach_faults, read_rows, rows_of, specs_of
from profiles.admin.staff_views import by, form_page, may_see, render, staff_view
from profiles.models import EventSchema, Receipt, Source
from profiles.tracking.schemas import infer, violations
from profiles.tracking.schemas.edit import change_schema, create_schema, delete_schema, find_schema
from profiles.tracking.schemas.validator import LABELS

SAMPLES = 20
MODES = [
    ("", "As set for each source", "each source has its own setting"),
    (Source.SchemaMode.OBSERVE, "Observe", "store the event, report nothing"),
    (Source.SchemaMode.WARN, "Warn", "store the event, report what is wrong here"),
    (Source.SchemaMode.QUARANTINE, "Quarantine", "keep the event under Rejected until it is repaired"),
    (Source.SchemaMode.REJECT, "Reject", "reject the event; it can still be repaired under Rejected"),
]
_VIEW = "profiles.view_eventschema"
_RECEIPTS = "profiles.view_receipt"


def schema_url(schema_id: int, page: str = "change") -> str:
    return reverse(f"admin:profiles_eventschema_{page}", args=[schema_id])


# --- The list -------------------------------------------------------------------------------------------


@staff_view(_VIEW)
def schemas(request: HttpRequest) -> HttpResponse:
    """Every schema with how often it was broken, and event names without one. Three queries and a time limit each."""
    rows = list(EventSchema.objects.all())
    counts = violations.counts([row.name for row in rows])
    context = {
        "title": "Event schemas",
        "rows": [(row, _summary(row), None if counts is None else counts.get(row.name, 0)) for row in rows],
        "undescribed": infer.undescribed(),
        "may_add": request.user.has_perm("profiles.add_eventschema"),
    }
    return render(request, "eventschema/list.html", context)


def _summary(row: EventSchema) -> dict[str, Any]:
    required = [name for name, spec in sorted(row.properties.items()) if spec.get("required")]
    label = next(label for mode, label, _ in MODES if mode == row.mode)
    tone = {"quarantine": "warn", "reject": "bad", "warn": "acc"}.get(row.mode, "")
    return {"properties": len(row.properties), "required": required, "mode": label, "tone": tone}


# --- One schema -----------------------------------------------------------------------------------------


@staff_view(_VIEW)
def schema(request: HttpRequest, eventschema_id: int) -> HttpResponse:
    """What it asks for, what breaks it, and what browsers and servers send."""
    row, can_view_pii = find_schema(eventschema_id), may_see(request)
    seen, compared = infer.observe_and_compare(row.name, specs=row.properties, can_view_pii=can_view_pii)
    observed = {prop.name: prop for prop in seen.properties}
    observed |= {
        f"{prop.name}[].{inner.name}": inner for prop in seen.properties for inner in prop.entries.values()
    }
    context = {
        "title": row.name,
        "schema": row,
        "mode": next((label, text) for mode, label, text in MODES if mode == row.mode),
        "rows": [
            (prop, observed.get(prop.name), LABELS.get(prop.type, "Anything"))
            for prop in rows_of(row.properties)
        ],
        "seen": seen,
        "seen_in": infer.names_of(seen.sources),
        "unlisted": _unlisted(row, seen),
        "compared": compared,
        "may_change": request.user.has_perm("profiles.change_eventschema"),
        "may_delete": request.user.has_perm("profiles.delete_eventschema") and not row.is_builtin,
        "chart": violations.trend(row.name),
        "broken": violations.by_property(row.name, can_view_pii=can_view_pii),
        "sees_receipts": request.user.has_perm(_RECEIPTS),
    }
    if context["sees_receipts"]:
        context |= _samples(request, row, can_view_pii)
    return render(request, "eventschema/schema.html", context)


def _samples(request: HttpRequest, row: EventSchema, can_view_pii: bool) -> dict[str, Any]:
    after = row_id(request.GET.get("after"))
    breaking = violations.violating_receipts(row.name).select_related("source").defer("payload")
    if after:
        breaking = breaking.filter(pk__lt=after)
    page = list(breaking[: SAMPLES + 1])
    return {
        "samples": violations.violations_of(page[:SAMPLES], can_view_pii=can_view_pii),
        "older_url": f"?after={page[SAMPLES - 1].pk}#samples" if len(page) > SAMPLES else "",
        "newer_url": "?#samples" if after else "",
        "waiting_outcomes": Receipt.WAITING,
    }


def _unlisted(row: EventSchema, seen: infer.ObservedEvent) -> list[infer.ObservedProperty]:
    """Sent, but in the schema under no spelling."""
    listed = {*row.properties}
    for spec in row.properties.values():
        listed |= set(spec.get("aliases", ()))
    return [prop for prop in seen.properties if prop.name not in listed]


# --- Writing --------------------------------------------------------------------------------------------


@form_page(_VIEW, "profiles.add_eventschema")
def add(request: HttpRequest) -> HttpResponse:
    """A form, empty or filled in with what events of ``?name=`` look like."""
    if request.method == "POST":
        return _save(request, None)
    name = request.GET.get("name", "").strip()
    rows: list[Row] = []
    if name:
        rows = rows_of(infer.suggested_specs(infer.observe_event(name)))
    return _form(request, None, {"name": name, "description": "", "mode": ""}, rows)


@form_page(_VIEW, "profiles.change_eventschema")
def edit(request: HttpRequest, eventschema_id: int) -> HttpResponse:
    row = find_schema(eventschema_id)
    if request.method == "POST":
        return _save(request, row)
    form = {"name": row.name, "description": row.description, "mode": row.mode}
    return _form(request, row, form, rows_of(row.properties))


def _save(request: HttpRequest, row: EventSchema | None) -> HttpResponse:
    form = {name: request.POST.get(name, "").strip() for name in ("name", "description", "mode")}
    rows = read_rows(request.POST)
    if "more" in request.POST:  # without JavaScript: the same form with further rows
        return _form(request, row, form, rows)
    specs, faults = specs_of(rows)
    try:
        if faults:
            raise Invalid(faults)
        if row is None:
            saved = create_schema(
                name=form["name"],
                properties=specs,
                description=form["description"],
                mode=form["mode"],
                **by(request),
            )
        else:
            saved = change_schema(
                schema_id=row.pk,
                properties=specs,
                description=form["description"],
                mode=form["mode"],
                expected_version=_version(request),
                **by(request),
            )
    except Refused as refusal:
        rest = attach_faults(rows, refusal.problems) if refusal.problems else [refusal.message]
        return _form(request, row, form, rows, rest or ["Nothing was saved. Correct the marked properties."])
    if row is None or saved.fields:
        messages.success(
            request, f"Saved. Events “{saved.schema.name}” are checked by it within five seconds."
        )
    else:
        messages.info(request, "Nothing was changed.")
    return redirect(schema_url(saved.schema.pk))


def _version(request: HttpRequest) -> int | None:
    raw = request.POST.get("version", "")
    return int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 10 else None


def _form(
    request: HttpRequest,
    row: EventSchema | None,
    form: dict[str, str],
    rows: list[Row],
    errors: list[str] | None = None,
) -> HttpResponse:
    version = request.POST.get("version") or (row.version if row else "")
    context = {
        "title": f"Change {row.name}" if row else "Add an event schema",
        "schema": row,
        "form": form,
        "version": version,
        "rows": [*rows, *(Row() for _ in range(BLANK))],
        "blank": Row(),
        "types": [("", "Anything"), *LABELS.items()],
        "modes": MODES,
        "errors": errors or [],
    }
    return render(request, "eventschema/form.html", context)


@form_page(_VIEW, "profiles.delete_eventschema")
def delete(request: HttpRequest, eventschema_id: int) -> HttpResponse:
    row = find_schema(eventschema_id)
    if request.method == "POST":
        try:
            delete_schema(schema_id=row.pk, **by(request))
        except Refused as refusal:
            messages.error(request, refusal.message)
            return redirect(schema_url(row.pk))
        messages.success(request, f"Events “{row.name}” come in unchecked again.")
        return redirect("admin:profiles_eventschema_changelist")
    return render(
        request, "eventschema/delete.html", {"title": f"Remove the schema of {row.name}", "schema": row}
    )


# --- Sent, without a schema ------------------------------------------------------------------------------


@form_page(_VIEW)
def seen(request: HttpRequest) -> HttpResponse:
    """What events of ``?name=`` look like; adopt it as a schema with one click, or adjust it first."""
    name = (request.POST.get("name") or request.GET.get("name") or "").strip()
    if request.method == "POST":
        return _adopt(request, name)
    if not name:
        raise Http404("Name the event: ?name=…")
    if described := infer.schema_of(name):
        return redirect(schema_url(described.pk))
    learned, compared = infer.observe_and_compare(name, can_view_pii=may_see(request))
    suggested = infer.suggested_specs(learned)
    context = {
        "title": name,
        "seen": learned,
        "seen_in": infer.names_of(learned.sources),
        "rows": [(prop, suggested.get(prop.name, {})) for prop in learned.properties],
        "compared": compared,
        "may_add": request.user.has_perm("profiles.add_eventschema"),
    }
    return render(request, "eventschema/seen.html", context)


def _adopt(request: HttpRequest, name: str) -> HttpResponse:
    if not request.user.has_perm("profiles.add_eventschema"):
        raise PermissionDenied
    try:
        made = infer.adopt_schema(name=name, **by(request))
    except Refused as refusal:
        messages.error(request, refusal.message)
        return redirect("admin:profiles_eventschema_changelist")
    messages.success(
        request,
        f"“{name}” now has a schema. Events that do not fit are still stored until the schema or the source is set to reject them.",
    )
    return redirect(schema_url(made.schema.pk))


class EventSchemaAdmin(OwnPages):
    pages = (
        ("", schemas, "changelist"),
        ("add/", add, "add"),
        ("seen/", seen, "seen"),
        ("<int:eventschema_id>/change/", schema, "change"),
        ("<int:eventschema_id>/edit/", edit, "edit"),
        ("<int:eventschema_id>/delete/", delete, "delete"),
    )


admin.site.register(EventSchema, EventSchemaAdmin)
