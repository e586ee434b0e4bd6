"""A view that gives access or hands out data → the same behind the password of whoever is signed in, given again.

Who has not given it lately (cdp.sessions.is_confirmed) gets a page that asks for it, at the same address. It carries what
was posted, so that the answer goes on where the person was.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters

from cdp import audit, lockout
from cdp.actors import Actor
from cdp.admin.site import ExtraPage, extra_pages
from cdp.plurals import counted
from cdp.sessions import is_confirmed, mark_confirmed

View = Callable[..., HttpResponseBase]
# The form's own fields: the password, and how the page was asked for.
_PASSWORD, _METHOD = "confirm-password", "confirm-method"
_OWN = (_PASSWORD, _METHOD, "csrfmiddlewaretoken")
NOT_YOURS = "This is not the password of your login."


def confirm_first(*methods: str) -> Callable[[View], View]:
    """Ask for the password before these methods; for methods of a class use it with ``method_decorator``."""

    def wrap(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return ask_first(request, methods) or view(request, *args, **kwargs)

        return guarded

    return wrap


def is_answer(request: HttpRequest) -> bool:
    """Whether the request is the page's form, whatever method the view behind it wants."""
    return request.method == "POST" and _PASSWORD in request.POST


@sensitive_post_parameters(_PASSWORD)
def ask_first(request: HttpRequest, methods: tuple[str, ...]) -> HttpResponseBase | None:
    """The page that asks, or where its answer leads; None where the view may go on."""
    if not is_answer(request):
        return None if request.method not in methods or is_confirmed(request) else _page(request)
    if problem := check_password(request, request.POST[_PASSWORD]):
        return _page(request, problem)
    if request.POST.get(_METHOD) == "GET":
        return redirect(request.get_full_path())
    sent = request.POST.copy()
    for name in (_PASSWORD, _METHOD):
        sent.pop(name, None)
    request.POST = sent  # type: ignore[assignment]
    return None


def check_password(request: Any, password: str) -> str:
    """Whether the password is that of whoever is signed in; "" if so, else what is wrong. Wrong ones count as at login."""
    user = authenticate(request, username=request.user.get_username(), password=password)
    if user is None or user.pk != request.user.pk:
        return lockout.sentence() if lockout.is_locked_out(request) else NOT_YOURS
    actor = Actor.of_user(request.user)
    AxesProxyHandler.reset_attempts(
        username=f"user:{user.pk}", ip_address=lockout.network_of_request(request)
    )
    audit.record("login.confirm", actor=actor, subject=actor.label)
    mark_confirmed(request)
    return ""


def _page(request: HttpRequest, problem: str = "") -> HttpResponseBase:
    method = request.POST.get(_METHOD, "") if is_answer(request) else request.method
    context = {
        **admin.site.each_context(request),
        "title": "Confirm that it is you",
        "problem": problem,
        "minutes": counted(settings.CDP_CONFIRM_MINUTES, "minutes"),
        "method": "POST" if method == "POST" else "GET",
        "carried": [
            (name, value) for name, values in request.POST.lists() if name not in _OWN for value in values
        ],
    }
    request.current_app = admin.site.name
    return TemplateResponse(request, "admin/cdp/confirm.html", context)


@confirm_first("GET", "POST")
def confirm(request: HttpRequest) -> HttpResponseBase:
    """For programs and pages that cannot ask by themselves: leads back to ``next``."""
    target = request.GET.get("next", "")
    is_ours = target.startswith("/") and url_has_allowed_host_and_scheme(target, {request.get_host()})
    minutes = counted(settings.CDP_CONFIRM_MINUTES, "minutes")
    messages.success(request, f"Your password is confirmed for {minutes}.")
    return redirect(target if is_ours else reverse("admin:cdp_account"))


extra_pages.register("cdp_confirm", ExtraPage("confirm/", confirm, "cdp_confirm"))
