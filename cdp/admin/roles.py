"""Roles in words: what each may do as a table, and check boxes by task in place of Django's permission codes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.db.models import Count, F, Value
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from cdp import audit
from cdp.actors import Actor
from cdp.admin.confirm import confirm_first
from cdp.admin.model_admin import CdpModelAdmin
from cdp.admin.navigation import TASKS
from cdp.delegation import may_act_on_role, permissions_beyond, permissions_of_role
from cdp.roles_and_scopes import RIGHTS, ROLES, Right


def rights_by_task() -> list[tuple[str, list[Right]]]:
    """(task, its rights) in the order of the menu; of a task's rights those first that need no other."""
    tasks = []
    for key, label in TASKS.items():
        rights = [right for right in RIGHTS.values() if right.task == key]
        if rights:
            tasks.append((label, sorted(rights, key=lambda right: bool(right.needs))))
    return tasks


def _with_code(permissions: Any) -> Any:
    """The permissions with their ``app.codename`` as ``code``."""
    code = Concat(F("content_type__app_label"), Value("."), F("codename"))
    return permissions.annotate(code=code).order_by()


# --- The table ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A right in words, and for each role “yes”, “in part” or “no”."""

    label: str
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Matrix:
    roles: list[Group]
    tasks: list[tuple[str, list[MatrixRow]]]


def matrix() -> Matrix:
    """What each role may do; shipped roles first. Two queries."""
    order = {name: place for place, name in enumerate(ROLES)}
    roles = sorted(Group.objects.all(), key=lambda role: (order.get(role.name, len(order)), role.name))
    held: dict[int, set[str]] = defaultdict(set)
    granted = _with_code(Permission.objects.filter(group__isnull=False))
    for role_id, code in granted.values_list("group", "code"):
        held[role_id].add(code)
    return Matrix(
        roles,
        [
            (
                task,
                [
                    MatrixRow(right.label, [_state(right, held[role.pk]) for role in roles])
                    for right in rights
                ],
            )
            for task, rights in rights_by_task()
        ],
    )


def _state(right: Right, codes: set[str]) -> str:
    if right.codes <= codes:
        return "yes"
    return "in part" if right.codes & codes else "no"


# --- The check boxes ------------------------------------------------------------------------------------------


class RightsWidget(forms.CheckboxSelectMultiple):
    """Rights by task. ``held``: the permissions of whom the form is about, which may be parts of a right or internal.

    ``withheld``: rights that whoever fills in the form does not have, and so cannot give.
    """

    template_name = "cdp/rights.html"
    held: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        ticked = set(value or ())
        tasks = [
            (
                task,
                [
                    (right, right.code in ticked, self._part_of(right), right.code in self.withheld)
                    for right in rights
                ],
            )
            for task, rights in rights_by_task()
        ]
        known = frozenset().union(*(right.codes for right in RIGHTS.values()))
        return {"name": name, "tasks": tasks, "internal": sorted(self.held - known)}

    def _part_of(self, right: Right) -> str:
        """The permissions held of a right that is not held as a whole."""
        return "" if right.codes <= self.held else ", ".join(sorted(right.codes & self.held))


class RightsForm(forms.ModelForm):
    """A form about whoever holds permissions. Only rights that were ticked or unticked are given or taken.

    Whatever else they hold stays: permissions without words, and parts of a right. ``actor`` fills in the form and gives
    no right they do not have.
    """

    holds = "permissions"
    actor: Actor = Actor.nobody()
    rights = forms.MultipleChoiceField(required=False, label="Rights", widget=RightsWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.given: set[str] = set()
        self.taken: set[str] = set()
        if "rights" not in self.fields:  # somebody who may only look
            return
        field = self.fields["rights"]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101
        field.choices = [(code, right.label) for code, right in RIGHTS.items()]
        held = frozenset(
            _with_code(self._held.all()).values_list("code", flat=True) if self.instance.pk else ()
        )
        field.widget.held = held
        field.widget.withheld = frozenset(
            code for code, right in RIGHTS.items() if permissions_beyond(self.actor, right.codes)
        )
        self.initial["rights"] = [code for code, right in RIGHTS.items() if right.codes <= held]

    @property
    def _held(self) -> Any:
        return getattr(self.instance, self.holds)

    def clean_rights(self) -> list[str]:
        """Raises ValidationError for a newly ticked right that opens nothing without one that is not.

        Also for one given or taken by somebody who does not have it.
        """
        chosen: list[str] = self.cleaned_data["rights"]
        for code in sorted(set(chosen) ^ set(self.initial["rights"])):
            if permissions_beyond(self.actor, RIGHTS[code].codes):
                verb = "give" if code in chosen else "take away"
                raise ValidationError(
                    f"You cannot {verb} the right “{RIGHTS[code].label}”: you do not have it yourself."
                )
        for code in chosen:
            right = RIGHTS[code]
            if right.needs and right.needs not in chosen and code not in self.initial["rights"]:
                raise ValidationError(f"“{right.label}” is of no use without “{RIGHTS[right.needs].label}”.")
        return chosen

    def _save_m2m(self) -> None:
        super()._save_m2m()  # type: ignore[misc]
        if "rights" not in self.cleaned_data:
            return
        before, after = set(self.initial["rights"]), set(self.cleaned_data["rights"])
        kept = _permissions_of(after)
        self.given = _permissions_of(after - before)
        self.taken = _permissions_of(before - after) - kept
        ids = dict(_with_code(Permission.objects.all()).values_list("code", "pk"))
        self._held.add(*(ids[code] for code in self.given))
        self._held.remove(*(ids[code] for code in self.taken))


def _permissions_of(rights: set[str]) -> set[str]:
    return set().union(*(RIGHTS[code].codes for code in rights))


class RightsAdmin(CdpModelAdmin):
    """The base of pages with a ``RightsForm``: what was given and taken is in the audit log."""

    form: type[RightsForm] = RightsForm

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.actor = Actor.of_request(request)  # the class was made for this request
        return form

    @admin.display(description="Rights")
    def rights(self, holder: Any) -> SafeString:
        """For whoever may look and not change."""
        held = set(_with_code(getattr(holder, self.form.holds).all()).values_list("code", flat=True))
        lines = [
            (task, ", ".join(right.label for right in rights if right.codes <= held))
            for task, rights in rights_by_task()
        ]
        return format_html_join(
            "", "<p><b>{}</b>: {}</p>", [line for line in lines if line[1]]
        ) or SafeString("none")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        given, taken = sorted(getattr(form, "given", ())), sorted(getattr(form, "taken", ()))
        if given or taken:
            audit.record(
                f"{self.opts.model_name}.rights",
                actor=Actor.of_request(request),
                subject=self.subject_of(form.instance),
                detail={"given": given, "taken": taken},
            )


# --- The pages of roles ---------------------------------------------------------------------------------------


class RoleForm(RightsForm):
    class Meta:
        model = Group
        fields = ("name",)


@method_decorator(confirm_first("POST"), name="add_view")
@method_decorator(confirm_first("POST"), name="change_view")
@method_decorator(confirm_first("POST"), name="delete_view")
class RoleAdmin(RightsAdmin, GroupAdmin):
    form = RoleForm
    list_display = ("name", "what", "logins")
    list_select_related = ()
    filter_horizontal = ()
    search_fields = ()
    actions = None
    fieldsets = ((None, {"fields": ("name",)}), ("What it may do", {"fields": ("rights",)}))
    page_title = "Roles"
    noun, nouns = "role", "roles"
    page_sub = "A role is a set of rights. You can change the roles whose rights you all have yourself, and add others."

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """A role is changed and deleted by those who have all of its rights."""
        if obj is not None and not may_act_on_role(Actor.of_request(request), obj):
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        if obj is not None and not may_act_on_role(Actor.of_request(request), obj):
            return False
        return super().has_delete_permission(request, obj)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """The audit log keeps what the role was: its name, its rights, and how many logins lose them."""
        roles = list(queryset)
        return audit.record_many(
            "group.delete",
            actor=Actor.of_request(request),
            subjects=[self.subject_of(role) for role in roles],
            details=[
                {
                    "name": role.name,
                    "taken": sorted(permissions_of_role(role)),
                    "logins": role.user_set.count(),
                }
                for role in roles
            ],
        )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(login_count=Count("user"))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {"matrix": matrix, **(extra_context or {})})

    @admin.display(description="For whom")
    def what(self, group: Group) -> str:
        role = ROLES.get(group.name)
        return role.summary if role else "Created here"

    @admin.display(description="Logins")
    def logins(self, group: Any) -> str | SafeString:
        if not group.login_count:
            return "none"
        url = f"{reverse('admin:cdp_user_changelist')}?groups__id__exact={group.pk}"
        return format_html('<a href="{}">{}</a>', url, group.login_count)


admin.site.unregister(Group)
admin.site.register(Group, RoleAdmin)
