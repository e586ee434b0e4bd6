"""``?dry_run=true``: the very same handler in a transaction that is rolled back, and what it would have done.

The effects are read from the database before the roll-back, never guessed: webhook messages and what apps
registered (``effect_readers``) from their rows, everything else from PostgreSQL's own counters of the transaction.
Callbacks that wait for the commit never run, so nothing is woken, mailed or delivered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from django.db.models import Max, Model

from cdp.actors import Actor
from cdp.models import OutboxMessage
from cdp.registry import Registry
from cdp.roles_and_scopes import app_labels

# A visible row whose writer is "in progress" was written by this very transaction (or a savepoint of it).
_MINE = (
    "pg_xact_status((((pg_current_xact_id()::text::bigint >> 32) << 32) + {table}.xmin::text::bigint)"
    "::text::xid8) = 'in progress'"
)
# Told in more detail, or no effect a caller asked about.
_NOT_COUNTED = frozenset({"cdp.outboxmessage", "cdp.auditentry", "cdp.idempotencykey"})
_COUNTS = "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_xact_user_tables"

Effect = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EffectReader:
    """Describes new rows of one append-only model in more detail than "n rows created"."""

    model: type[Model]
    describe: Callable[[Model, Actor], Effect]


# Apps add readers for their models; whoever is described here is not counted as rows as well.
effect_readers: Registry[EffectReader] = Registry("The effect reader")


@dataclass(frozen=True, slots=True)
class _Before:
    newest: dict[type[Model], int]
    counts: dict[str, tuple[int, int, int]]


def rehearse(run: Callable[[], Any], *, actor: Actor) -> tuple[Any, list[Effect]]:
    """The handler's answer and its effects; nothing stays. Errors come out as they would in earnest."""
    with transaction.atomic():
        models: list[type[Model]] = [*(reader.model for reader in effect_readers), OutboxMessage]
        before = _Before({model: _newest(model) for model in models}, _counts())
        answer = run()
        # Foreign keys are checked at the commit; here that moment is now.
        connection.check_constraints()
        effects = [*_described(before, actor), *_messages(before), *_rows(before)]
        transaction.set_rollback(True)
    return answer, effects


def _newest(model: type[Model]) -> int:
    return int(model._default_manager.aggregate(newest=Max("pk"))["newest"] or 0)


def _counts() -> dict[str, tuple[int, int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS)
        return {name: (created, changed, deleted) for name, created, changed, deleted in cursor.fetchall()}


def _mine(model: type[Model], newer_than: int) -> Any:
    rows = model._default_manager.filter(pk__gt=newer_than).order_by("pk")
    return rows.extra(where=[_MINE.format(table=model._meta.db_table)])  # noqa: S610  (our own constant)


def _described(before: _Before, actor: Actor) -> list[Effect]:
    return [
        reader.describe(row, actor)
        for reader in effect_readers
        for row in _mine(reader.model, before.newest[reader.model])
    ]


def _messages(before: _Before) -> list[Effect]:
    return [
        {"kind": "webhook", "topic": message.topic, "profile_id": message.profile_id}
        for message in _mine(OutboxMessage, before.newest[OutboxMessage])
    ]


def _rows(before: _Before) -> list[Effect]:
    """How many rows of what were created, changed and deleted."""
    names = {model._meta.db_table: model._meta for model in apps.get_models() if _is_counted(model)}
    effects = []
    for table, now in sorted(_counts().items()):
        was = before.counts.get(table, (0, 0, 0))
        created, changed, deleted = (new - old for new, old in zip(now, was, strict=True))
        if table in names and (created or changed or deleted):
            kind = {"kind": "rows", "of": str(names[table].verbose_name)}
            effects.append({**kind, "created": created, "changed": changed, "deleted": deleted})
    return effects


def _is_counted(model: type[Model]) -> bool:
    described = {reader.model for reader in effect_readers}
    return (
        model._meta.app_label in app_labels()
        and model not in described
        and model._meta.label_lower not in _NOT_COUNTED
    )
