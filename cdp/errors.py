"""Exceptions of verbs: a sentence for people, a code and a pointer → the admin's message, the API's problem+json."""

from typing import Any


class Refused(Exception):
    """A request that was understood and is not carried out; nothing was changed.

    ``message`` is a sentence for people, ``code`` a stable word for programs, ``status`` the HTTP status;
    ``extra`` is what the API adds for a program to act on it, such as the profile that has the identifier.
    """

    code = "refused"
    status = 422

    def __init__(self, message: str, *, problems: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.problems = problems or []
        self.extra: dict[str, Any] = {}


class NotFound(Refused):
    code = "not_found"
    status = 404


class Forbidden(Refused):
    code = "forbidden"
    status = 403


class RuleForbids(Refused):
    code = "rule_forbids"
    status = 422


class Stale(Refused):
    """Something changed since the person looked; they get a fresh look, nothing was applied."""

    code = "stale"
    status = 409


class Conflict(Refused):
    code = "conflict"
    status = 409


class IdentifierTaken(Conflict):
    code = "identifier_taken"

    def __init__(self, type_name: str, value: str, profile_id: int) -> None:
        self.type = type_name
        self.value = value
        self.profile_id = profile_id
        super().__init__(f"{type_name} {value} already belongs to profile #{profile_id}.")
        self.extra = {"profile_id": profile_id}


class Invalid(Refused):
    """Values that cannot be kept; ``problems`` has ``{"field", "value", "message"}`` for each."""

    code = "invalid"
    status = 400

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__(problems[0]["message"] if problems else "Invalid values.", problems=problems)
