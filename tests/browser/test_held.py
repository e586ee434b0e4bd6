"""Held joins, what waits for confirmation and receipts, in a browser: wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdp.models import User
from profiles.models import HeldMerge, Receipt
from tests.tracking.calls import holder, identify, make_sender

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_held_joins_are_decided_on_a_phone_and_a_desk(
    visit: Callable[..., Any], ada: User, settings: Any
) -> None:
    page = "/admin/profiles/heldmerge/"
    for width in (1280, 390):
        visit(ada, page, width=width).check()
    settings.CDP_BREAKER_PEOPLE = 2
    shop = make_sender("web", name="Online shop")
    for user, name in (("1", "Ann"), ("2", "Bob"), ("3", "Cy")):
        traits = {"firstName": name, "lastName": "Berg"}
        identify(shop, anonymousId="f81d4fae-7dec-11d0-a765-00a0c91e6bf6", userId=user, traits=traits)
    for width, dark in ((1280, False), (390, True)):
        visit(ada, page, width=width, dark=dark).check()
    seen = visit(ada, page)
    seen.page.get_by_role("button", name="Shared device").first.click()
    seen.page.get_by_text("is a shared device: nobody is merged by it from now on").wait_for()
    seen.check()
    assert set(HeldMerge.objects.values_list("state", flat=True)) == {"shared"}
    visit(ada, f"{page}?state=decided", width=390).check()


def test_what_waits_is_confirmed_on_the_card(visit: Callable[..., Any], ada: User) -> None:
    shop = make_sender("web", needs_confirmation=True)
    identify(shop, anonymousId="b1", traits={"email": "ann@example.com", "firstName": "Ann"})
    person = holder("anonymous_id", "b1")
    assert person is not None
    card = f"/admin/profiles/profile/{person.pk}/change/"
    visit(ada, card, width=390).check()
    seen = visit(ada, card)
    seen.check()
    seen.page.get_by_role("button", name="Confirm E-mail").click()
    seen.page.get_by_text("E-mail ann@example.com is confirmed.").wait_for()
    assert holder("email", "ann@example.com") == person


def test_the_list_of_what_waits_and_a_receipt_of_what_lost(visit: Callable[..., Any], ada: User) -> None:
    page = "/admin/profiles/source/unconfirmed/"
    visit(ada, page, width=390).check()
    letter = make_sender("web", name="Newsletter form", needs_confirmation=True)
    for name in ("ann", "bob", "cy"):
        identify(letter, anonymousId=f"b-{name}", traits={"email": f"{name}@example.com", "firstName": name})
    for width, dark in ((1280, False), (390, True)):
        visit(ada, page, width=width, dark=dark).check()
    seen = visit(ada, page)
    seen.page.get_by_role("button", name="Confirm ann@example.com").click()
    seen.page.get_by_text("E-mail ann@example.com is confirmed.").wait_for()
    identify(make_sender("server"), userId="42", traits={"city": "Oslo"})
    identify(make_sender("web"), userId="42", traits={"city": "Rome", "no name": "x", "birthday": "soon"})
    receipt = f"/admin/profiles/receipt/{Receipt.objects.latest('pk').pk}/change/"
    for width, dark in ((1280, False), (390, True)):
        visit(ada, receipt, width=width, dark=dark).check()
    assert "kept as an alternate" in visit(ada, receipt).page.content()
