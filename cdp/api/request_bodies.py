"""A JSON body → checked values, or a ValidationError with pointers; the same serializers describe the body."""

from __future__ import annotations

import datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from cdp.api.parameters import BIGGEST_ID

BAD_ID = "Send the id as a whole number."


class StrictSerializer(serializers.Serializer[Any]):
    """A JSON object whose unknown fields are refused: nothing that was sent is dropped silently."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError({"non_field_errors": ["Send a JSON object."]})
        known_fields = [name for name, field in self.fields.items() if not field.read_only]
        unknown = [key for key in data if key not in known_fields]
        if unknown:
            known = ", ".join(known_fields)
            message = "There is no field “{}” here. Known fields: " + known + "."
            raise serializers.ValidationError({key: [message.format(key)] for key in unknown})
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.ANY)
class RawField(serializers.Field[Any, Any, Any, Any]):
    """A scalar handed to the verb as it came (text, number, boolean or null); verbs clean values themselves."""

    default_error_messages = {"type": "Send a text, a number, true, false or null."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_null": True, "required": False, **kwargs})

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, (str, int, float, bool)):
            self.fail("type")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class TextField(serializers.CharField):
    """Text exactly as sent: spaces stay for the verb to judge, and numbers are not turned into text."""

    default_error_messages = {"type": "Send a text."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("type")
        return data


class ValueField(serializers.CharField):
    """An identifier's value: text, or a whole number as shops like to send their ids."""

    default_error_messages = {"type": "Send the value as text."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, bool) or not isinstance(data, (str, int)):
            self.fail("type")
        return str(data)


class IdField(serializers.IntegerField):
    """The id of a row: a whole number, or its digits as text."""

    default_error_messages = {"type": BAD_ID}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": BIGGEST_ID, **kwargs})

    def to_internal_value(self, data: Any) -> int:
        number = _read_int(data)
        if number is None:
            self.fail("type")
        return super().to_internal_value(number)


def read_id(value: Any) -> int | None:
    """What ``IdField`` reads, for bodies of thousands of ids; None for what it refuses."""
    number = _read_int(value)
    return number if number is not None and 1 <= number <= BIGGEST_ID else None


def _read_int(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return value if type(value) is int else None


class TimeField(serializers.DateTimeField):
    """A time of a row, written in UTC."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"read_only": True, "default_timezone": datetime.UTC, **kwargs})


class IdentifierBody(StrictSerializer):
    """``{"type": "email", "value": "ann@example.com"}``"""

    type = TextField()
    value = ValueField()
