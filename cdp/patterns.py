"""Regular expressions that people enter → matchers whose time grows with the length of the text and nothing else.

Python's own engine tries every way to match, which for a pattern such as ``(a+)+b`` doubles with each character,
with the interpreter locked. These run on the automata of Rust's ``regex`` crate, which jsonschema-rs brings along for
the patterns of event schemas: it knows no look-around and no back-references, and needs none of their time.
"""

from __future__ import annotations

from collections.abc import Callable

import jsonschema_rs

Matcher = Callable[[str], bool]

# Also of patterns that are no longer than this when written out: ``(a{1000}){1000}`` would take a gigabyte.
LINEAR = jsonschema_rs.RegexOptions(size_limit=1_000_000, dfa_size_limit=1_000_000)
NOT_RUN = "is not a regular expression we can run (no look-around, no back-references)"


class BadPattern(ValueError):
    """No regular expression, or one that needs look-around, back-references or too much memory."""


def full_matcher(pattern: str) -> Matcher:
    """Whether a text matches the pattern from end to end, upper and lower case alike. Raises BadPattern."""
    try:
        # Alone first: “a)(b” is none, although it would be one within the parentheses.
        jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=LINEAR)
        whole = {"pattern": f"^(?i:{pattern})$"}
        return jsonschema_rs.validator_for(whole, pattern_options=LINEAR).is_valid
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise BadPattern(f"“{pattern}” {NOT_RUN}.") from error
