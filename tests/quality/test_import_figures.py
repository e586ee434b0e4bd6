"""Imports appear on the scorecard and in the report by a registered provider; without one there are none."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from cdp.registry import Registry
from profiles.models import SourceHour
from profiles.quality import import_figures, weekly_report
from profiles.quality.import_figures import DuplicateRate, ImportFigures, ImportProvider
from tests.tracking.rejected import make_source

pytestmark = pytest.mark.django_db


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> Registry[ImportProvider]:
    """An empty registry in place of the one the installed apps filled."""
    empty: Registry[ImportProvider] = Registry("The provider of imports' figures")
    monkeypatch.setattr(import_figures, "providers", empty)
    return empty


def figures(row: Any) -> ImportFigures:
    return ImportFigures(row.pk, "people.csv", None, 40, 2, ["Mail"], 3, 1)


def test_the_imports_app_provides_its_figures() -> None:
    assert "imports" in import_figures.providers


def test_rows_and_rates_come_from_the_provider(providers: Registry[ImportProvider]) -> None:
    hour = SourceHour.objects.create(source=make_source(), hour=timezone.now())
    asked: list[Any] = []

    def rates(since: datetime.datetime) -> list[DuplicateRate]:
        asked.append(since)
        return [
            DuplicateRate("few.csv", 100, 1, "/few/"),
            DuplicateRate("many.csv", 100, 30, "/many/"),
            DuplicateRate("tiny.csv", 2, 2, "/tiny/"),
            DuplicateRate("clean.csv", 100, 0, "/clean/"),
        ]

    def recent(days: int) -> Any:
        asked.append(days)
        return SourceHour.objects.all()

    providers.register(
        "imports", ImportProvider(recent=recent, figures=lambda rows: [*map(figures, rows)], rates=rates)
    )
    (row,) = import_figures.figures_of(import_figures.recent_imports(30))
    assert (row.import_id, row.duplicates_per_1000) == (hour.pk, 50.0)
    now = timezone.now()
    report = weekly_report.compile_report(now)
    assert [(rate.name, rate.per_1000) for rate in report.imports] == [("many.csv", 300.0), ("few.csv", 10.0)]
    assert asked == [30, now - weekly_report.WEEK]


def test_without_a_provider_there_are_none(providers: Registry[ImportProvider]) -> None:
    assert len(providers) == 0
    assert list(import_figures.recent_imports(7)) == []
    assert import_figures.figures_of([]) == []
    assert weekly_report.compile_report(timezone.now()).imports == []
