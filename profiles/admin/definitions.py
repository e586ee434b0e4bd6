"""The pages of custom attributes and identifier types."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models.functions import Lower
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cdp.actors import Actor
from cdp.admin.model_admin import CdpModelAdmin
from cdp.admin.query_timeout import within_patience
from profiles.admin.csv_tables import AttributeResource, DefinitionFiles
from profiles.identity.change_rules import recheck_type
from profiles.identity.normalize import BadValue, compile_patterns
from profiles.models import AttributeDefinition, Identifier, IdentifierType, Profile
from profiles.values.attributes import check_new_name, rule_refusal


class LinesField(forms.Field):
    """A list, one entry a line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "widget": forms.Textarea(attrs={"rows": 5}), **kwargs})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        entries = value if isinstance(value, list) else str(value or "").splitlines()
        return list(dict.fromkeys(entry.strip() for entry in entries if entry.strip()))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(initial) != self.to_python(data)


# --- Attributes -----------------------------------------------------------------------------------------


def is_used(attribute: AttributeDefinition) -> bool:
    """Whether somebody has a value; True as well where finding out takes too long."""
    used = Profile.objects.filter(attributes__has_key=attribute.name)
    return within_patience(used.exists, milliseconds=500) is not False


class AttributeForm(forms.ModelForm):
    choices = LinesField(label="Allowed values", help_text="One per line; for the type “One of a list”.")

    class Meta:
        model = AttributeDefinition
        fields = ("name", "label", "type", "merge_rule", "sensitivity", "description", "choices")
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if (rule := self.fields.get("merge_rule")) is not None:  # not for who may only look
            rule.choices = [("", "As usual"), *AttributeDefinition.MergeRule.choices]  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        name = self.cleaned_data["name"]
        try:
            check_new_name(name)
        except BadValue as error:
            raise forms.ValidationError(str(error)) from error
        known = AttributeDefinition.objects.annotate(low=Lower("name")).filter(low=name.lower())
        if taken := known.exclude(pk=self.instance.pk).first():
            raise forms.ValidationError(f"There is an attribute “{taken.name}” already.")
        return str(name)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        kind = data.get("type") or self.instance.type
        if kind == AttributeDefinition.Type.CHOICE and not data.get("choices"):
            self.add_error("choices", "List the values to choose from, one per line.")
        if sentence := rule_refusal(data.get("merge_rule") or "", kind):
            self.add_error("merge_rule", sentence)
        return data


class AttributeAdmin(DefinitionFiles, CdpModelAdmin):
    form = AttributeForm
    fields = ("name", "label", "type", "choices", "merge_rule", "sensitivity", "description")
    resource_classes = (AttributeResource,)
    list_display = ("label_column", "name_column", "type", "rule_column", "sensitivity", "description")
    list_display_links = ("label_column",)
    list_filter = ("type", "sensitivity")
    search_fields = ("name", "label")
    ordering = ("name",)
    actions = None
    page_sub = "What is stored about people beyond name, address and the other defaults."
    empty = (
        "No attributes of your own yet",
        "Add one here, or while you map the columns of an import.",
        "admin:profiles_attributedefinition_add",
        "Add attribute",
    )

    @admin.display(description="Label", ordering="label")
    def label_column(self, attribute: AttributeDefinition) -> str:
        return str(attribute)

    @admin.display(description="Name", ordering="name")
    def name_column(self, attribute: AttributeDefinition) -> SafeString:
        return format_html("<code>{}</code>", attribute.name)

    @admin.display(description="When merged", ordering="merge_rule")
    def rule_column(self, attribute: AttributeDefinition) -> str:
        return str(AttributeDefinition.MergeRule(attribute.rule).label)

    def get_readonly_fields(
        self, request: HttpRequest, obj: AttributeDefinition | None = None
    ) -> tuple[str, ...]:
        """The name is what integrations send, so it stays; the type while nobody has a value."""
        if obj is None:
            return ()
        return ("name", "type") if is_used(obj) else ("name",)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What stands in the way of deleting is values, which are no rows of their own."""
        used = [
            f"People have values of “{attribute}”. Clear them first."
            for attribute in objs
            if is_used(attribute)
        ]
        return [], {}, set(), used


# --- Identifier types -----------------------------------------------------------------------------------


class IdentifierTypeForm(forms.ModelForm):
    blocked_values = LinesField(
        help_text="One per line; upper and lower case are the same. Such a value is ignored, with a warning. What never"
        " identifies anybody (null, n/a, #N/A, test@test.com, 000000 and the like) is ignored without being listed."
    )
    blocked_patterns = LinesField(
        help_text="Regular expressions that must match the whole value, one per line, for example demo-[0-9]+. Upper and"
        " lower case are the same. Look-around and back-references cannot be used."
    )

    class Meta:
        model = IdentifierType
        fields = (
            "name",
            "label",
            "strength",
            "is_unique",
            "is_main",
            "priority",
            "normalizer",
            "max_per_profile",
            "proves_two_people",
            "blocked_values",
            "blocked_patterns",
        )
        labels = {
            "is_main": "Makes people recognized",
            "is_unique": "Identifies one person",
            "max_per_profile": "Values per person, at most",
            "proves_two_people": "Different values prove two people",
            "normalizer": "Format",
        }

    def clean_blocked_values(self) -> list[str]:
        return [value.lower() for value in self.cleaned_data["blocked_values"]]

    def clean_blocked_patterns(self) -> list[str]:
        patterns: list[str] = self.cleaned_data["blocked_patterns"]
        try:
            compile_patterns(patterns)
        except BadValue as error:
            raise forms.ValidationError(str(error)) from error
        return patterns

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        strength = data.get("strength") or self.instance.strength
        if data.get("is_main") and strength == IdentifierType.Strength.SOFT:
            self.add_error(
                "is_main",
                "A soft type identifies a browser, not a person, so it cannot make anybody recognized.",
            )
        if data.get("is_main") and not data.get("is_unique"):
            self.add_error(
                "is_main", "A contact value identifies nobody, so it cannot make anybody recognized."
            )
        compared = (IdentifierType.Normalizer.EMAIL, IdentifierType.Normalizer.PHONE)
        normalizer = data.get("normalizer") or self.instance.normalizer
        if data.get("proves_two_people") and strength == IdentifierType.Strength.SOFT:
            self.add_error(
                "proves_two_people",
                "A soft type identifies a browser, and one person has several, so different values prove nothing.",
            )
        elif data.get("proves_two_people") and normalizer in compared:
            self.add_error(
                "proves_two_people",
                "One person has several e-mails and phones, so different ones prove nothing.",
            )
        return data


class IdentifierTypeAdmin(CdpModelAdmin):
    """Which values identify a person, and which of two takes precedence."""

    form = IdentifierTypeForm
    list_display = ("label_column", "name", "kind", "priority", "normalizer", "limit_column")
    list_display_links = ("label_column",)
    ordering = ("priority", "name")
    actions = None
    page_title = "Identity"
    page_sub = "What makes two records one person, strongest first."
    change_list_template = "admin/profiles/identifiertype/change_list.html"
    fieldsets = (
        (None, {"fields": ("name", "label")}),
        (
            "How it identifies",
            {
                "fields": (
                    "strength",
                    "is_unique",
                    "is_main",
                    "priority",
                    "max_per_profile",
                    "proves_two_people",
                )
            },
        ),
        ("How values are read", {"fields": ("normalizer", "blocked_values", "blocked_patterns")}),
    )

    @admin.display(description="Type", ordering="label")
    def label_column(self, kind: IdentifierType) -> str:
        return str(kind)

    @admin.display(description="Identifies")
    def kind(self, kind: IdentifierType) -> SafeString:
        if not kind.is_unique:
            return format_html('<span class="badge">{}</span>', "for contact only")
        if kind.strength == IdentifierType.Strength.SOFT:
            return format_html('<span class="badge warn">{}</span>', "a browser or device")
        if kind.is_main:
            return format_html('<span class="badge ok">{}</span>', "a recognized person")
        return format_html('<span class="badge acc">{}</span>', "a person")

    @admin.display(description="Values per person")
    def limit_column(self, kind: IdentifierType) -> str:
        return str(kind.max_per_profile or "any number")

    def get_readonly_fields(self, request: HttpRequest, obj: IdentifierType | None = None) -> tuple[str, ...]:
        """Values are kept as the normalizer left them; another one would no longer find them."""
        if obj is None:
            return ()
        return ("name", "normalizer", "strength") if has_values(obj) else ("name",)

    def has_delete_permission(self, request: HttpRequest, obj: IdentifierType | None = None) -> bool:
        if obj is not None and (obj.is_builtin or has_values(obj)):
            return False
        return super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: IdentifierType, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and {"is_unique", "is_main", "strength"} & set(form.changed_data):
            job = recheck_type(type_id=obj.pk, actor=Actor.of_request(request))
            if job is not None:
                messages.info(request, f"Existing values of {obj} are being updated; see Jobs.")


def has_values(kind: IdentifierType) -> bool:
    """Whether somebody has a value of the type; True as well where finding out takes too long."""
    return within_patience(lambda: Identifier.objects.filter(type=kind).exists()) is not False


admin.site.register(AttributeDefinition, AttributeAdmin)
admin.site.register(IdentifierType, IdentifierTypeAdmin)
