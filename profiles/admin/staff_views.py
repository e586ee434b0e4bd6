"""A view of the admin → the same view behind its permissions and methods, with refusals shown as messages, in our frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme

from cdp.actors import Actor
from cdp.admin.confirm import ask_first, is_answer
from cdp.errors import NotFound, Refused
from cdp.looks import saw
from profiles.builtin_sources import builtin_source
from profiles.identity.lookup import find_profile, find_visible
from profiles.models import Profile

View = Callable[..., HttpResponseBase]


def staff_view(
    *permissions: str, methods: tuple[str, ...] = ("GET", "HEAD"), is_confirmed: bool = False
) -> Callable[[View], View]:
    """Asks for the method and every permission first. What a verb refuses becomes a message.

    A refused write leads back to where it was sent from, nothing done; what is not there is a 404. ``is_confirmed``:
    who has not given their password lately is asked for it first.
    """

    def wrap(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in methods and not (is_confirmed and is_answer(request)):
                return HttpResponseNotAllowed(methods)
            if not all(request.user.has_perm(permission) for permission in permissions):
                raise PermissionDenied
            if is_confirmed and (question := ask_first(request, methods)):
                return question
            try:
                return view(request, *args, **kwargs)
            except NotFound as refusal:
                if request.method != "POST":
                    raise Http404(refusal.message) from refusal
                return refused(request, refusal, kwargs)
            except Refused as refusal:
                return refused(request, refusal, kwargs)

        return guarded

    return wrap


def refused(request: HttpRequest, refusal: Refused, kwargs: Mapping[str, Any]) -> HttpResponse:
    sentences = list(dict.fromkeys(problem["message"] for problem in refusal.problems)) or [refusal.message]
    messages.error(request, with_link(refusal, " ".join(sentences)))
    profile_id = kwargs.get("profile_id")
    return redirect(back(request) or (card_url(profile_id) if profile_id else list_url()))


def with_link(refusal: Refused, text: str) -> str:
    """The sentence, with a link to the profile that has what was wanted (IdentifierTaken)."""
    other = getattr(refusal, "profile_id", None)
    return (
        text
        if other is None
        else format_html('{} <a href="{}">Open #{}</a>', text, card_url(other), str(other))
    )


def write(*permissions: str, is_confirmed: bool = False) -> Callable[[View], View]:
    """A staff view that takes POST alone."""
    return staff_view(*permissions, methods=("POST",), is_confirmed=is_confirmed)


def form_page(*permissions: str, is_confirmed: bool = False) -> Callable[[View], View]:
    """A staff view with a form on it."""
    return staff_view(*permissions, methods=("GET", "HEAD", "POST"), is_confirmed=is_confirmed)


def by(request: HttpRequest) -> dict[str, Any]:
    """The actor and source that every verb asks for."""
    return {"actor": Actor.of_request(request), "source": builtin_source("staff")}


def may_see(request: HttpRequest) -> bool:
    """Whether personal data is shown unmasked."""
    return request.user.has_perm("profiles.view_pii")


def render(
    request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    request.current_app = admin.site.name
    frame = admin.site.each_context(request)
    path = f"admin/profiles/{template}"
    return TemplateResponse(request, path, {**frame, "may_see": may_see(request), **context}, status=status)


def list_url() -> str:
    return reverse("admin:profiles_profile_changelist")


def card_url(profile_id: int) -> str:
    return reverse("admin:profiles_profile_change", args=[profile_id])


def to_card(profile_id: int, anchor: str = "") -> HttpResponse:
    return redirect(card_url(profile_id) + (f"#{anchor}" if anchor else ""))


def back(request: HttpRequest) -> str:
    """The page of ours a form names in ``back``, else empty."""
    target = request.POST.get("back") or request.GET.get("back") or ""
    is_ours = target.startswith("/") and url_has_allowed_host_and_scheme(target, {request.get_host()})
    return target if is_ours else ""


def root_of(profile_id: int) -> Profile:
    """The surviving profile behind an id in an address, whose page is looked at. Raises NotFound for deleted people."""
    root = find_profile(profile_id).root
    saw([root.pk])
    return root


def visible_root(request: HttpRequest, profile_id: int) -> Profile:
    """The same with deleted people, for those who may see them."""
    root = find_visible(profile_id, actor=Actor.of_request(request)).root
    saw([root.pk])
    return root
