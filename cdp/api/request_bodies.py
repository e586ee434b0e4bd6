"""Serializers of request bodies: checked before a verb is called, and described in the schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from cdp.api.parameters import BIGGEST_ID


class Shape(serializers.Serializer[Any]):
    """A JSON object whose unknown fields are refused: nothing that was sent is dropped silently."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError({"non_field_errors": ["Send a JSON object."]})
        unknown = [key for key in data if key not in self.fields and not self._is_open(key)]
        if unknown:
            known = ", ".join(self.fields)
            message = "There is no field “{}” here. Known fields: " + known + "."
            raise serializers.ValidationError({key: [message.format(key)] for key in unknown})
        return super().to_internal_value(data)

    def _is_open(self, key: str) -> bool:
        return False


@extend_schema_field(OpenApiTypes.ANY)
class RawField(serializers.Field[Any, Any, Any, Any]):
    """A scalar handed to the verb as it came (text, number, boolean or null); verbs clean values themselves."""

    default_error_messages = {"shape": "Send a text, a number, true, false or null."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_null": True, "required": False, **kwargs})

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, (str, int, float, bool)):
            self.fail("shape")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class TextField(serializers.CharField):
    """Text exactly as sent: spaces stay for the verb to judge, and numbers are not turned into text."""

    default_error_messages = {"shape": "Send a text."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("shape")
        return data


class ValueField(serializers.CharField):
    """An identifier's value: text, or a whole number as shops like to send their ids."""

    default_error_messages = {"shape": "Send the value as text."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, bool) or not isinstance(data, (str, int)):
            self.fail("shape")
        return str(data)


class IdField(serializers.IntegerField):
    """The id of a row: a whole number, not a text of one."""

    default_error_messages = {"shape": "Send the id as a whole number."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": BIGGEST_ID, **kwargs})

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("shape")
        return super().to_internal_value(data)


class IdentifierShape(Shape):
    """``{"type": "email", "value": "ann@example.com"}``"""

    type = TextField()
    value = ValueField()
