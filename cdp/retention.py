"""How long everything that grows is kept: the rules apps registered, and the functions that delete what is past its time.

Every table has a rule here, which names the function that deletes its old rows or says why they are kept; a model without
one fails the tests, and the settings page, the API and ``docs/operations.md`` list them all. ``cdp.tasks.expire`` runs the
functions every ten minutes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError

from cdp.registry import Registry

log = logging.getLogger(__name__)

# Each deletes what is past its time and gives the number of things deleted. Safe to run twice.
expiry: Registry[Callable[[], int]] = Registry("The expiry function")


@dataclass(frozen=True, slots=True)
class Rule:
    """How long the rows of a table, or files, are kept.

    ``text`` says it in a sentence, in which ``{days}`` stands for the value of ``setting``. ``by`` names the function in
    ``expiry`` that deletes them; without one they are kept, and the sentence says why. ``what`` they are, where the table's
    own name does not say it.
    """

    text: str
    by: str = ""
    setting: str = ""
    what: str = ""

    @property
    def days(self) -> int | None:
        """The setting's value; None where there is nothing to set."""
        return int(getattr(settings, self.setting)) if self.setting else None

    @property
    def sentence(self) -> str:
        return self.text.format(days=self.days)


# By the label of the table (``cdp.Mail``); other keys are files, such as ``files of exports``.
rules: Registry[Rule] = Registry("The retention rule")


def register_rules(by_key: Mapping[str, Rule]) -> None:
    for key, rule in by_key.items():
        rules.register(key, rule)


def kept_with(what: str, labels: Iterable[str]) -> dict[str, Rule]:
    """The same reason for many tables."""
    return {label: Rule(what) for label in labels}


@dataclass(frozen=True, slots=True)
class Listed:
    """A rule as people read it: ``what`` are the rows, in words."""

    key: str
    what: str
    rule: Rule


def listed() -> list[Listed]:
    """What is deleted first, what is kept after it; each by its name in words."""
    rows = [Listed(key, rule.what or _in_words(key), rule) for key, rule in rules.items()]
    return sorted(rows, key=lambda row: (not row.rule.by, row.what.lower()))


def _in_words(key: str) -> str:
    try:
        name = str(apps.get_model(key)._meta.verbose_name_plural)
    except (LookupError, ValueError):
        name = key
    return name[0].upper() + name[1:]


def without_rule(models: Iterable[Any]) -> Iterator[str]:
    """The labels of models that no app registered a rule for."""
    return (model._meta.label for model in models if model._meta.label not in rules)


def expire() -> None:
    """Run them all. One that fails is logged and tried again the next time; it does not keep the others."""
    for name, delete_expired in expiry.items():
        try:
            count = delete_expired()
        except DatabaseError:
            log.exception("%s failed, will be tried again", name)
        else:
            log.info("expired", extra={"kind": name, "count": count})
