"""Admin pages of staff logins: made in one form with their roles, changed, unlocked, their sessions ended."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from django_otp.plugins.otp_totp.models import TOTPDevice

from cdp import accounts, audit, lockout, notices
from cdp.actors import Actor, block_of_user, right_in_words
from cdp.admin.access import key_state, possible_owners
from cdp.admin.account import end_chosen
from cdp.admin.confirm import confirm_first
from cdp.admin.login_forms import STATUS_WORDS, NewStaffForm, RolesField, StaffForm
from cdp.admin.roles import RightsAdmin
from cdp.delegation import may_act_on_login
from cdp.errors import Refused
from cdp.models import ApiKey, Job, User
from cdp.plurals import counted
from cdp.roles_and_scopes import RIGHTS
from cdp.sessions import row_key
from cdp.templatetags.cdp import ago


@method_decorator(confirm_first("POST"), name="change_view")
@method_decorator(confirm_first("POST"), name="end_session_view")
@method_decorator(confirm_first("GET", "POST"), name="add_view")
@method_decorator(confirm_first("GET", "POST"), name="user_change_password")
class StaffAdmin(RightsAdmin, UserAdmin):
    """Staff logins. Roles say what somebody may do; single rights are for the exception."""

    form = StaffForm
    add_form = NewStaffForm
    add_form_template = None
    list_display = ("username", "full_name", "email", "roles", "is_active", "seen")
    list_filter = ("is_active", "is_superuser", "groups")
    ordering = ("username",)
    list_select_related = ()
    page_title = "Users"
    noun, nouns = "login", "logins"
    page_sub = "Staff logins. People in the data are never users."
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who", {"fields": ("first_name", "last_name", "email")}),
        ("What they may do", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Single rights", {"fields": ("rights",), "classes": ("collapse",)}),
    )
    add_fieldsets = (
        ("Who", {"fields": ("username", "email", "first_name", "last_name")}),
        ("What they may do", {"fields": ("groups", "is_superuser")}),
        ("How they sign in", {"fields": ("how", "password1", "password2")}),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def get_urls(self) -> list[Any]:
        views = {"unlock": self.unlock_view, "invite": self.invite_view, "end_session": self.end_session_view}
        return [
            *(
                path(
                    f"<int:user_id>/{name.replace('_', '-')}/",
                    self.admin_site.admin_view(require_POST(view)),
                    name=f"cdp_user_{name}",
                )
                for name, view in views.items()
            ),
            *super().get_urls(),
        ]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is not None or request.user.is_superuser:
            return fieldsets
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name != "is_superuser"]})
            for title, options in fieldsets
        ]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Whoever manages logins does not thereby become, or unseat, somebody who may do more than they."""
        if obj is not None and not may_act_on_login(Actor.of_request(request), obj):
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """A login is deactivated, never deleted: what it did keeps its name."""
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = {**(extra_context or {})}
        if object_id.isdigit() and request.user.has_perm("cdp.view_apikey"):
            keys = ApiKey.objects.select_related("owner").filter(owner_id=int(object_id), revoked_at=None)
            context["keys"] = [(key, key_state(key)) for key in keys]
            context["owners"] = possible_owners().exclude(pk=object_id)
            context["may_change_keys"] = request.user.has_perm("cdp.change_apikey")
        user = User.objects.filter(pk=object_id).first() if object_id.isdigit() else None
        if user is not None and self.has_view_permission(request):
            context["lock"] = lockout.lock_of(user)
            context["sessions"] = accounts.sessions_of(user, current=row_key(request))
        context["may_change_logins"] = request.user.has_perm("cdp.change_user")
        return super().change_view(request, object_id, form_url, context)

    # --- What its page does besides ---------------------------------------------------------------------

    def unlock_view(self, request: HttpRequest, user_id: int) -> HttpResponse:
        user = self._login(request, user_id)
        if lockout.unlock_login(user=user, actor=Actor.of_request(request)):
            messages.success(request, f"The login “{user}” is unlocked: it may sign in at once.")
        else:
            messages.warning(request, f"The login “{user}” was not locked.")
        return redirect("admin:cdp_user_change", user.pk)

    def invite_view(self, request: HttpRequest, user_id: int) -> HttpResponse:
        user = self._login(request, user_id)
        try:
            accounts.invite(user=user, actor=Actor.of_request(request))
        except Refused as error:
            messages.error(request, error.message)
        else:
            messages.success(request, f"A link to choose a password is on its way to {user.email}.")
        return redirect("admin:cdp_user_change", user.pk)

    def end_session_view(self, request: HttpRequest, user_id: int) -> HttpResponse:
        user = self._login(request, user_id)
        end_chosen(request, user, Actor.of_request(request), keep=row_key(request))
        return redirect("admin:cdp_user_change", user.pk)

    def _login(self, request: HttpRequest, user_id: int) -> User:
        """The login, where whoever asks may change it."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        user = User.objects.filter(pk=user_id).first()
        if user is None:
            raise Http404(f"There is no login #{user_id}.")
        if not self.has_change_permission(request, user):
            raise PermissionDenied
        return user

    # --- Saving -----------------------------------------------------------------------------------------

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        user, actor = form.instance, Actor.of_request(request)
        record = partial(audit.record, actor=actor, subject=self.subject_of(user))
        if form.roles_given or form.roles_taken:
            record("user.roles", detail={"given": form.roles_given, "taken": form.roles_taken})
        if not isinstance(form, StaffForm):
            if user.is_superuser:
                record("user.status", detail={"given": ["is_superuser"], "taken": []})
            return
        if "is_active" in form.changed_data:
            record("user.activate" if user.is_active else "user.deactivate")
        given, taken = form.statuses_given, form.statuses_taken
        if given or taken:
            record("user.status", detail={"given": given, "taken": taken})
        if "email" in form.changed_data:
            record("user.email")
            notices.email_changed(user, old=form.initial.get("email", ""), actor=actor)
        _tell_of_rights(form, actor)
        if block_of_user(user):
            accounts.end_sessions(user=user, actor=actor)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Setting somebody's password is recorded, told and followed by the end of their sessions."""
        fields = [
            name
            for part in message
            if isinstance(part, dict)
            for name in part.get("changed", {}).get("fields", [])
        ]
        if "password" in fields:
            keep = row_key(request) if obj == request.user else None
            accounts.password_was_set(user=obj, actor=Actor.of_request(request), keep=keep)
            return None
        return super().log_change(request, obj, message)

    def response_add(
        self, request: HttpRequest, obj: User, post_url_continue: str | None = None
    ) -> HttpResponse:
        if request.POST.get("how") == NewStaffForm.INVITE:
            accounts.invite(user=obj, actor=Actor.of_request(request), is_new=True)
            text = f"The login “{obj}” is ready. A link to choose a password is on its way to {obj.email}."
        else:
            text = f"The login “{obj}” is ready to sign in."
        messages.success(request, text)
        return redirect("admin:cdp_user_changelist")

    def response_change(self, request: HttpRequest, obj: User) -> HttpResponse:
        """Of a login that may do nothing any more: what it leaves behind, to be settled on its page."""
        response = super().response_change(request, obj)
        if block_of_user(obj) is None:
            return response
        keys = ApiKey.objects.filter(owner=obj, revoked_at=None).count()
        jobs = Job.objects.open().filter(Q(user=obj) | Q(key__owner=obj)).count()
        if jobs:
            messages.warning(
                request, f"{counted(jobs, 'jobs')} of {obj} will stop before the next step; nothing runs on."
            )
        if not keys:
            return response
        messages.warning(
            request,
            f"The login “{obj}” owns {counted(keys, 'API keys')}, refused from now on. Hand over below what other systems still need,"
            " and revoke the rest.",
        )
        return redirect("admin:cdp_user_change", obj.pk)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        return () if request.user.is_superuser else ("is_superuser",)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            return RolesField(required=False, label="Roles")
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @admin.display(description="Name")
    def full_name(self, user: User) -> str:
        return user.get_full_name()

    @admin.display(description="Roles")
    def roles(self, user: User) -> str:
        if user.is_superuser:
            return "everything"
        return ", ".join(sorted(group.name for group in user.groups.all())) or "none"

    @admin.display(description="Last login")
    def seen(self, user: User) -> str | SafeString:
        return ago(user.last_login) or "never"


def _tell_of_rights(form: StaffForm, actor: Actor) -> None:
    """One notice of all that was given and taken."""
    given = [f"the role “{name}”" for name in form.roles_given] + _in_words(form.given)
    taken = [f"the role “{name}”" for name in form.roles_taken] + _in_words(form.taken)
    given += [STATUS_WORDS[name] for name in form.statuses_given]
    taken += [STATUS_WORDS[name] for name in form.statuses_taken]
    if given or taken:
        notices.rights_changed(form.instance, given=given, taken=taken, actor=actor)


def _in_words(codes: set[str]) -> list[str]:
    """The rights among some permissions; the permissions that come along with a right are left out."""
    return [right_in_words(code) for code in sorted(codes) if code in RIGHTS]


admin.site.register(User, StaffAdmin)
# A second factor is set up by its owner; in a list of devices others could read its secret.
admin.site.unregister(TOTPDevice)
