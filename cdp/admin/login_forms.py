"""The forms of staff logins: a new one with its role and how it signs in, and one that is changed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.contrib.auth.forms import (
    ReadOnlyPasswordHashField,
    ReadOnlyPasswordHashWidget,
    UserChangeForm,
    UsernameField,
)
from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.crypto import get_random_string
from django.utils.html import format_html

from cdp.actors import Actor
from cdp.admin.roles import RightsForm
from cdp.delegation import problem_of_role
from cdp.models import User
from cdp.roles_and_scopes import ROLES

STATUS_WORDS = {"is_staff": "staff status", "is_superuser": "superuser status"}
_PASSWORD_LENGTH = 40


class RolesField(forms.ModelMultipleChoiceField):
    """Roles as check boxes, each with a sentence on what it is for."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Group.objects.order_by("name"), **kwargs)

    def label_from_instance(self, group: Group) -> str:
        role = ROLES.get(group.name)
        return format_html("<b>{}</b> · {}", group.name, role.summary) if role else group.name


class GivesRoles(forms.ModelForm):
    """A form with the field ``groups``. ``roles_given`` and ``roles_taken``: names, once it is valid."""

    actor: Actor = Actor.nobody()

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


class PasswordNote(ReadOnlyPasswordHashWidget):
    """Says whether there is a password, in place of how its checksum is made."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        if is_password_usable(value):
            context["summary"] = [{"label": "Set"}]
        return context


USERNAME_HELP = "What they sign in with: letters, digits and @ . + - _"
EMAIL_HELP = "For a forgotten password, and notices about this login."
SUPERUSER_HELP = "May do everything, whatever the roles say."


class NewStaffForm(GivesRoles):
    """A login that can be used at once: with a role, and a password or a link by mail to choose one."""

    INVITE, SET = "invite", "set"
    how = forms.ChoiceField(
        label="Password",
        choices=[
            (INVITE, "Send an invitation by mail, with a link to choose a password"),
            (SET, "Set a password now, and tell it to them"),
        ],
        initial=INVITE,
        widget=forms.RadioSelect,
    )
    password1 = forms.CharField(
        label="Password to set",
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    password2 = forms.CharField(
        label="The same password again",
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    class Meta:
        model = User
        fields = ("username", "email", "first_name", "last_name", "groups", "is_superuser")
        field_classes = {"username": UsernameField}
        help_texts = {
            "username": USERNAME_HELP,
            "email": "For the invitation, a forgotten password, and notices about this login.",
            "is_superuser": SUPERUSER_HELP,
        }

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "groups" not in self.errors and not cleaned.get("groups") and not cleaned.get("is_superuser"):
            self.add_error("groups", "Choose at least one role: a login without one can do nothing.")
        if cleaned.get("how") == self.INVITE:
            if not cleaned.get("email") and "email" not in self.errors:
                self.add_error("email", "An invitation needs an e-mail address.")
        elif not cleaned.get("password1"):
            self.add_error("password1", "Enter a password, or send an invitation.")
        elif cleaned["password1"] != cleaned.get("password2"):
            self.add_error("password2", "The two passwords are not the same.")
        return cleaned

    def _post_clean(self) -> None:
        """After the login's own fields are known, which a password must not resemble."""
        super()._post_clean()  # type: ignore[misc]
        password = self.cleaned_data.get("password1")
        if self.cleaned_data.get("how") == self.SET and password:
            try:
                password_validation.validate_password(password, self.instance)
            except ValidationError as error:
                self.add_error("password1", error)

    def save(self, commit: bool = True) -> User:
        """A role is of use to staff alone, so the login is staff. Whoever is invited gets a password nobody knows."""
        user: User = super().save(commit=False)
        user.is_staff = True
        is_set = self.cleaned_data["how"] == self.SET
        user.set_password(self.cleaned_data["password1"] if is_set else get_random_string(_PASSWORD_LENGTH))
        if commit:
            user.save()
            self.save_m2m()
        return user


class StaffForm(GivesRoles, RightsForm, UserChangeForm):
    holds = "user_permissions"
    password = ReadOnlyPasswordHashField(
        label="Password", widget=PasswordNote, help_text="Nobody can see it, not even here."
    )

    class Meta(UserChangeForm.Meta):
        model = User
        help_texts = {
            "username": USERNAME_HELP,
            "email": EMAIL_HELP,
            "is_superuser": SUPERUSER_HELP,
            "is_active": "Untick it when somebody leaves: their sessions, API keys and jobs end at once. Logins are never"
            " deleted, so that histories, notes and consents keep saying who did it.",
            "is_staff": "Without it the login can neither sign in here nor use the API. A new role ticks it by itself.",
        }

    def clean(self) -> dict[str, Any]:
        """A role given to a login without staff status would be of no use."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.roles_given and "is_staff" in cleaned and not self.initial.get("is_staff"):
            cleaned["is_staff"] = True
        return cleaned

    @property
    def statuses_given(self) -> list[str]:
        return [name for name in STATUS_WORDS if self._status_is(name) and not self._status_was(name)]

    @property
    def statuses_taken(self) -> list[str]:
        return [name for name in STATUS_WORDS if self._status_was(name) and not self._status_is(name)]

    def _status_is(self, name: str) -> bool:
        return bool(getattr(self.instance, name))

    def _status_was(self, name: str) -> bool:
        return bool(self.initial.get(name, self._status_is(name)))
