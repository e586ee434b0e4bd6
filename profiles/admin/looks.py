"""Who looked at whom: all looks, filtered and searched; and those at one person, from their card."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.views.decorators.http import require_GET

from cdp.admin.audit import WhenFilter, WhoFilter, subject_link
from cdp.admin.model_admin import ReadOnlyAdmin
from cdp.ids import row_id
from cdp.looks import kinds, label_of
from cdp.models import ApiKey, Look, User
from cdp.plurals import counted
from cdp.templatetags.cdp import ago
from profiles.admin.staff_views import card_url, may_see, render, staff_view, visible_root
from profiles.masking import displayed
from profiles.reading.looks import looks_at

# Ids of a look that are shown as links; a page has fifty, an export thousands.
NAMED = 5
PAGE = 100
# Where a look came from that was no request.
NO_ADDRESS = "a job or the command line"
_ARTICLE = re.compile(r"^(an?|the) ")


class KindFilter(admin.SimpleListFilter):
    """Closed until one is chosen: there are two dozen."""

    title = "what"
    parameter_name = "kind"
    template = "admin/closed_filter.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """“List of people” for “a list of people”, by the alphabet."""
        labels = {kind: capfirst(_ARTICLE.sub("", label)) for kind, label in kinds.items()}
        return sorted(labels.items(), key=lambda item: item[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Look]) -> QuerySet[Look]:
        return queryset.filter(kind=self.value()) if self.value() in kinds else queryset


class LookAdmin(ReadOnlyAdmin):
    list_display = ("when", "who", "what", "whom", "origin")
    list_display_links = None
    list_filter = (WhoFilter, WhenFilter, KindFilter)
    list_select_related = ()
    empty_value_display = ""
    search_fields = ("subject",)
    search_help_text = "A profile’s number or #number, a login’s or an API key’s name, or job:9, import:7, receipt:3, mail:4."
    page_title = "Who looked"
    page_sub = "Every page, answer and file that showed people, with whom it showed. What was done to people is in the audit log."
    empty = ("Nobody looked yet", "Cards, lists, searches, exports and answers of the API are listed here.")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Look], search_term: str
    ) -> tuple[QuerySet[Look], bool]:
        """One condition that an index serves: the person, the subject, the login, the key."""
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        number = term.removeprefix("#")
        if number.isascii() and number.isdigit():
            return queryset & looks_at(row_id(number)), False
        if ":" in term:
            return queryset.filter(subject=term), False
        if user := User.objects.filter(username__iexact=term).first():
            return queryset.filter(user_id=user.pk), False
        keys = ApiKey.objects.filter(name__iexact=term).values_list("pk", flat=True)
        return queryset.filter(key_id__in=list(keys)), False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A look has no page of its own: the list says all."""
        return require_GET(self._to_list)(request)

    def _to_list(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return redirect("admin:cdp_look_changelist")

    @admin.display(description="When")
    def when(self, look: Look) -> SafeString | str:
        return ago(look.at)

    @admin.display(description="Who")
    def who(self, look: Look) -> str:
        return look.actor

    @admin.display(description="Looked at")
    def what(self, look: Look) -> SafeString:
        shown = what_of_look(look)
        return format_html('{} <span class="badge">masked</span>', shown) if look.is_masked else shown

    @admin.display(description="People")
    def whom(self, look: Look) -> SafeString | str:
        return people_of_look(look)

    @admin.display(description="From")
    def origin(self, look: Look) -> str:
        return look.address or NO_ADDRESS


def what_of_look(look: Look) -> SafeString:
    """“an import #7”, “an export of many people, job #9”; a link where that has a page."""
    label, (kind, _, number) = label_of(look.kind), look.subject.partition(":")
    if not number:
        return format_html("{}", label)
    subject = subject_link(look.subject)
    if subject == look.subject:  # has no page: the rows of a page are “receipt:3-31”
        first, _, last = number.partition("-")
        subject = f"{kind}s #{first} to #{last}" if last else f"{kind} #{number}"
    if label.endswith(f" {kind}"):
        return format_html("{} {}", label.removesuffix(f" {kind}"), subject)
    return format_html("{}, {}", label, subject)


def people_of_look(look: Look) -> SafeString | str:
    """“#7, #9 and 48 more”; the first ones as links."""
    if not look.profile_ids:
        return ""
    links = format_html_join(
        ", ", '<a href="{}">#{}</a>', ((card_url(pk), str(pk)) for pk in look.profile_ids[:NAMED])
    )
    more = len(look.profile_ids) - NAMED
    return format_html("{} and {} more", links, f"{more:,}") if more > 0 else links


@staff_view("profiles.view_profile", "cdp.view_look")
def of_person(request: HttpRequest, profile_id: int) -> HttpResponse:
    """Who looked at one person, by any id they had, newest first. Deleted people as well."""
    root = visible_root(request, profile_id)
    looks = looks_at(root.pk)
    if before := row_id(request.GET.get("before")):
        looks = looks.filter(pk__lt=before)
    rows = list(looks.order_by("-pk")[: PAGE + 1])
    shown = rows[:PAGE]
    context = {
        "title": "Who looked at this person",
        "root": root,
        "shown": displayed(root, can_view_pii=may_see(request)),
        "rows": [(look, what_of_look(look), _others(look)) for look in shown],
        "no_address": NO_ADDRESS,
        "older_url": f"?before={shown[-1].pk}" if len(rows) > PAGE else "",
    }
    return render(request, "looks.html", context)


def _others(look: Look) -> str:
    others = len(look.profile_ids) - 1
    return f"with {counted(others, 'others')}" if others > 0 else ""


admin.site.register(Look, LookAdmin)
