"""Old receipts go; events stay, and items that wait for somebody stay longer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from profiles.models import Event, Receipt
from profiles.tracking.rejected.retention import delete_old_receipts
from tests.tracking.calls import call, make_sender

pytestmark = pytest.mark.django_db


def test_old_receipts_go_and_what_waits_stays(settings: Any) -> None:
    settings.CDP_RECEIPT_KEEP_DAYS = 30
    sender = make_sender()
    call(
        sender,
        {"type": "track", "event": "A", "userId": "1"},
        {"type": "track", "userId": "1"},
        {"type": "dance", "userId": "1"},
    )
    assert delete_old_receipts() == 0
    Receipt.objects.update(received_at=timezone.now() - timedelta(days=31))
    Receipt.objects.filter(kind="dance").update(resolved_at=timezone.now(), resolution="dismissed")
    call(sender, {"type": "track", "event": "B", "userId": "1"})
    assert delete_old_receipts() == 2
    assert list(Receipt.objects.order_by("pk").values_list("outcome", flat=True)) == ["invalid", "applied"]
    assert Event.objects.count() == 2
    # A rejected item nobody dealt with goes in the end.
    settings.CDP_REJECTED_KEEP_DAYS = 40
    Receipt.objects.filter(outcome="invalid").update(received_at=timezone.now() - timedelta(days=39))
    assert delete_old_receipts() == 0
    Receipt.objects.filter(outcome="invalid").update(received_at=timezone.now() - timedelta(days=41))
    assert delete_old_receipts() == 1
    # Never before receipts are.
    settings.CDP_RECEIPT_KEEP_DAYS, settings.CDP_REJECTED_KEEP_DAYS = 30, 5
    call(sender, {"type": "dance", "userId": "1"})
    Receipt.objects.filter(outcome="invalid").update(received_at=timezone.now() - timedelta(days=20))
    assert delete_old_receipts() == 0
