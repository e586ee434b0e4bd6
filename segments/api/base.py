"""What the calls on segments share: the segment an address names, its rule, and errors that point into the body's rule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rest_framework import exceptions

from cdp.errors import Invalid, NotFound, RuleForbids
from cdp.limits import TooSlow
from segments.models import Segment
from segments.rules.parse import parse_rule
from segments.rules.tree import Rule
from segments.vocabulary import Vocabulary

TOO_SLOW = (
    "This takes too long to be read while you wait, and was stopped. Try again when the system is less busy."
)


class TookTooLong(exceptions.APIException):
    status_code = 503
    default_code = "timeout"
    default_detail = TOO_SLOW
    wait = 10


def find_segment(pk: int) -> Segment:
    """Raises NotFound. One query."""
    segment = Segment.objects.filter(pk=pk).first()
    if segment is None:
        raise NotFound(f"There is no segment #{pk}.")
    return segment


def rule_of(segment: Segment) -> Rule | None:
    """None for a segment by hand. Raises RuleForbids for a rule that names what is gone."""
    if segment.is_static:
        return None
    try:
        return parse_rule(segment.rules, Vocabulary())
    except Invalid as error:
        raise RuleForbids(f"The rule of “{segment.name}” cannot be read any more: {error.message}") from error


@contextmanager
def pointing_at_rules() -> Iterator[None]:
    """Problems of a rule, whose field is a JSON pointer into it, as problems of the body it was sent in as ``rules``."""
    try:
        yield
    except Invalid as error:
        raise Invalid([_pointed(problem) for problem in error.problems]) from error


def _pointed(problem: dict[str, object]) -> dict[str, object]:
    field = str(problem.get("field", ""))
    if not field.startswith("/"):
        return problem
    rest = {key: value for key, value in problem.items() if key != "field"}
    return {"pointer": "/rules" + ("" if field == "/" else field), **rest}


@contextmanager
def in_time() -> Iterator[None]:
    """A statement that was cut is a 503 that says so."""
    try:
        yield
    except TooSlow as error:
        raise TookTooLong from error
