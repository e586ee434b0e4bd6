"""The menu, by task and not by model: one register, computed per person from what they may do."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse


@dataclass(frozen=True, slots=True)
class Item:
    """``permission`` may be several, any of which is enough. An item whose page does not exist is not shown."""

    label: str
    url_name: str
    permission: str | tuple[str, ...]
    is_local_only: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    items: tuple[Item, ...]


NAV: tuple[Group, ...] = (
    Group(
        "",
        (
            Item("People", "admin:profiles_profile_changelist", "profiles.view_profile"),
            Item("Duplicates", "admin:profiles_duplicatepair_changelist", "profiles.view_duplicatepair"),
            Item("Segments", "admin:segments_segment_changelist", "segments.view_segment"),
        ),
    ),
    Group(
        "Data",
        (
            Item("Imports & exports", "admin:imports_import_changelist", "imports.view_import"),
            Item("Tags", "admin:profiles_tag_changelist", "profiles.view_tag"),
            Item(
                "Attributes",
                "admin:profiles_attributedefinition_changelist",
                "profiles.view_attributedefinition",
            ),
            Item("Sources", "admin:profiles_source_changelist", "profiles.view_source"),
            Item("Scorecard", "admin:profiles_scorecard", "profiles.view_sourcealarm"),
            Item("Rejected", "admin:profiles_receipt_changelist", "profiles.view_receipt"),
            Item("Event schemas", "admin:profiles_eventschema_changelist", "profiles.view_eventschema"),
            Item("Held joins", "admin:profiles_heldjoin_changelist", "profiles.view_heldjoin"),
            Item("Merge history", "admin:profiles_merge_changelist", "profiles.view_merge"),
            Item("Merges in bulk", "admin:profiles_mergebatch_changelist", "profiles.view_merge"),
            Item("Jobs", "admin:cdp_job_changelist", "cdp.view_job"),
        ),
    ),
    Group(
        "Trust",
        (
            Item("Deleted people", "admin:profiles_profile_deleted", "profiles.restore_profile"),
            Item("Audit log", "admin:cdp_auditentry_changelist", "cdp.view_auditentry"),
            Item("Mailbox", "admin:cdp_mail_changelist", "cdp.view_mail"),
        ),
    ),
    Group(
        "Settings",
        (
            Item("Identity", "admin:profiles_identifiertype_changelist", "profiles.view_identifiertype"),
            Item(
                "Duplicate rules",
                "admin:profiles_duplicatepolicy_changelist",
                "profiles.view_duplicatepolicy",
            ),
            Item("Users", "admin:cdp_user_changelist", "cdp.view_user"),
            Item("Roles", "admin:auth_group_changelist", "auth.view_group"),
            Item("API keys", "admin:cdp_apikey_changelist", "cdp.view_apikey"),
            Item("Webhooks", "admin:cdp_webhook_changelist", "cdp.view_webhook"),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Link:
    """``is_page`` when this very page is open, ``is_current`` also when one below it is."""

    label: str
    url: str
    is_current: bool
    is_page: bool


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Navigation:
    sections: tuple[Section, ...]
    people_url: str


def navigation(request: HttpRequest, register: Sequence[Group] = NAV) -> Navigation:
    """What this person sees. No query beyond the permissions Django already keeps on the user."""
    home = reverse("admin:index")
    today = Link("Today", home, request.path == home, is_page=True)
    sections = [
        Section(group.title, tuple(link for item in group.items if (link := _link(item, request))))
        for group in register
    ]
    first, *rest = sections
    people = NAV[0].items[0]
    return Navigation(
        sections=(
            Section(first.title, (today, *first.links)),
            *(section for section in rest if section.links),
        ),
        people_url=_url(people.url_name) if _may(people, request) else "",
    )


def _link(item: Item, request: HttpRequest) -> Link | None:
    url = _url(item.url_name) if _may(item, request) else ""
    if not url:
        return None
    return Link(item.label, url, request.path.startswith(url), request.path == url)


def _may(item: Item, request: HttpRequest) -> bool:
    if item.is_local_only and not settings.CDP_LOCAL:
        return False
    wanted = (item.permission,) if isinstance(item.permission, str) else item.permission
    return any(request.user.has_perm(permission) for permission in wanted)


def _url(name: str) -> str:
    """Empty while the page does not exist: its part of the product is not there yet."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
