"""A value → whether it identifies nobody: what programs write for "unknown", what people type into a form. Pure."""

import re
from collections.abc import Collection, Iterable, Sequence

from profiles.identity.text import BadValue

# Shipped with every identifier type; an administrator edits the lists there. Compared in lower case.
DEFAULT_BLOCKED: tuple[str, ...] = (
    "-",
    "-1",
    "(null)",
    "[object object]",
    "anonymous",
    "false",
    "guest",
    "n/a",
    "na",
    "nan",
    "nil",
    "no@email.com",
    "noemail@noemail.com",
    "none",
    "none@none.com",
    "null",
    "test@test.com",
    "true",
    "undefined",
    "unknown",
)
DEFAULT_BLOCKED_PATTERNS: tuple[str, ...] = (
    r"[+]?0+([-. ]0+)*",  # runs of zeros, the zero UUID
)

MAX_PATTERN = 200


def compile_patterns(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """Patterns as `is_blocked` wants them. Raises `BadValue` naming the one that is no regular expression."""
    compiled = []
    for pattern in patterns:
        if len(pattern) > MAX_PATTERN:
            raise BadValue(f"A pattern has at most {MAX_PATTERN} characters; this one has {len(pattern):,}.")
        try:
            compiled.append(re.compile(pattern, re.IGNORECASE))
        except re.error as error:
            raise BadValue(f"“{pattern}” is not a regular expression: {error.msg}.") from error
    return tuple(compiled)


def is_blocked(value: str, exact: Collection[str], patterns: Sequence[re.Pattern[str]] = ()) -> bool:
    """Whether the value is empty or, in any case and as a whole, on the list or matched by a pattern.

    `exact` is best a frozenset of lower-case values; `patterns` come from `compile_patterns`. Called once
    per identifier of a file.
    """
    key = value.strip().lower()
    if not key or key in exact:
        return True
    for pattern in patterns:  # noqa: SIM110 - any() with a generator doubles the time of the whole call
        if pattern.fullmatch(key):
            return True
    return False
