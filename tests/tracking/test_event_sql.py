"""Writing events: names and their ids."""

from __future__ import annotations

import pytest
from django.db import transaction

from profiles.models import EventName
from profiles.tracking.ingest.event_sql import name_ids


@pytest.mark.django_db(transaction=True)
def test_a_name_that_was_undone_is_not_remembered(django_assert_num_queries: object) -> None:
    class Undone(Exception):
        pass

    with pytest.raises(Undone), transaction.atomic():
        name_ids(["Signed Up"])
        name_ids(["Signed Up"])  # reads what it has just made
        raise Undone
    assert not EventName.objects.exists()
    with transaction.atomic():
        made = name_ids(["Signed Up", "Logged In"])
    assert made == dict(EventName.objects.values_list("name", "id"))
    assert name_ids(["Signed Up"]).items() <= made.items()
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert name_ids(["Signed Up"]).items() <= made.items()
