"""Admin pages of API keys."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from cdp.actors import Actor, block_of_key
from cdp.admin.confirm import confirm_first
from cdp.admin.jobs import back_path
from cdp.admin.model_admin import CdpModelAdmin
from cdp.api.key_use import uses_of
from cdp.api.keys import create_key, hand_over_key, revoke_key
from cdp.errors import Forbidden, Invalid, NotFound, Refused
from cdp.models import ApiKey, User
from cdp.roles_and_scopes import SCOPE_DESCRIPTIONS, SCOPES
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
                self.admin_site.admin_view(require_POST(confirm_first("POST")(self.hand_over_view))),
                name="cdp_apikey_hand_over",
            ),
            *super().get_urls(),
        ]

    @method_decorator(confirm_first("GET", "POST"))
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


admin.site.register(ApiKey, ApiKeyAdmin)
