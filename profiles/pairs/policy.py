"""Changes to the duplicate policy (merging certain pairs automatically, who gets the weekly report) →
stored and audited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Forbidden, Invalid
from profiles.models import DuplicatePolicy

MAX_PER_HOUR = 10_000
MAX_ADDRESSES = 20


@transaction.atomic
def change_policy(*, changes: Mapping[str, Any], actor: Actor) -> DuplicatePolicy:
    """Set ``auto_merge`` (boolean), ``auto_merge_cap`` (1 to 10,000 an hour), ``report_to`` (list of e-mails).

    What is left out stays; each change is in the audit log with what it was. Raises Invalid, naming every
    value that cannot be, and Forbidden for an actor who has pairs merged without asking and may not merge many.
    """
    problems: list[dict[str, Any]] = []
    values: dict[str, Any] = {}
    for name, raw in changes.items():
        try:
            values[name] = _reader(name)(raw)
        except ValueError as error:
            problems.append({"field": name, "value": raw, "message": str(error)})
    if problems:
        raise Invalid(problems)
    DuplicatePolicy.objects.get_or_create(pk=1)
    policy = DuplicatePolicy.objects.select_for_update().get(pk=1)
    changed = {name: value for name, value in values.items() if getattr(policy, name) != value}
    if changed.get("auto_merge") is True and not actor.can("profiles.bulk_merge"):
        needed = "the scope merge" if actor.key else "the right “Merge many at once”"
        raise Forbidden(
            f"This merges people without asking, which {actor.name} may not do: it needs {needed}, too."
        )
    if changed:
        detail = {name: _audited(name, getattr(policy, name), value) for name, value in changed.items()}
        for name, value in changed.items():
            setattr(policy, name, value)
        policy.save(update_fields=list(changed))
        audit.record("duplicate.policy", actor=actor, detail=detail)
    return policy


def _audited(name: str, old: Any, new: Any) -> list[Any]:
    """Old and new for the audit log, which holds nobody's address."""
    return [len(old), len(new)] if name == "report_to" else [old, new]


def _reader(name: str) -> Callable[[Any], Any]:
    readers = {"auto_merge": _switch, "auto_merge_cap": _cap, "report_to": _addresses}
    if name not in readers:
        raise ValueError(f"“{name}” is not a rule for duplicates. The rules are {', '.join(readers)}.")
    return readers[name]


def _switch(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise ValueError("auto_merge is true or false.")
    return raw


def _cap(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= MAX_PER_HOUR:
        raise ValueError(f"Merge at least 1 and at most {MAX_PER_HOUR:,} pairs per hour.")
    return raw


def _addresses(raw: Any) -> list[str]:
    """Each once, whatever its capitals."""
    if not isinstance(raw, list) or not all(isinstance(address, str) for address in raw):
        raise ValueError("report_to is a list of e-mail addresses.")
    by_lower: dict[str, str] = {}
    for address in filter(None, (address.strip() for address in raw)):
        by_lower.setdefault(address.lower(), address)
    addresses = list(by_lower.values())
    if len(addresses) > MAX_ADDRESSES:
        raise ValueError(f"The report goes to at most {MAX_ADDRESSES} addresses; these are {len(addresses)}.")
    for address in addresses:
        try:
            validate_email(address)
        except ValidationError:
            raise ValueError(f"“{address}” is not an e-mail address.") from None
    return addresses
