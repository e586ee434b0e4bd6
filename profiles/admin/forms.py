"""Forms over attributes: one field per default or registered attribute, with what its type needs to be typed.

The forms only carry texts to and fro; what a value may be is decided by the verbs (profiles/values/attributes.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django import forms

from cdp.errors import Invalid
from profiles.identity.normalize import country_choices
from profiles.models import Profile
from profiles.values.attributes import AttributeSpec, get_value

_YES_NO = [("", "—"), ("true", "yes"), ("false", "no")]
_HELP = {
    "phone": "With the country code, for example +48 600 100 200.",
    "birth_date": "",
    "datetime": "YYYY-MM-DDThh:mm, UTC.",
    "language": "A code like pl or en-GB.",
    "list": "One per line.",
}
_AUTOCOMPLETE_OFF = {"autocomplete": "off"}


class AttributesForm(forms.Form):
    """``specs`` by journal key. ``seen`` carries what the form showed, so that a second editor's changes are
    recognized."""

    use_required_attribute = False

    def __init__(self, specs: Iterable[AttributeSpec], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.specs = {spec.field: spec for spec in specs}
        for key, spec in self.specs.items():
            self.fields[key] = _field(spec)

    @classmethod
    def of(cls, profile: Profile, specs: Iterable[AttributeSpec], **kwargs: Any) -> AttributesForm:
        """The form as a person sees it first: filled from the profile."""
        specs = list(specs)
        return cls(specs, initial=texts_of(profile, specs), **kwargs)

    def values(self) -> dict[str, Any]:
        """What was typed, ready for the verbs: None for empty."""
        typed = {key: self.data.get(self.add_prefix(key), "") for key in self.specs}
        return {key: _raw(self.specs[key], text) for key, text in typed.items()}

    def texts(self) -> dict[str, str]:
        return {key: _plain(self.data.get(self.add_prefix(key), "")) for key in self.specs}

    def add_problems(self, refusal: Invalid) -> None:
        """Put each problem of a refusal at its field."""
        self.is_valid()
        for problem in refusal.problems:
            self.add_error(
                problem["field"] if problem.get("field") in self.fields else None, problem["message"]
            )


def texts_of(profile: Profile, specs: Iterable[AttributeSpec]) -> dict[str, str]:
    return {spec.field: _text(spec, get_value(profile, spec.field)) for spec in specs}


def seen_of(texts: dict[str, str]) -> str:
    """For the hidden field: what the form showed."""
    return json.dumps(texts, ensure_ascii=False)


def read_seen(raw: str) -> dict[str, str]:
    try:
        seen = json.loads(raw)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in seen.items()} if isinstance(seen, dict) else {}


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _text(spec: AttributeSpec, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return str(value)


def _raw(spec: AttributeSpec, text: str) -> Any:
    if spec.type == "list":
        return [item.strip() for item in text.splitlines() if item.strip()] or None
    return _plain(text) or None


def _field(spec: AttributeSpec) -> forms.Field:
    options: dict[str, Any] = {
        "label": spec.label,
        "required": False,
        "help_text": _HELP.get(spec.type, ""),
        "strip": False,
    }
    if spec.type == "choice":
        return _choice(options, [("", "—"), *((value, value) for value in spec.allowed)])
    if spec.type == "boolean":
        return _choice(options, _YES_NO)
    if spec.type == "country":
        return _choice(options, [("", "—"), *country_choices()])
    widget: forms.Widget = forms.TextInput(attrs={**_AUTOCOMPLETE_OFF, **_attrs(spec)})
    if spec.type == "list":
        widget = forms.Textarea(attrs={"rows": 3})
    return forms.CharField(widget=widget, **options)


def _attrs(spec: AttributeSpec) -> dict[str, Any]:
    kinds = {"email": "email", "phone": "tel", "birth_date": "date", "date": "date"}
    attrs: dict[str, Any] = {"type": kinds[spec.type]} if spec.type in kinds else {}
    if spec.type == "number":
        attrs["inputmode"] = "decimal"
    return attrs


def _choice(options: dict[str, Any], choices: list[tuple[str, str]]) -> forms.Field:
    # A plain text field: the verb says which values are allowed, in the same words as everywhere.
    return forms.CharField(widget=forms.Select(choices=choices), **options)
