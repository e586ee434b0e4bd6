"""Sources: what each one sends, its keys and settings, and how to connect it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from cdp.actors import Actor
from cdp.errors import Conflict, Invalid, NotFound, Refused
from cdp.limits import TooSlow
from profiles.admin.definitions import LinesField
from profiles.admin.staff_views import by, form_page, may_see, render, staff_view, write
from profiles.admin.tracking import signing_secrets
from profiles.admin.tracking.connect import guides
from profiles.looks import saw_receipts
from profiles.masking import mask_text
from profiles.models import IdentifierType, Receipt, Source, WriteKey
from profiles.quality import alarms, scorecard
from profiles.tracking.monitor import rates
from profiles.tracking.monitor.checklist import checklist
from profiles.tracking.rejected import receipts
from profiles.tracking.sources.sources import (
    MAX_OVERLAP_HOURS,
    change_source,
    create_key,
    create_source,
    revoke_key,
    rotate_key,
)

TRACKING = (Source.Channel.WEB, Source.Channel.API)
OVERLAPS = [(0, "at once"), (1, "in 1 hour"), (24, "in 24 hours"), (168, "in 7 days"), (720, "in 30 days")]


def list_url() -> str:
    return reverse("admin:profiles_source_changelist")


def source_url(source_id: int, page: str = "change") -> str:
    return reverse(f"admin:profiles_source_{page}", args=[source_id])


def source_of(source_id: int) -> Source:
    source = Source.objects.select_related("main_type").filter(pk=source_id).first()
    if source is None:
        raise NotFound(f"There is no source #{source_id}.")
    return source


def frame(request: HttpRequest, source: Source, page: str) -> dict[str, Any]:
    """Context of every page of one source: its title and tabs. No query."""
    may_track = request.user.has_perm("profiles.view_receipt")
    tabs = [("change", "Overview", True), ("live", "Live", may_track), ("checkup", "Check-up", may_track)]
    tabs += [("connect", "Connect", True), ("settings", "Settings", True)]
    available = tabs if source.channel in TRACKING else [tabs[0], tabs[-1]]
    return {
        "title": source.name,
        "source": source,
        "tabs": [
            (label, source_url(source.pk, name), name == page)
            for name, label, is_open in available
            if is_open
        ],
        "is_tracking": source.channel in TRACKING,
        "may_change": request.user.has_perm("profiles.change_source"),
    }


# --- The list -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source as the list displays it; ``reason`` is what most of its waiting items were rejected for."""

    source: Source
    rate: rates.SourceRate
    keys: int
    reason: str

    @property
    def is_idle(self) -> bool:
        """Shipped, and nobody has connected anything to it: folded away."""
        return self.source.is_builtin and not self.keys and self.rate.last_seen_at is None


@staff_view("profiles.view_source")
def sources(request: HttpRequest) -> HttpResponse:
    """Every source with what it sends. Five queries, whatever their number."""
    may_track = request.user.has_perm("profiles.view_receipt")
    by_source = rates.rates() if may_track else {}
    reasons = _main_reasons(may_see(request)) if may_track else {}
    keys: dict[int, int] = {}
    for source_id in _working_keys().values_list("source_id", flat=True):
        keys[source_id] = keys.get(source_id, 0) + 1
    rows = [
        SourceRow(row, by_source.get(row.pk, rates.NOTHING), keys.get(row.pk, 0), reasons.get(row.pk, ""))
        for row in Source.objects.all()
    ]
    # Those that send come first, then those that could.
    rows.sort(key=lambda row: (row.rate.last_seen_at is None, not row.keys, row.source.name.lower()))
    context = {
        "title": "Sources",
        "rows": [row for row in rows if not row.is_idle],
        "idle": [row for row in rows if row.is_idle],
    }
    return render(request, "tracking/sources.html", context)


def _main_reasons(can_view_pii: bool) -> dict[int, str]:
    """What most of a source's waiting items were rejected for; empty where that takes too long. Two queries."""
    reasons: dict[int, str] = {}
    quoted: dict[int, Receipt] = {}
    try:
        groups = receipts.alike_items(receipts.Choice())
    except TooSlow:
        return reasons
    for group in groups:
        sentence = receipts.describe_receipt(group.newest)
        reasons.setdefault(group.newest.source_id, sentence if can_view_pii else mask_text(sentence))
        quoted.setdefault(group.newest.source_id, group.newest)
    # A reason may quote what was sent.
    saw_receipts(list(quoted.values()))
    return reasons


def _working_keys() -> Any:
    now = timezone.now()
    live = WriteKey.objects.filter(revoked_at__isnull=True)
    return live.exclude(expires_at__lte=now)


class SourceForm(forms.Form):
    name = forms.CharField(
        max_length=60, help_text="As your colleagues call it: “Shop website”, “Order system”."
    )
    kind = forms.ChoiceField(
        choices=[
            (
                WriteKey.Kind.WEB,
                "A website: its key is visible in your pages and can only send data, from your addresses",
            ),
            (WriteKey.Kind.SERVER, "A server: its key is a secret"),
        ],
        widget=forms.RadioSelect,
        initial=WriteKey.Kind.WEB,
        label="What sends the data",
    )


@form_page("profiles.view_source", "profiles.add_source", is_confirmed=True)
def add(request: HttpRequest) -> HttpResponse:
    """A new source with its first write key, which is shown this once."""
    form = SourceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = create_source(**form.cleaned_data, actor=Actor.of_request(request))
        except (Invalid, Conflict) as refusal:
            form.add_error("name", refusal.message)
        else:
            return _reveal_key(request, made.source, made.write_key)
    return render(request, "tracking/source_add.html", {"title": "Add a source", "form": form})


def _reveal_key(
    request: HttpRequest, source: Source, write_key: str, old: WriteKey | None = None
) -> HttpResponse:
    context = {**frame(request, source, ""), "write_key": write_key, "old": old, "title": "The new write key"}
    return render(request, "tracking/key.html", context)


# --- One source -----------------------------------------------------------------------------------------


@staff_view("profiles.view_source")
def source(request: HttpRequest, source_id: int) -> HttpResponse:
    """What it sends and what is rejected, what makes duplicates, and its keys. At most eleven queries."""
    row = source_of(source_id)
    context = frame(request, row, "change") | _quality(request, row)
    if context["is_tracking"]:
        now = timezone.now()
        keys = list(row.write_keys.order_by("-pk"))
        context |= {
            "keys": [key for key in keys if _works(key, now)],
            "old_keys": [key for key in keys if not _works(key, now)],
            "overlaps": OVERLAPS,
        }
    if context["is_tracking"] and request.user.has_perm("profiles.view_receipt"):
        waiting = receipts.count_codes(receipts.Choice(source_id=row.pk))
        context |= {
            "rate": rates.rates().get(row.pk, rates.NOTHING),
            "chart": rates.hours(row),
            "waiting": waiting,
            "inbox_url": reverse("admin:profiles_receipt_changelist"),
            "sees_receipts": True,
        }
    return render(request, "tracking/source.html", context)


def _quality(request: HttpRequest, row: Source) -> dict[str, Any]:
    """Its row of the scorecard and what changed, for who may see the scorecard. Two queries."""
    if not request.user.has_perm("profiles.view_sourcealarm"):
        return {}
    return {
        "card": scorecard.cards(30, sources=[row])[0],
        "alarms": [(alarm, alarms.fix_of(alarm)) for alarm in alarms.unread(source_id=row.pk)],
        "here": request.path,
    }


def _works(key: WriteKey, now: datetime.datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


@staff_view("profiles.view_source")
def connect(request: HttpRequest, source_id: int) -> HttpResponse:
    """Copy-paste help for every kind of sender, with this host and the key's beginning."""
    row = source_of(source_id)
    keys = {key.kind: key for key in _working_keys().filter(source=row).order_by("pk")}
    context = {
        **frame(request, row, "connect"),
        "guides": guides(request, row, keys),
        "has_key": bool(keys),
        "checks": checklist(row) if request.user.has_perm("profiles.view_receipt") else [],
    }
    return render(request, "tracking/connect.html", context)


# --- Settings -------------------------------------------------------------------------------------------


class SettingsForm(forms.Form):
    """A source's settings, in plain words. The verb checks them."""

    name = forms.CharField(max_length=60)
    main_type = forms.ModelChoiceField(
        IdentifierType.objects.filter(strength=IdentifierType.Strength.HARD, is_unique=True),
        required=False,
        empty_label="Customer id (as shipped)",
        label="A userId is a",
        help_text="What your system means by “userId”. Other ids are sent as context.externalIds.",
    )
    identifies_by_email = forms.BooleanField(
        required=False,
        label="An e-mail identifies people",
        help_text="An identify call with traits.email finds or creates the person with that e-mail."
        " Off: the e-mail is stored as an attribute and merges nobody.",
    )
    needs_confirmation = forms.BooleanField(
        required=False,
        label="Double opt-in",
        help_text="E-mails wait for their owner to confirm them before they identify anybody.",
    )
    needs_user_hash = forms.BooleanField(
        required=False,
        label="userId must be signed",
        help_text="A browser's userId counts only with context.userHash, which your server renders."
        " Then nobody can pretend to be another person with the public key.",
    )
    allowed_origins = LinesField(
        label="Web addresses",
        help_text="The sites whose pages may send data with a browser key, one per line: https://shop.example.com. Empty: any page.",
    )
    adopts_attributes = forms.BooleanField(
        required=False,
        label="Unknown traits become attributes",
        help_text="Off: unknown traits are stored only with their event.",
    )
    schema_mode = forms.ChoiceField(
        choices=Source.SchemaMode, label="Events that break their schema", widget=forms.RadioSelect
    )
    merges_per_hour = forms.IntegerField(
        min_value=0,
        max_value=1_000_000,
        label="Automatic merges per hour",
        help_text="More than this many wait for your decision, so that a broken page cannot merge everybody.",
    )

    merges_recognized = forms.BooleanField(
        required=False,
        label="May merge recognized people",
        help_text="An alias call of your server that names two recognized people merges them. Off: they are"
        " suggested as duplicates. A browser key never merges them.",
    )

    # Legend, sentence, fields; only the first for sources that take no tracking calls.
    GROUPS = (
        ("Name", "", ("name",)),
        (
            "Who the calls are about",
            "How an anonymous visitor becomes a known person.",
            ("main_type", "identifies_by_email", "needs_confirmation", "needs_user_hash"),
        ),
        (
            "What may come in",
            "What is refused waits under Rejected; nothing is lost.",
            ("allowed_origins", "schema_mode", "adopts_attributes"),
        ),
        ("Safety", "", ("merges_per_hour", "merges_recognized")),
    )


@form_page("profiles.view_source")
def settings(request: HttpRequest, source_id: int) -> HttpResponse:
    """The settings, to change with the right to; else to read."""
    row = source_of(source_id)
    context = frame(request, row, "settings")
    names = [name for _, _, group in SettingsForm.GROUPS for name in group]
    names = names if context["is_tracking"] else ["name"]
    form = SettingsForm(request.POST or None, initial={name: getattr(row, name) for name in names})
    for name in [name for name in form.fields if name not in names]:
        del form.fields[name]
    for field in form.fields.values():
        field.disabled = not context["may_change"]
    if request.method == "POST":
        if not context["may_change"]:
            raise PermissionDenied
        if form.is_valid() and _save(request, row, form):
            messages.success(request, "Saved. It applies everywhere within five seconds.")
            return redirect(source_url(row.pk, "settings"))
    context["groups"] = [
        (legend, text, [form[name] for name in group if name in form.fields])
        for legend, text, group in SettingsForm.GROUPS
        if set(group) & set(form.fields)
    ]
    if context["may_change"] and context["is_tracking"]:
        context["secret"] = signing_secrets.about(row)
    return render(request, "tracking/settings.html", {**context, "form": form})


def _save(request: HttpRequest, row: Source, form: SettingsForm) -> bool:
    try:
        change_source(source_id=row.pk, changes=form.cleaned_data, actor=Actor.of_request(request))
    except Invalid as refusal:
        for problem in refusal.problems:
            form.add_error(problem["field"] if problem["field"] in form.fields else None, problem["message"])
        return False
    except Conflict as refusal:
        form.add_error("name", refusal.message)
        return False
    return True


# --- Keys -----------------------------------------------------------------------------------------------


@write("profiles.view_source", "profiles.change_source", is_confirmed=True)
def key_add(request: HttpRequest, source_id: int) -> HttpResponse:
    row = source_of(source_id)
    try:
        made = create_key(source_id=row.pk, kind=request.POST.get("kind", ""), actor=by(request)["actor"])
    except Refused as refusal:
        messages.error(request, refusal.message)
        return redirect(source_url(row.pk))
    return _reveal_key(request, row, made.write_key)


@write("profiles.view_source", "profiles.change_source", is_confirmed=True)
def key_rotate(request: HttpRequest, source_id: int, writekey_id: int) -> HttpResponse:
    """A successor for a key; the old one works on for the time chosen."""
    row, old = _own_key(source_id, writekey_id)
    raw = request.POST.get("overlap_hours", "24")
    hours = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 6 else MAX_OVERLAP_HOURS + 1
    try:
        made = rotate_key(key_id=old.pk, overlap_hours=hours, actor=by(request)["actor"])
    except Refused as refusal:
        messages.error(request, refusal.message)
        return redirect(source_url(row.pk))
    old.refresh_from_db()
    return _reveal_key(request, row, made.write_key, old)


@write("profiles.view_source", "profiles.change_source")
def key_revoke(request: HttpRequest, source_id: int, writekey_id: int) -> HttpResponse:
    row, key = _own_key(source_id, writekey_id)
    revoke_key(key_id=key.pk, actor=by(request)["actor"])
    messages.success(request, f"Key {key.prefix}… is revoked. Calls with it are refused within five seconds.")
    return redirect(source_url(row.pk))


def _own_key(source_id: int, writekey_id: int) -> tuple[Source, WriteKey]:
    row = source_of(source_id)
    key = row.write_keys.filter(pk=writekey_id).first()
    if key is None:
        raise NotFound(f"There is no write key #{writekey_id}.")
    return row, key
