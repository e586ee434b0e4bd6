"""What a call could not be stored of is said everywhere it is looked for, and tags are stored."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cdp.models import User
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Change, ProfileTag, Receipt, Source, Tag
from profiles.tracking.monitor.browser_flags import flags_of
from profiles.tracking.monitor.checklist import checklist
from profiles.tracking.monitor.live import calls_of_browser, newest_calls
from profiles.tracking.sources.write_keys import Sender
from tests.tracking.calls import call, holder, identify, make_sender, send_item

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(db: None) -> Sender:
    return make_sender("server")


def tags_of(user: str) -> list[str]:
    root = holder("customer_id", user)
    assert root is not None
    rows = ProfileTag.objects.filter(profile__canonical_id=root.pk).values_list("tag__name", flat=True)
    return sorted(rows)


# --- Tags ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["identify", "update"])
@pytest.mark.parametrize(
    "raw", [["vip", "Buyers"], "vip, Buyers", "vip,Buyers,VIP", ["vip,Buyers"], ["Buyers", "", "vip"]]
)
def test_tags_are_put_on(server: Sender, kind: str, raw: Any) -> None:
    Tag.objects.create(name="VIP")
    result = send_item(server, kind, userId="1", traits={"tags": raw, "city": "Oslo"})
    assert (result.outcome, result.problems) == ("applied", [])
    assert tags_of("1") == ["Buyers", "VIP"]
    created = Change.objects.get()
    assert sorted(created.fields["tags"][1]) == ["Buyers", "VIP"]
    # Again: nothing new. Others come besides; none is taken off.
    send_item(server, kind, userId="1", traits={"Tags": raw})
    send_item(server, kind, userId="1", traits={"tags": []})
    send_item(server, kind, userId="1", traits={"TAGS": "new"})
    assert tags_of("1") == ["Buyers", "VIP", "new"]
    assert [row.fields for row in Change.objects.order_by("pk")[1:]] == [{"tags": [[], ["new"]]}]
    root = holder("customer_id", "1")
    assert root is not None
    assert root.version == 2


def test_tags_of_several_people_in_one_call(server: Sender) -> None:
    identify(server, userId="1")
    items = [
        {"type": "identify", "userId": user, "traits": {"tags": tags}}
        for user, tags in (("1", ["a"]), ("2", ["a", "b"]), ("1", ["a", "c"]), ("3", "b"))
    ]
    call(server, *items)
    assert [tags_of(user) for user in "123"] == [["a", "c"], ["a", "b"], ["b"]]


def test_a_tag_goes_back_with_whom_it_came_by(server: Sender, by_staff: dict[str, Any]) -> None:
    identify(server, userId="1")
    identify(server, userId="2")
    one, two = holder("customer_id", "1"), holder("customer_id", "2")
    assert one is not None
    assert two is not None
    merge_id = merge_profiles(winner_id=one.pk, loser_id=two.pk, **by_staff).merge_id
    identify(server, userId="2", traits={"tags": ["two"]})
    assert tags_of("1") == ["two"]
    unmerge_profiles(merge_id=merge_id, **by_staff)
    assert (tags_of("1"), tags_of("2")) == ([], ["two"])


@pytest.mark.parametrize("raw", [{"vip": True}, 7, True, [1, 2], ["x" * 61]])
def test_what_is_no_tag_is_said(server: Sender, raw: Any) -> None:
    result = identify(server, userId="1", traits={"tags": raw})
    assert (result.outcome, [problem["code"] for problem in result.problems]) == ("applied", ["bad_trait"])
    assert tags_of("1") == []


# --- Where it is said ---------------------------------------------------------------------------------------

TRAITS = {"birthDate": "03.02.1990x", "ids": "7", "unheard": "x"}
EXTERNAL = [{"type": "no_such_type", "id": "9"}]


def send_with_omissions(server: Sender) -> Any:
    Source.objects.filter(pk=server.source.pk).update(adopts_attributes=False)
    server.source.refresh_from_db()
    return identify(
        server,
        userId="1",
        anonymousId="b1",
        traits=TRAITS,
        context={"externalIds": EXTERNAL},
        messageId="m-1",
    )


def test_every_place_says_what_was_left_out(server: Sender) -> None:
    result = send_with_omissions(server)
    codes = ["unknown_type", "bad_trait", "unknown_trait", "unknown_trait"]
    assert [problem["code"] for problem in result.problems] == codes
    assert [problem["code"] for problem in Receipt.objects.get().problems or []] == codes
    for calls in (newest_calls(server.source.pk), calls_of_browser(server.source.pk, "b1")):
        (shown,) = calls
        assert (shown.outcome, shown.message) == ("applied", "")
        assert "“unheard” is not an attribute" in shown.left_out
        (flag,) = [flag for flag in flags_of(calls) if flag.code == "left_out"]
        assert (flag.count, flag.title) == (1, "Values of 1 call were left out")
    (check,) = [check for check in checklist(server.source) if check.title.startswith("Nothing left out")]
    assert check.is_done is False
    assert check.text == (
        "Of 1 of 1 item something was left out: context.externalIds.0, traits.birth_date, traits.ids."
    )


def test_the_pages_say_it(server: Sender, ada: User, client: Client) -> None:
    send_with_omissions(server)
    client.force_login(ada)
    sentence = "“unheard” is not an attribute; the value stays in the event only."
    receipts = reverse("admin:profiles_receipt_changelist") + "?state=all"
    browser = reverse("admin:profiles_source_checkup", args=[server.source.pk]) + "?anonymous_id=b1"
    for address in (receipts, reverse("admin:profiles_source_live", args=[server.source.pk]), browser):
        assert sentence in client.get(address).content.decode(), address


def test_the_advice_is_possible(server: Sender) -> None:
    result = send_with_omissions(server)
    by_name = {problem["pointer"]: problem["message"] for problem in result.problems}
    start = "is not an attribute; the value stays in the event only."
    assert by_name["/traits/unheard"] == f"“unheard” {start} Add it under Attributes."
    result = identify(server, userId="1", traits={"segments": "x", "two words": "x", "9": "x"})
    by_name = {problem["pointer"]: problem["message"] for problem in result.problems}
    for name in ("segments", "two words", "9"):
        message = by_name[f"/traits/{name}"]
        assert message.startswith(f"“{name}” {start} ")
        assert "Add it under Attributes" not in message
