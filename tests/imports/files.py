"""Plain functions that take CSV text through an import."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile

from cdp.actors import Actor
from cdp.jobs import run_to_end
from cdp.models import User
from imports.apply import apply_import
from imports.cells import cell_account
from imports.models import Import, Row
from imports.plan import plan_import
from imports.upload import upload_import
from profiles.builtin_sources import builtin_source


def as_file(text: str | bytes, name: str = "people.csv") -> TemporaryUploadedFile:
    data = text.encode() if isinstance(text, str) else text
    file = TemporaryUploadedFile(name, "text/csv", len(data), None)
    file.write(data)
    file.seek(0)
    return file


def upload(text: str | bytes, *, user: User | None = None, name: str = "people.csv", **kwargs: Any) -> Import:
    actor = Actor.of_user(user) if user else Actor.system()
    file = as_file(text, name)
    try:
        return upload_import(
            file=file, actor=actor, source=builtin_source("staff" if user else "api"), **kwargs
        )
    finally:
        file.close()


def planned(text: str | bytes, *, user: User | None = None, **kwargs: Any) -> Import:
    """Upload and plan."""
    import_ = upload(text, user=user, **kwargs)
    return plan(import_, user=user)


def plan(import_: Import, *, user: User | None = None) -> Import:
    actor = Actor.of_user(user) if user else Actor.system()
    run_to_end(plan_import(import_id=import_.pk, actor=actor))
    import_.refresh_from_db()
    return conserved(import_)


def applied(text: str | bytes, *, user: User | None = None, **kwargs: Any) -> Import:
    """Upload, plan and apply."""
    return apply(planned(text, user=user, **kwargs), user=user)


def apply(import_: Import, *, user: User | None = None) -> Import:
    actor = Actor.of_user(user) if user else Actor.system()
    assert import_.state == "planned", (import_.state, import_.problem)
    run_to_end(apply_import(import_id=import_.pk, actor=actor))
    import_.refresh_from_db()
    return conserved(import_)


def conserved(import_: Import) -> Import:
    """The import, whose cells are all accounted for if it has a plan."""
    account = cell_account(import_)
    if account is None:
        assert import_.state not in ("planned", "done"), import_.state
        return import_
    differing = [(part.name, part.read, part.reasons) for part in account.differing]
    assert not differing, (import_.state, differing)
    return import_


def cells(import_: Import) -> dict[str, dict[str, int]]:
    """``{column: {outcome: count}}``, of outcomes with cells; the key "" is what is in no column."""
    account = cell_account(import_)
    assert account is not None
    parts = [*account.columns, account.outside]
    return {
        part.name: {name: count for name, count in part.outcomes.items() if count}
        for part in parts
        if part.read or part.accounted
    }


def reasons(import_: Import) -> dict[str, int]:
    """All cells by reason."""
    account = cell_account(import_)
    assert account is not None
    return account.total.reasons


def outcomes(import_: Import) -> dict[int, str]:
    """``{line: outcome}``."""
    return dict(Row.objects.filter(import_id=import_.pk).order_by("line").values_list("line", "outcome"))


def some(import_: Import) -> dict[str, int]:
    """The outcomes that are not zero, without ``rows``."""
    return {name: count for name, count in import_.counts.items() if count and name != "rows"}


def summed(import_: Import) -> bool:
    return sum(count for name, count in import_.counts.items() if name != "rows") == import_.counts["rows"]
