"""Admin pages of staff logins and API keys."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from django_otp.plugins.otp_totp.models import TOTPDevice

from cdp.actors import Actor
from cdp.admin.model_admin import CdpModelAdmin
from cdp.admin.roles import RightsAdmin, RightsForm
from cdp.api.key_use import uses_of
from cdp.api.keys import create_key, revoke_key
from cdp.errors import Invalid
from cdp.models import ApiKey, User
from cdp.roles_and_scopes import ROLES, SCOPES
from cdp.templatetags.cdp import ago

SCOPE_DESCRIPTIONS = {
    "profiles:read": "Read people, masked unless “pii” is added",
    "profiles:write": "Add and change people, their tags, identifiers and events",
    "merge": "Merge profiles and undo merges",
    "imports": "Upload, apply and undo imports",
    "exports": "Export people, one or many",
    "segments": "Read and define segments",
    "privacy": "Access requests, deletion and erasure",
    "pii": "See personal data unmasked",
    "admin": "Manage tags, attributes, identifier types, sources, shared views and webhooks; read the audit log",
}


class ApiKeyForm(forms.Form):
    name = forms.CharField(
        max_length=100, help_text="Which system uses this key, for example “shop backend”."
    )
    scopes = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        label="What it may do",
        error_messages={"required": "Choose at least one scope."},
    )

    def __init__(self, actor: Actor, data: Any = None) -> None:
        """Offers the scopes whose rights the maker has: nobody grants more than they have."""
        super().__init__(data)
        field = self.fields["scopes"]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101
        field.choices = [
            (scope, f"{scope} · {SCOPE_DESCRIPTIONS[scope]}")
            for scope, permissions in SCOPES.items()
            if all(actor.can(permission) for permission in permissions)
        ]


class ApiKeyAdmin(CdpModelAdmin):
    """A key's secret is shown once, right after it is made; a key is never changed, only revoked."""

    list_display = ("name", "prefix_display", "scopes_display", "created", "used", "state_display")
    ordering = ("-pk",)
    list_select_related = ("created_by",)
    actions = None
    page_title = "API keys"
    page_sub = "One key for each system, with no more rights than it needs."
    empty = (
        "No API keys yet",
        "Create one for each system that sends or reads people.",
        "admin:cdp_apikey_add",
        "Create an API key",
    )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="Begins with")
    def prefix_display(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    @admin.display(description="May")
    def scopes_display(self, key: ApiKey) -> str:
        return "everything" if set(key.scopes) == set(SCOPES) else ", ".join(key.scopes)

    @admin.display(description="Created")
    def created(self, key: ApiKey) -> str:
        return ago(key.created_at)

    @admin.display(description="Last used")
    def used(self, key: ApiKey) -> str:
        return ago(key.last_used_at) or "never"

    @admin.display(description="State")
    def state_display(self, key: ApiKey) -> SafeString:
        state, color = ("revoked", "bad") if key.revoked_at else ("active", "ok")
        return format_html('<span class="badge {}">{}</span>', color, state)

    def get_urls(self) -> list[Any]:
        return [
            path(
                "<int:key_id>/revoke/",
                self.admin_site.admin_view(require_POST(self.revoke_view)),
                name="cdp_apikey_revoke",
            ),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ApiKeyForm(Actor.of_request(request), request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                new = create_key(
                    name=form.cleaned_data["name"],
                    scopes=form.cleaned_data["scopes"],
                    actor=Actor.of_request(request),
                )
            except Invalid as error:
                form.add_error(None, error.message)
            else:
                return self._page(
                    request, "created.html", f"Key for {new.key.name}", key=new.key, secret=new.secret
                )
        return self._page(request, "add.html", "Create an API key", form=form)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = (
            ApiKey.objects.select_related("created_by").filter(pk=object_id).first()
            if object_id.isdigit()
            else None
        )
        if key is None:
            raise Http404(f"There is no API key #{object_id}.")
        scopes = [(scope, SCOPE_DESCRIPTIONS.get(scope, "")) for scope in key.scopes]
        return self._page(
            request,
            "detail.html",
            key.name,
            key=key,
            scopes=scopes,
            uses=uses_of(key),
            may_revoke=self._may_revoke(request),
        )

    def revoke_view(self, request: HttpRequest, key_id: int) -> HttpResponse:
        if not self._may_revoke(request):
            raise PermissionDenied
        if not ApiKey.objects.filter(pk=key_id).exists():
            raise Http404(f"There is no API key #{key_id}.")
        key = revoke_key(key_id=key_id, actor=Actor.of_request(request))
        messages.success(request, f"The key of {key.name} is revoked. Calls with it are refused from now on.")
        return redirect("admin:cdp_apikey_change", key_id)

    def _may_revoke(self, request: HttpRequest) -> bool:
        return request.user.has_perm("cdp.change_apikey")

    def _page(self, request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, **context}
        return TemplateResponse(request, f"admin/cdp/apikey/{template}", whole)


class RolesField(forms.ModelMultipleChoiceField):
    """Roles as check boxes, each with a sentence on what it is for."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Group.objects.order_by("name"), **kwargs)

    def label_from_instance(self, group: Group) -> str:
        role = ROLES.get(group.name)
        return f"{group.name} · {role.summary}" if role else group.name


class StaffForm(RightsForm, UserChangeForm):
    holds = "user_permissions"

    class Meta(UserChangeForm.Meta):
        model = User


class StaffAdmin(RightsAdmin, UserAdmin):
    """Staff logins. Roles say what somebody may do; single rights are for the exception."""

    form = StaffForm
    list_display = ("username", "full_name", "email", "roles", "is_active", "seen")
    list_filter = ("is_active", "is_superuser", "groups")
    ordering = ("username",)
    list_select_related = ()
    page_title = "Users"
    page_sub = "Staff logins. People in the data are never users."
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who", {"fields": ("first_name", "last_name", "email")}),
        ("What they may do", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Single rights", {"fields": ("rights",), "classes": ("collapse",)}),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Whoever manages logins does not thereby become, or unseat, somebody who may do everything."""
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self.has_change_permission(request, obj) and super().has_delete_permission(request, obj)

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


admin.site.register(ApiKey, ApiKeyAdmin)
admin.site.register(User, StaffAdmin)
# A second factor is set up by its owner; in a list of devices others could read its secret.
admin.site.unregister(TOTPDevice)
