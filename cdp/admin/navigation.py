"""The menu: eight tasks, each with tabs that apps registered → what this person may open.

Tasks are fixed, tabs are not: ``register_tab("people", Tab("Everyone", "admin:…", "profiles.view_profile"))``.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from cdp.admin import needs_attention
from cdp.registry import Registry

# Key → label, in the order of the menu. A task without a tab that a person may open is not in their menu.
TASKS = {
    "people": "People",
    "duplicates": "Duplicates",
    "segments": "Segments",
    "imports": "Imports & exports",
    "sources": "Sources",
    "privacy": "Privacy",
    "settings": "Settings",
}
HOME = "admin:index"


@dataclass(frozen=True, slots=True)
class Tab:
    """``permission`` may be several, any of which is enough. ``section`` groups the tabs of a task with many."""

    label: str
    url_name: str
    permission: str | tuple[str, ...]
    section: str = ""
    query: str = ""
    is_local_only: bool = False


_tabs: dict[str, Registry[Tab]] = {task: Registry("The tab") for task in TASKS}


def register_tab(task: str, tab: Tab, *, order: int = 100) -> None:
    """Add a page to a task. Raises KeyError for a task there is not."""
    _tabs[task].register(tab.label, tab, order=order)


def unregister_tab(task: str, label: str) -> None:
    _tabs[task].unregister(label)


@dataclass(frozen=True, slots=True)
class Link:
    """``is_page`` when this very page is open, ``is_current`` also when one below it is."""

    label: str
    url: str
    is_current: bool
    is_page: bool
    section: str = ""
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Navigation:
    """``tabs`` are those of the task that is open; none where it has a single page."""

    tasks: tuple[Link, ...]
    tabs: tuple[Link, ...]
    task_label: str
    people_url: str


def navigation(request: HttpRequest) -> Navigation:
    """What this person may open. No query beyond the permissions Django keeps on the user and what waits."""
    allowed = {task: [(tab, url) for tab in _tabs[task] if (url := _url(tab, request))] for task in TASKS}
    current = _current(request.path, allowed)
    waiting = needs_attention.waiting_by_task(request.user)
    home = reverse(HOME)
    tasks = [Link("Today", home, request.path == home, request.path == home, waiting=sum(waiting.values()))]
    tabs: tuple[Link, ...] = ()
    for task, pages in allowed.items():
        if not pages:
            continue
        first = pages[0][1]
        is_open = current is not None and current[0] == task
        is_page = request.path == first.partition("?")[0]
        tasks.append(Link(TASKS[task], first, is_open, is_page, waiting=waiting.get(task, 0)))
        if is_open and len(pages) > 1:
            tabs = tuple(
                Link(
                    tab.label, url, (task, tab.label) == current, request.get_full_path() == url, tab.section
                )
                for tab, url in pages
            )
    return Navigation(
        tasks=tuple(tasks),
        tabs=tabs,
        task_label=TASKS[current[0]] if current else "",
        people_url=allowed["people"][0][1] if allowed["people"] else "",
    )


def _current(path: str, allowed: dict[str, list[tuple[Tab, str]]]) -> tuple[str, str] | None:
    """Task and tab of the longest address that the open page is or lies below."""
    best, best_length = None, 0
    for task, pages in allowed.items():
        for tab, url in pages:
            address = url.partition("?")[0]
            if path.startswith(address) and len(address) > best_length:
                best, best_length = (task, tab.label), len(address)
    return best


def _url(tab: Tab, request: HttpRequest) -> str:
    """Empty where the person may not open it, or its part of the product is not installed."""
    if tab.is_local_only and not settings.CDP_LOCAL:
        return ""
    wanted = (tab.permission,) if isinstance(tab.permission, str) else tab.permission
    if not any(request.user.has_perm(permission) for permission in wanted):
        return ""
    try:
        return reverse(tab.url_name) + tab.query
    except NoReverseMatch:
        return ""


_PLATFORM = (
    ("privacy", Tab("Audit log", "admin:cdp_auditentry_changelist", "cdp.view_auditentry"), 30),
    ("privacy", Tab("Retention", "admin:cdp_retention", "cdp.view_auditentry"), 40),
    ("settings", Tab("Users", "admin:cdp_user_changelist", "cdp.view_user", "Access"), 200),
    ("settings", Tab("Roles", "admin:auth_group_changelist", "auth.view_group", "Access"), 201),
    ("settings", Tab("API keys", "admin:cdp_apikey_changelist", "cdp.view_apikey", "Access"), 202),
    ("settings", Tab("Webhooks", "admin:cdp_webhook_changelist", "cdp.view_webhook", "System"), 300),
    ("settings", Tab("Mailbox", "admin:cdp_mail_changelist", "cdp.view_mail", "System"), 301),
    ("settings", Tab("Jobs", "admin:cdp_job_changelist", "cdp.view_job", "System"), 302),
)
for _task, _tab, _order in _PLATFORM:
    register_tab(_task, _tab, order=_order)
