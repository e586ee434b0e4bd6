"""Admin pages of staff logins and API keys."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from django_otp.plugins.otp_totp.models import TOTPDevice

from cdp import audit
from cdp.actors import Actor, block_of_key, block_of_user
from cdp.admin.jobs import back_path
from cdp.admin.model_admin import CdpModelAdmin
from cdp.admin.roles import RightsAdmin, RightsForm
from cdp.api.key_use import uses_of
from cdp.api.keys import create_key, hand_over_key, revoke_key
from cdp.delegation import may_act_on_login, problem_of_role
from cdp.errors import Forbidden, Invalid, NotFound, Refused
from cdp.models import ApiKey, Job, User
from cdp.plurals import counted
from cdp.roles_and_scopes import ROLES, SCOPE_DESCRIPTIONS, SCOPES
from cdp.templatetags.cdp import ago


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


def possible_owners() -> QuerySet[User]:
    """Logins that can answer for a key."""
    return User.objects.filter(is_active=True, is_staff=True).order_by("username")


class ApiKeyAdmin(CdpModelAdmin):
    """A key's secret is shown once, right after it is made; a key is never changed, only revoked."""

    list_display = (
        "name",
        "prefix_display",
        "scopes_display",
        "owner_display",
        "created",
        "used",
        "state_display",
    )
    ordering = ("-pk",)
    list_select_related = ("owner",)
    actions = None
    page_title = "API keys"
    page_sub = "One key for each system, with no more rights than it needs. A key works while its owner's login does."
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
        state, color = key_state(key)
        return format_html('<span class="badge {}">{}</span>', color, state)

    @admin.display(description="Owner")
    def owner_display(self, key: ApiKey) -> str:
        return owner_in_words(key)

    def get_urls(self) -> list[Any]:
        return [
            path(
                "<int:key_id>/revoke/",
                self.admin_site.admin_view(require_POST(self.revoke_view)),
                name="cdp_apikey_revoke",
            ),
            path(
                "<int:key_id>/hand-over/",
                self.admin_site.admin_view(require_POST(self.hand_over_view)),
                name="cdp_apikey_hand_over",
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
            except (Invalid, Forbidden) as error:
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
            ApiKey.objects.select_related("created_by", "owner").filter(pk=object_id).first()
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
            state=key_state(key),
            owner=owner_in_words(key),
            problem=block_of_key(key),
            owners=possible_owners(),
            may_revoke=self._may_revoke(request),
        )

    def revoke_view(self, request: HttpRequest, key_id: int) -> HttpResponse:
        if not self._may_revoke(request):
            raise PermissionDenied
        if not ApiKey.objects.filter(pk=key_id).exists():
            raise Http404(f"There is no API key #{key_id}.")
        key = revoke_key(key_id=key_id, actor=Actor.of_request(request))
        messages.success(request, f"The key of {key.name} is revoked. Calls with it are refused from now on.")
        return redirect(back_path(request) or reverse("admin:cdp_apikey_change", args=[key_id]))

    def hand_over_view(self, request: HttpRequest, key_id: int) -> HttpResponse:
        if not self._may_revoke(request):
            raise PermissionDenied
        chosen = request.POST.get("owner", "")
        try:
            key = hand_over_key(
                key_id=key_id,
                user_id=int(chosen) if chosen.isascii() and chosen.isdigit() else 0,
                actor=Actor.of_request(request),
            )
        except NotFound as error:
            raise Http404(error.message) from error
        except Refused as error:
            messages.error(request, error.message)
        else:
            messages.success(
                request, f"The login “{key.owner}” answers for the key of {key.name} from now on."
            )
        return redirect(back_path(request) or reverse("admin:cdp_apikey_change", args=[key_id]))

    def _may_revoke(self, request: HttpRequest) -> bool:
        return request.user.has_perm("cdp.change_apikey")

    def _page(self, request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, **context}
        return TemplateResponse(request, f"admin/cdp/apikey/{template}", whole)


def key_state(key: ApiKey) -> tuple[str, str]:
    """A word and its color. Expects ``owner`` joined in."""
    if key.revoked_at:
        return "revoked", "bad"
    return ("refused", "warn") if block_of_key(key) else ("active", "ok")


def owner_in_words(key: ApiKey) -> str:
    if key.is_system:
        return "the command line"
    return str(key.owner or "a login that is gone")


class RolesField(forms.ModelMultipleChoiceField):
    """Roles as check boxes, each with a sentence on what it is for."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Group.objects.order_by("name"), **kwargs)

    def label_from_instance(self, group: Group) -> str:
        role = ROLES.get(group.name)
        return f"{group.name} · {role.summary}" if role else group.name


class StaffForm(RightsForm, UserChangeForm):
    """``roles_given`` and ``roles_taken``: names, once the form is valid."""

    holds = "user_permissions"

    class Meta(UserChangeForm.Meta):
        model = User
        help_texts = {
            "is_active": "Untick it when somebody leaves: their sessions, API keys and jobs end at once. Logins are never"
            " deleted, so that histories, notes and consents keep saying who did it.",
            "is_staff": "Without it the login can neither sign in here nor use the API.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.roles_given: list[str] = []
        self.roles_taken: list[str] = []

    def clean_groups(self) -> QuerySet[Group]:
        """Raises ValidationError for a new role with rights that whoever gives it does not have."""
        chosen: QuerySet[Group] = self.cleaned_data["groups"]
        before = {role.pk: role for role in self.initial.get("groups", ())}
        given = [role for role in chosen if role.pk not in before]
        for role in given:
            if problem := problem_of_role(self.actor, role):
                raise ValidationError(problem)
        kept = {role.pk for role in chosen}
        self.roles_given = sorted(role.name for role in given)
        self.roles_taken = sorted(role.name for pk, role in before.items() if pk not in kept)
        return chosen


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
        context["may_change_logins"] = request.user.has_perm("cdp.change_user")
        return super().change_view(request, object_id, form_url, context)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if not isinstance(form, StaffForm):
            return
        record = partial(
            audit.record, actor=Actor.of_request(request), subject=self.subject_of(form.instance)
        )
        if form.roles_given or form.roles_taken:
            record("user.roles", detail={"given": form.roles_given, "taken": form.roles_taken})
        if "is_active" in form.changed_data:
            record("user.activate" if form.instance.is_active else "user.deactivate")
        statuses = [name for name in ("is_staff", "is_superuser") if name in form.changed_data]
        if statuses:
            given = [name for name in statuses if getattr(form.instance, name)]
            record("user.status", detail={"given": given, "taken": sorted(set(statuses) - set(given))})

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


admin.site.register(ApiKey, ApiKeyAdmin)
admin.site.register(User, StaffAdmin)
# A second factor is set up by its owner; in a list of devices others could read its secret.
admin.site.unregister(TOTPDevice)
