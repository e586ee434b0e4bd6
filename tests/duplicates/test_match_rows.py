"""Match rows: what they contain, and that a scan rebuilds those of an older version or other settings."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pytest

from cdp.actors import Actor
from cdp.jobs import run_to_end
from profiles.duplicates.finding import match_queue, match_rows
from profiles.duplicates.finding.full_scan import start_scan
from profiles.duplicates.scoring.features import key_hash, match_keys, read_features
from profiles.duplicates.training.synthetic_people import make_people
from profiles.models import IdentifierType, MatchQueue, MatchRow
from tests.profile_factory import make_profile


def test_keys_are_those_of_this_version() -> None:
    """Other keys do not meet the stored ones. Changed on purpose? Raise ``match_rows.ALGORITHM`` with this number."""
    people = make_people(rows=2_000, seed=5)
    rows = [(astuple(features), match_keys(features)) for features in map(read_features, people.rows)]
    assert (match_rows.ALGORITHM, key_hash(str(rows))) == (3, 8982426196423561294)


@pytest.mark.django_db
def test_a_scan_builds_outdated_rows_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    ann = make_profile(first_name="Ann", last_name="Brown", city="Oslo")
    bob = make_profile(first_name="Bob", last_name="Green", city="Bergen")

    def scan() -> None:
        assert run_to_end(start_scan(actor=Actor.system())).state == "done"

    def stored_row() -> dict[int, tuple[Any, ...]]:
        return {row.pk: (row.version, row.first, row.keys, row.built_at) for row in MatchRow.objects.all()}

    scan()
    before = stored_row()
    assert before.keys() == {ann.pk, bob.pk}
    scan()
    assert stored_row() == before, "what is as it was is not written"
    # As an older version left it: other keys, nobody in the queue.
    MatchRow.objects.filter(pk=ann.pk).update(version=1, keys=[1, 2, 3], first="an")
    assert not MatchQueue.objects.exists()
    scan()
    after = stored_row()
    assert (after[ann.pk][:3], after[bob.pk]) == (before[ann.pk][:3], before[bob.pk])
    was = match_rows.version()
    monkeypatch.setattr(match_rows, "ALGORITHM", match_rows.ALGORITHM + 1)
    assert match_rows.version() != was
    scan()
    assert set(MatchRow.objects.values_list("version", flat=True)) == {match_rows.version()}


@pytest.mark.django_db
def test_the_version_heeds_what_rows_are_read_with(settings: Any) -> None:
    seen = {match_rows.version()}
    settings.CDP_PHONE_REGION = "SE"
    seen.add(match_rows.version())
    IdentifierType.objects.filter(name="customer_id").update(proves_two_people=True)
    seen.add(match_rows.version())
    assert len(seen) == 3


@pytest.mark.django_db
def test_rows_know_how_they_were_built() -> None:
    ann = make_profile(first_name="Ann", last_name="Brown")
    match_queue.refresh([ann.pk])
    assert MatchRow.objects.get(pk=ann.pk).version == match_rows.version()
