"""Admin pages of the audit log: searchable, with a button that verifies its chain."""

import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST

from cdp import audit_chain
from cdp.actors import Actor
from cdp.admin.audit_wording import words_of
from cdp.admin.model_admin import ReadOnlyAdmin
from cdp.ids import row_id
from cdp.models import AuditEntry, User
from cdp.registry import Registry
from cdp.templatetags.cdp import ago

# Kind of subject → the admin page it has; a subject without one is shown as text. Apps add theirs.
subject_pages: Registry[str] = Registry("The page of the audit subject")
for _kind, _page in {
    "job": "admin:cdp_job_change",
    "user": "admin:cdp_user_change",
    "group": "admin:auth_group_change",
    "key": "admin:cdp_apikey_change",
    "webhook": "admin:cdp_webhook_change",
    "mail": "admin:cdp_mail_change",
}.items():
    subject_pages.register(_kind, _page)
_MOST_USERS = 200


class WhatFilter(admin.SimpleListFilter):
    """Groups of actions, by how their dotted names begin."""

    title = "what"
    parameter_name = "what"
    groups = {
        "login": ("Logins", ("login", "logout")),
        "people": ("People changed", ("profile.",)),
        "merge": ("Merges", ("profile.merge", "profile.unmerge")),
        "export": ("Exports", ("profile.export", "profile.bulk_export", "export.")),
        "delete": ("Deletions", ("profile.delete", "profile.restore", "profile.erase")),
        "import": ("Imports", ("import.",)),
        "settings": (
            "Settings and access",
            (
                "user.",
                "group.",
                "key.",
                "apikey.",
                "webhook.",
                "source.",
                "tag.",
                "view.",
                "attribute",
                "identifiertype.",
            ),
        ),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, title) for key, (title, _) in self.groups.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        _, beginnings = self.groups.get(self.value() or "", ("", ()))
        chosen = Q()
        for beginning in beginnings:
            chosen |= Q(action__startswith=beginning)
        return queryset.filter(chosen)


class WhoFilter(admin.SimpleListFilter):
    title = "who"
    parameter_name = "who"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        users = User.objects.order_by("username").values_list("pk", "username")[:_MOST_USERS]
        return [(str(pk), name) for pk, name in users]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        value = self.value() or ""
        return queryset.filter(user_id=int(value)) if value.isascii() and value.isdigit() else queryset


class WhenFilter(admin.SimpleListFilter):
    title = "when"
    parameter_name = "when"
    days = {"1": "Last 24 hours", "7": "Last 7 days", "30": "Last 30 days"}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.days.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        if self.value() not in self.days:
            return queryset
        since = timezone.now() - datetime.timedelta(days=int(self.value() or 0))
        return queryset.filter(at__gte=since)


class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("when", "sentence", "details", "origin")
    list_display_links = ("when",)
    list_filter = (WhatFilter, WhoFilter, WhenFilter)
    list_select_related = ()
    empty_value_display = ""
    search_fields = ("subject",)
    search_help_text = (
        "A profile’s number or #number, a subject like import:7, a name, an action, or a request’s id."
    )
    page_title = "Audit log"
    page_sub = "Everything anybody did. Who looked at whom is on its own page. Entries are only ever added; a checksum over each and the one before shows any change."
    empty = ("Nothing yet", "Logins, changes, merges, exports and deletions are listed here.")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """One condition an index serves where there is one: the subject, the user, else how the action begins."""
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        number = term.removeprefix("#")
        if number.isascii() and number.isdigit():
            return queryset.filter(subject=f"profile:{number}"), False
        if ":" in term:
            return queryset.filter(subject=term), False
        user = User.objects.filter(username__iexact=term).first()
        if user is not None:
            return queryset.filter(Q(user_id=user.pk) | Q(subject=f"user:{user.pk}")), False
        return queryset.filter(Q(action__startswith=term) | Q(actor__iexact=term) | Q(request_id=term)), False

    @admin.display(description="When")
    def when(self, entry: AuditEntry) -> SafeString | str:
        return ago(entry.at)

    @admin.display(description="Who did what")
    def sentence(self, entry: AuditEntry) -> SafeString:
        return format_html(
            '<b>{}</b> <span title="{}">{}</span> {}',
            entry.actor,
            entry.action,
            words_of(entry.action),
            subject_link(entry.subject),
        )

    @admin.display(description="Details")
    def details(self, entry: AuditEntry) -> SafeString | str:
        text = ", ".join(
            f"{key}: {_short(value)}" for key, value in entry.detail.items() if value not in ("", None)
        )
        return format_html('<span class="clip" title="{}">{}</span>', text, text) if text else ""

    @admin.display(description="From")
    def origin(self, entry: AuditEntry) -> str:
        return entry.address or ""

    def get_urls(self) -> list[Any]:
        check = self.admin_site.admin_view(require_POST(self.check_view))
        return [path("check/", check, name="cdp_auditentry_check"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        head = AuditEntry.objects.filter(sealed__isnull=False).order_by("-sealed").first()
        return super().changelist_view(request, {"head": head, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return require_GET(self._detail)(request, object_id)

    def _detail(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        entry = AuditEntry.objects.filter(pk=row_id(object_id)).first()
        if entry is None:
            raise Http404(f"There is no audit entry #{object_id}.")
        context = {
            **self.admin_site.each_context(request),
            "title": entry.action,
            "opts": self.opts,
            "entry": entry,
            "about": subject_link(entry.subject),
            "words": words_of(entry.action),
            "details": [(key, _whole(value)) for key, value in entry.detail.items()],
        }
        return TemplateResponse(request, "admin/cdp/auditentry/detail.html", context)

    def check_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        job = audit_chain.start_verifying(actor=Actor.of_request(request))
        return redirect("admin:cdp_job_change", job.pk)


def subject_link(subject: str) -> SafeString | str:
    """``profile:7`` as a link to its page where there is one."""
    kind, _, number = subject.partition(":")
    if kind not in subject_pages or not number.isdigit():
        return subject
    try:
        url = reverse(subject_pages[kind], args=[number])
    except NoReverseMatch:
        return subject
    return format_html('<a href="{}">{} #{}</a>', url, kind, number)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} items" if len(value) > 4 else ", ".join(map(str, value))
    return str(value)


def _whole(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


admin.site.register(AuditEntry, AuditEntryAdmin)
