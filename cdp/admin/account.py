"""Who signs in → the login page with its lock, one's own account with its sessions and password, the links of mails."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.contrib.auth.views import (
    PasswordChangeView,
    PasswordResetCompleteView,
    PasswordResetConfirmView,
    PasswordResetDoneView,
)
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST, require_safe
from django.views.generic.edit import FormView

from cdp import accounts, lockout
from cdp.actors import Actor, block_of_user
from cdp.admin.confirm import check_password, confirm_first
from cdp.admin.site import CdpAdminSite, ExtraPage, extra_pages
from cdp.api.throttling import count
from cdp.errors import NotFound
from cdp.models import User
from cdp.plurals import counted
from cdp.sessions import row_key

# Forms for a forgotten password, a minute and address.
ASKED_PER_MINUTE = 5
TOO_OFTEN = "Too many requests from your address. Try again in a minute."


class LoginForm(AdminAuthenticationForm):
    """Says of a lock that it is one, and nothing of whether the login exists."""

    def get_invalid_login_error(self) -> ValidationError:
        if lockout.is_locked_out(self.request):
            return ValidationError(lockout.sentence(), code="locked_out")
        error: ValidationError = super().get_invalid_login_error()
        return error


# --- One's own account ----------------------------------------------------------------------------------


@require_safe
def account(request: HttpRequest) -> HttpResponse:
    user = request.user
    assert isinstance(user, User)  # noqa: S101
    context = {
        **admin.site.each_context(request),
        "title": "Your account",
        "roles": sorted(user.groups.values_list("name", flat=True)),
        "sessions": accounts.sessions_of(user, current=row_key(request)),
    }
    return TemplateResponse(request, "admin/cdp/account.html", context)


@require_POST
@confirm_first("POST")
def end_session(request: HttpRequest) -> HttpResponse:
    """Of one's own sessions the one named, or all ``others``."""
    user, actor = request.user, Actor.of_request(request)
    assert isinstance(user, User)  # noqa: S101
    end_chosen(request, user, actor, keep=row_key(request))
    return redirect("admin:cdp_account")


def end_chosen(request: HttpRequest, user: User, actor: Actor, *, keep: str | None) -> None:
    """What the button of ``cdp/sessions.html`` says, with a message."""
    if "others" in request.POST:
        ended = accounts.end_sessions(user=user, actor=actor, keep=keep)
        messages.success(
            request, f"{counted(ended, 'sessions')} ended." if ended else "There was no session to end."
        )
        return
    try:
        accounts.end_session(user=user, reference=request.POST.get("session", ""), actor=actor)
    except NotFound as error:
        messages.error(request, error.message)
    else:
        messages.success(request, "The session is ended: that browser must sign in again.")


class OwnPasswordForm(PasswordChangeForm):
    """Wrong current passwords count as at the login page: a browser left open is no place to guess."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        password: str = self.cleaned_data["old_password"]
        if problem := check_password(self.request, password):
            raise ValidationError(problem, code="password_incorrect")
        return password


class OwnPassword(PasswordChangeView):
    form_class = OwnPasswordForm
    success_url = reverse_lazy("admin:password_change_done")
    title = "Change your password"

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():
            response = super().form_valid(form)
            accounts.password_was_set(
                user=form.user,
                actor=Actor.of_user(form.user),
                keep=row_key(self.request),
            )
        return response


# --- A link to set a password ----------------------------------------------------------------------------


class ForgottenForm(forms.Form):
    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True}),
    )


@method_decorator(csrf_protect, name="dispatch")
class Forgotten(FormView):
    """The same answer for every address."""

    form_class = ForgottenForm
    template_name = "registration/password_reset_form.html"
    success_url = reverse_lazy("admin:password_reset_done")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        caller = sha256(lockout.network_of_request(request).encode()).hexdigest()[:16]
        if count(f"link:{caller}", ASKED_PER_MINUTE).is_over:
            form = self.get_form()
            form.add_error(None, TOO_OFTEN)
            return self.render_to_response(self.get_context_data(form=form), status=429)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        accounts.ask_for_link(form.cleaned_data["email"])
        return super().form_valid(form)


class NewPassword(PasswordResetConfirmView):
    form_class: Any = SetPasswordForm
    success_url = reverse_lazy("admin:password_reset_complete")

    def get_user(self, uidb64: str) -> Any:
        """None for a login that may not sign in: its link is as good as none."""
        user = super().get_user(uidb64)
        return None if user is None or block_of_user(user) else user

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():
            response = super().form_valid(form)
            accounts.password_was_set(user=form.user, actor=Actor.of_user(form.user))
        return response


def own_password(site: CdpAdminSite, request: HttpRequest, extra_context: Any = None) -> HttpResponseBase:
    """The site's page ``password_change``."""
    context = {**site.each_context(request), **(extra_context or {})}
    request.current_app = site.name
    return OwnPassword.as_view(extra_context=context)(request)


def urls() -> list[Any]:
    """The addresses that need no login."""
    return [
        path("forgot-password/", Forgotten.as_view(), name="password_reset"),
        path("forgot-password/sent/", PasswordResetDoneView.as_view(), name="password_reset_done"),
        path("set-password/<uidb64>/<token>/", NewPassword.as_view(), name="password_reset_confirm"),
        path("set-password/done/", PasswordResetCompleteView.as_view(), name="password_reset_complete"),
    ]


extra_pages.register("cdp_account", ExtraPage("account/", account, "cdp_account"))
extra_pages.register(
    "cdp_account_end_session", ExtraPage("account/end-session/", end_session, "cdp_account_end_session")
)
admin.site.login_form = LoginForm
