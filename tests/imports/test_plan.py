"""The plan: every row gets one outcome, and nobody is touched."""

from __future__ import annotations

import pytest

from profiles.models import Profile
from tests.imports.files import applied, apply, outcomes, planned, some, summed
from tests.people import make_profile

pytestmark = pytest.mark.django_db

TWO = "reference_id,first_name,email\nC1,Ann,ann@example.com\nC2,Bob,bob@example.com\n"


def test_new_people() -> None:
    job = planned(TWO)
    assert job.state == "planned", job.problem
    assert some(job) == {"created": 2}
    assert Profile.objects.count() == 0
    job = apply(job)
    assert (job.state, some(job)) == ("done", {"created": 2})
    ann = Profile.objects.get(email="ann@example.com")
    assert (ann.first_name, ann.is_recognized, ann.canonical_id) == ("Ann", True, ann.pk)
    assert sorted(ann.identifiers.values_list("type__name", flat=True)) == ["anonymous_id", "customer_id", "email"]
    again = applied(TWO)
    assert some(again) == {"unchanged": 2}
    assert Profile.objects.count() == 2


def test_update() -> None:
    ann = make_profile(email="ann@example.com", first_name="Ann")
    job = planned("email,first_name,city\nANN@example.com,Anna,Kraków\n")
    assert outcomes(job) == {2: "updated"}
    job = apply(job)
    assert summed(job)
    ann.refresh_from_db()
    assert (ann.first_name, ann.city, ann.version) == ("Ann", "Kraków", 2)
    change = ann.changes.get(cause="import")
    assert (change.fields, change.line, change.cause_id) == ({"city": [None, "Kraków"]}, 2, job.pk)
