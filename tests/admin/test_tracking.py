"""The pages about tracking: sources and keys, calls as they come in, check-up, and the inbox with its repairs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cdp.jobs import run_to_end
from cdp.models import Job, Look, User
from profiles.models import Event, Receipt, Source, WriteKey
from profiles.tracking.rejected.receipts import waiting
from tests.profile_factory import make_profile
from tests.tracking.rejected import make_source, reject, send

pytestmark = pytest.mark.django_db
Login = Callable[[User], Client]
INBOX = "/admin/profiles/receipt/"
BULK = f"{INBOX}bulk/"
EMAIL = "ann@example.com"


@pytest.fixture
def dan(make_user: Callable[..., User]) -> User:
    """The data admin."""
    return make_user("dan", "data admin")


def source_url(name: str, source: Source, *more: Any) -> str:
    return reverse(f"admin:profiles_source_{name}", args=[source.pk, *more])


def one_url(row: Receipt, name: str = "change") -> str:
    return reverse(f"admin:profiles_receipt_{name}", args=[row.pk])


def text(response: Any) -> str:
    return response.content.decode()


def frozen(page: str) -> str:
    found = re.search(r'name="frozen" value="([^"]+)"', page)
    assert found
    return found[1]


def cart(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Added to Cart", "messageId": "m-1", **fields}


# --- The inbox --------------------------------------------------------------------------------------------


def test_the_inbox_lists_filters_and_counts(dan: User, as_user: Login) -> None:
    client = as_user(dan)
    assert "Nothing waits here" in text(client.get(INBOX))
    assert "No receipts yet" in text(client.get(f"{INBOX}?state=all"))
    shop, desk = make_source(name="Shop"), make_source(name="Desk")
    reject(shop, code="schema_violation", message="“price” is a text.", outcome="quarantined")
    reject(desk, name="<b>Odd</b>")
    page = text(client.get(INBOX))
    for said in (
        "“price” is a text.",
        'title="schema_violation"',
        "kept for repair",
        "&lt;b&gt;Odd&lt;/b&gt;",
    ):
        assert said in page
    items = text(client.get(f"{INBOX}?items=1"))
    for said in ("Any reason", "schema violation", "Select all 2 waiting"):
        assert said in items
    only = text(client.get(f"{INBOX}?source=shop"))
    assert "“price” is a text." in only
    assert "Odd" not in only
    assert "Select all 1 matching" in text(client.get(f"{INBOX}?source=shop&items=1"))
    assert "No item fits these filters" in text(client.get(f"{INBOX}?name=zzz"))
    assert "There is no source “nowhere”." in text(client.get(f"{INBOX}?source=nowhere"))


def test_items_rejected_alike_are_repaired_together(dan: User, sam: User, as_user: Login) -> None:
    shop, desk = make_source(name="Shop"), make_source(name="Desk")
    for number in range(3):
        reject(shop, cart(messageId=f"m-{number}"), message=f"“{number}” is odd.")
    reject(shop, cart(messageId="other"), code="too_large")
    reject(desk, cart(messageId="desk"))
    client = as_user(dan)
    page = client.get(INBOX)
    groups = page.context["groups"]
    assert [(row.newest.receipt.source.name, row.newest.receipt.code, row.count) for row in groups] == [
        ("Shop", groups[0].newest.receipt.code, 3),
        ("Desk", groups[0].newest.receipt.code, 1),
        ("Shop", "too_large", 1),
    ]
    assert "3 reasons, 5 items" in text(page)
    data = {"do": "replay", "everyone": "1", "filters": groups[0].query}
    assert "Replay 3 items" in text(client.post(BULK, data))
    assert len(client.get(INBOX + groups[0].url).context["rows"]) == 3
    assert "Repair all like this" in text(page)
    assert "Repair all like this" not in text(as_user(sam).get(INBOX))


def test_the_inbox_in_pages(dan: User, as_user: Login) -> None:
    source = make_source()
    rows = [reject(source) for _ in range(60)]
    client, seen = as_user(dan), []
    assert client.get(INBOX).context["groups"][0].count == 60
    page = text(client.get(f"{INBOX}?items=1"))
    seen += re.findall(r'name="ids" value="(\d+)"', page)
    older = re.search(r'rel="next" href="([^"]+)"', page)
    page = text(client.get(INBOX + older[1].replace("&amp;", "&")))
    seen += re.findall(r'name="ids" value="(\d+)"', page)
    assert seen == [str(row.pk) for row in reversed(rows)]
    newer = re.search(r'rel="prev" href="([^"]+)"', page)
    back = text(client.get(INBOX + newer[1].replace("&amp;", "&")))
    assert re.findall(r'name="ids" value="(\d+)"', back) == seen[:50]


def test_queries_do_not_grow_with_rows(dan: User, as_user: Login) -> None:
    source, client = make_source(), as_user(dan)
    urls = [
        INBOX,
        f"{INBOX}?items=1",
        source_url("live", source),
        source_url("change", source),
        reverse("admin:profiles_source_changelist"),
    ]
    counts: list[list[int]] = []
    send(source, {"type": "page", "anonymousId": "b"})
    for number in (1, 45):
        for _ in range(number):
            reject(source)
        for _ in range(number - 1):
            make_source()
        counts.append([])
        for url in urls:
            with CaptureQueriesContext(connection) as queries:
                client.get(url)
            counts[-1].append(len(queries))
    assert counts[0] == counts[1]
    assert max(counts[0]) <= 19


def test_an_item_is_corrected_and_replayed(dan: User, as_user: Login) -> None:
    source, ann = make_source(), make_profile(identifiers=[("customer_id", "C-1")])
    problems = [{"pointer": "/properties/price", "value": "12,50", "message": "This is not a number."}]
    row = reject(source, cart(properties={"price": "12,50"}), problems=problems)
    client = as_user(dan)
    page = text(client.get(one_url(row)))
    for said in ("properties.price", "This is not a number.", "12,50", "Replay as it is", "m-1"):
        assert said in page
    wrong = client.post(one_url(row), {"payload": '{\n "userId": C-1}'})
    assert wrong.status_code == 400
    assert "Line 2, column 12: this is not JSON, expecting value." in text(wrong)
    assert "&quot;userId&quot;: C-1}" in text(wrong), "what was typed is still there"
    again = client.post(one_url(row), {"payload": '{"type": "track", "event": "x"}'}, follow=True)
    assert "Rejected again: Give a userId, an anonymousId or one of context.externalIds." in text(again)
    second = waiting().get()
    assert second.replay_of == row
    done = client.post(
        one_url(second),
        {"payload": '{"type": "track", "event": "Added to Cart", "userId": "C-1"}'},
        follow=True,
    )
    assert "Replayed: applied." in text(done)
    assert Event.objects.get(source=source).profile_id == ann.pk
    late = client.post(one_url(second), {"payload": "{}"}, follow=True)
    assert f"Item #{second.pk} was replayed already." in text(late)
    assert f">#{second.pk}<" in text(client.get(one_url(row)))


def test_an_item_as_it_is_and_dismissed(dan: User, as_user: Login) -> None:
    source, client = make_source(), as_user(dan)
    fine, odd = reject(source, cart(anonymousId="b-1")), reject(source)
    assert "Replayed: applied." in text(client.post(one_url(fine, "replay"), follow=True))
    said = text(client.post(one_url(odd, "dismiss"), {"reason": "only a test"}, follow=True))
    assert f"Item #{odd.pk} is dismissed. Its receipt stays." in said
    assert "only a test" in said
    assert f"Item #{odd.pk} does not wait any more." in text(
        client.post(one_url(odd, "dismiss"), follow=True)
    )
    assert f"Item #{odd.pk} was dismissed already." in text(client.post(one_url(odd, "replay"), follow=True))


def test_many_are_repaired_looked_at_and_replayed(dan: User, as_user: Login) -> None:
    source, client = make_source(name="Shop"), as_user(dan)
    for number in range(5):
        reject(source, cart(anonymousId="b", messageId=f"m-{number}", properties={"product_sku": "S"}))
    other = reject(make_source())
    assert "Tick at least one item first." in text(
        client.post(BULK, {"do": "replay", "back": INBOX}, follow=True)
    )
    assert "Choose what to do with the items." in text(client.post(BULK, {"back": INBOX}, follow=True))
    page = text(client.post(BULK, {"do": "replay", "everyone": "1", "filters": "source=shop"}))
    assert "Replay 5 items" in page
    assert "and 2 more" in page
    form = {
        "do": "replay",
        "frozen": frozen(page),
        "repair": ["rename", "set", ""],
        "name": ["product_sku", "n", ""],
    }
    looked = client.post(BULK, {**form, "value": ["sku", "3", ""], "look": "1"})
    assert text(looked).count("badge ok") == 3
    assert "&quot;n&quot;: 3" in text(looked)
    wrong = client.post(BULK, {**form, "value": ["", "3", ""]})
    assert wrong.status_code == 400
    assert "Say what “product_sku” is to be called." in text(wrong)
    started = client.post(BULK, {**form, "value": ["sku", "3", ""]}, follow=True)
    assert "Started: Replay 5 rejected items. You can leave this page." in text(started)
    run_to_end(Job.objects.get())
    assert {(e.properties["sku"], e.properties["n"]) for e in Event.objects.filter(source=source)} == {
        ("S", 3)
    }
    assert waiting().get() == other


def test_a_confirmation_is_ones_own(dan: User, ada: User, as_user: Login) -> None:
    row = reject(make_source())
    held = frozen(text(as_user(dan).post(BULK, {"do": "replay", "ids": [row.pk]})))
    said = "This confirmation has expired or belongs to another login. Choose the items again."
    for user, do, sent in ((ada, "replay", held), (dan, "dismiss", held), (dan, "replay", "x")):
        answer = as_user(user).post(BULK, {"do": do, "frozen": sent, "back": INBOX}, follow=True)
        assert said in text(answer)
    assert waiting().get() == row


def test_some_are_dismissed_at_once(dan: User, as_user: Login) -> None:
    rows, client = [reject(make_source()) for _ in range(3)], as_user(dan)
    page = text(client.post(BULK, {"do": "dismiss", "ids": [row.pk for row in rows[:2]]}))
    assert "Dismiss 2 items" in page
    done = client.post(BULK, {"do": "dismiss", "frozen": frozen(page), "reason": "old"}, follow=True)
    assert "2 items dismissed. Their receipts stay." in text(done)
    assert waiting().get() == rows[2]


def test_looking_repairing_and_personal_data_are_three_rights(
    vic: User, sam: User, dan: User, make_user: Callable[..., User], as_user: Login
) -> None:
    from django.contrib.auth.models import Permission

    row = reject(make_source(), cart(traits={"email": EMAIL}), message=f"{EMAIL} is odd.")
    writes = [one_url(row), one_url(row, "replay"), one_url(row, "dismiss"), BULK]
    for user in (vic, sam):
        client = as_user(user)
        status = 200 if user is sam else 403
        assert [client.get(url).status_code for url in (INBOX, one_url(row))] == [status, status]
        assert {client.post(url, {"payload": "{}", "do": "replay"}).status_code for url in writes} == {403}
    seen = text(as_user(sam).get(one_url(row)))
    assert EMAIL in seen
    assert "<textarea" not in seen
    assert Look.objects.filter(kind="tracking", subject=f"receipt:{row.pk}").exists()
    blind = make_user("bea")
    blind.user_permissions.set(Permission.objects.filter(codename__in=["view_receipt", "replay_receipt"]))
    page = text(as_user(blind).get(one_url(row)))
    assert EMAIL not in page + text(as_user(blind).get(INBOX))
    assert "Correcting it needs the right to see personal data." in page
    assert as_user(blind).post(one_url(row), {"payload": "{}"}).status_code == 403
    sample = text(as_user(blind).post(BULK, {"do": "replay", "ids": [row.pk]}))
    assert EMAIL not in sample
    # A replay writes people: the right to repair alone is no way around the rights to do so.
    refused = text(as_user(blind).post(one_url(row, "replay"), follow=True))
    assert "A replay adds and changes people and events, which bea may not do" in refused
    assert waiting().get() == row
    writing = ["add_profile", "change_profile", "add_event"]
    blind.user_permissions.add(*Permission.objects.filter(codename__in=writing))
    assert as_user(blind).post(one_url(row, "replay")).status_code == 302
    assert waiting().get().replay_of == row


# --- Sources ----------------------------------------------------------------------------------------------


def test_a_source_is_added_and_its_key_shown_once(dan: User, as_user: Login) -> None:
    client, add = as_user(dan), reverse("admin:profiles_source_add")
    page = text(client.post(add, {"name": "Shop website", "kind": "web"}))
    key = re.search(r'<code id="secret">([^<]+)</code>', page)[1]
    source = Source.objects.get(name="Shop website")
    assert WriteKey.objects.get(source=source).prefix == key[:8]
    assert "There is a source “shop WEBSITE” already." in text(
        client.post(add, {"name": "shop WEBSITE", "kind": "web"})
    )
    for name in ("change", "connect", "settings"):
        assert key not in text(client.get(source_url(name, source)))


def test_keys_are_made_rotated_and_revoked(dan: User, as_user: Login) -> None:
    source, client = make_source(name="Shop"), as_user(dan)
    old = WriteKey.objects.get()
    made = text(client.post(source_url("key_add", source), {"kind": "web"}))
    assert (
        "Copy the key now. It is shown only once and is not stored; if you lose it, create another." in made
    )
    assert WriteKey.objects.filter(source=source, kind="web").count() == 1
    bad = client.post(source_url("key_rotate", source, old.pk), {"overlap_hours": "x"}, follow=True)
    assert "Write a number of hours from 0 to 720." in text(bad)
    turned = text(client.post(source_url("key_rotate", source, old.pk), {"overlap_hours": "24"}))
    assert f"{old.prefix}…" in turned
    assert "works until" in turned
    twice = client.post(source_url("key_rotate", source, old.pk), {"overlap_hours": "1"}, follow=True)
    assert f"Key {old.prefix}… was already rotated; rotate the newer key instead." in text(twice)
    gone = client.post(source_url("key_revoke", source, old.pk), follow=True)
    assert f"Key {old.prefix}… is revoked. Calls with it are refused within five seconds." in text(gone)
    assert "1 ended" in text(gone)
    other = make_source()
    assert client.post(source_url("key_revoke", other, old.pk)).status_code == 302
    assert (
        client.post(source_url("key_add", Source.objects.get(channel="staff")), {"kind": "web"}).status_code
        == 302
    )


def settings_of(**fields: Any) -> dict[str, Any]:
    return {
        "name": "Shop",
        "main_type": "",
        "identifies_by_email": "on",
        "allowed_origins": "",
        "schema_mode": "observe",
        "merges_per_hour": "1000",
        **fields,
    }


def test_settings(dan: User, as_user: Login) -> None:
    source, client = make_source("web", name="Shop"), as_user(dan)
    page = source_url("settings", source)
    assert "An e-mail identifies" in text(client.get(page))
    for sent, said in (
        (
            {"allowed_origins": "ftp://shop"},
            "“ftp://shop” is not a web address. Write it like https://shop.example.com.",
        ),
        ({"name": "web"}, "There is a source “web” already."),
        ({"schema_mode": "odd"}, "Select a valid choice. odd is not one of the available choices."),
    ):
        assert said in text(client.post(page, settings_of(**sent))), sent
    sent = settings_of(
        identifies_by_email="", needs_confirmation="on", schema_mode="quarantine", merges_per_hour="5",
        allowed_origins="https://shop.example.com\r\nhttps://www.example.com",
    )  # fmt: skip
    assert "Saved. It applies everywhere within five seconds." in text(client.post(page, sent, follow=True))
    source.refresh_from_db()
    assert (source.identifies_by_email, source.needs_confirmation, source.adopts_attributes) == (
        False,
        True,
        False,
    )
    assert source.allowed_origins == ["https://shop.example.com", "https://www.example.com"]
    assert (source.schema_mode, source.merges_per_hour) == ("quarantine", 5)
    staff = Source.objects.get(channel="staff")
    page = source_url("settings", staff)
    assert "merges_per_hour" not in text(client.get(page))
    client.post(page, {"name": "Our staff", "merges_per_hour": "1"})
    staff.refresh_from_db()
    assert (staff.name, staff.merges_per_hour) == ("Our staff", 1000)
    assert "Receives no tracking calls" in text(client.get(source_url("change", staff)))


def test_the_page_of_a_source_that_sends(dan: User, as_user: Login) -> None:
    source, client = make_source("web", name="Shop"), as_user(dan)
    assert "Nothing came in yet" in text(client.get(source_url("change", source)))
    send(source, {"type": "page", "anonymousId": "b-1"}, {"type": "page"})
    page = text(client.get(source_url("change", source)))
    for said in ("items in the last hour", "Missing identifier", "<svg", "50 %"):
        assert said in page
    assert "50 %" in text(client.get(reverse("admin:profiles_source_changelist")))


def test_help_with_this_host_and_the_keys_beginning(dan: User, as_user: Login) -> None:
    source, client = make_source("server"), as_user(dan)
    key = WriteKey.objects.get(source=source)
    page = text(client.get(source_url("connect", source)))
    for title in (
        "First: sign your userIds",
        "Our snippet, cdp.js",
        "analytics-next",
        "analytics-node",
        "segment-analytics-python",
        "RudderStack for browsers",
        "RudderStack for Node.js",
        "RudderStack for Python",
        "curl",
        "Django",
    ):
        assert title in page
    assert f"curl -u &quot;{key.prefix}…:&quot;" in page
    assert "http://testserver/v1/batch" in page
    assert "YOUR_WEB_KEY" in page
    assert "{host}" not in page
    assert "{{" not in page
    # A source for pages begins with it.
    page = text(client.get(source_url("connect", make_source("web"))))
    titles = ("First: sign your userIds", "Our snippet, cdp.js", "curl")
    assert sorted(titles, key=page.index) == list(titles)


def test_sources_for_who_may(vic: User, olga: User, as_user: Login) -> None:
    source = make_source()
    key = WriteKey.objects.get()
    client = as_user(vic)
    for name in ("change", "connect", "settings"):
        page = client.get(source_url(name, source))
        assert page.status_code == 200
        assert source.hash_secret not in text(page)
    assert client.get(source_url("live", source)).status_code == 403
    assert client.get(source_url("checkup", source)).status_code == 403
    assert client.post(source_url("settings", source), settings_of()).status_code == 403
    assert client.post(source_url("key_add", source), {"kind": "web"}).status_code == 403
    assert client.post(source_url("key_revoke", source, key.pk)).status_code == 403
    assert client.get(reverse("admin:profiles_source_add")).status_code == 403
    assert as_user(olga).get(reverse("admin:profiles_source_changelist")).status_code == 403
    source.refresh_from_db()
    assert source.name != "Shop"


# --- Live and check-up ------------------------------------------------------------------------------------


def test_live(dan: User, make_user: Callable[..., User], as_user: Login) -> None:
    source, client = make_source(), as_user(dan)
    page = source_url("live", source)
    assert "Nothing came in yet" in text(client.get(page))
    send(source, {"type": "identify", "userId": "C-20417", "traits": {"email": EMAIL, "note": "<b>x</b>"}})
    shown = text(client.get(page))
    assert EMAIL in shown
    assert "&lt;b&gt;x" in shown
    newest = Receipt.objects.latest("pk").pk
    assert f'data-newest="{newest}"' in shown
    rows = source_url("live_rows", source)
    assert client.get(f"{rows}?after={newest}").status_code == 204
    more = client.get(f"{rows}?after={newest - 1}")
    assert (more["X-Newest"], "<html" in text(more)) == (str(newest), False)
    assert client.get(f"{rows}?after=x").status_code == 200
    from django.contrib.auth.models import Permission

    blind = make_user("bea")
    codes = ["view_receipt", "view_source", "view_event"]
    blind.user_permissions.set(Permission.objects.filter(codename__in=codes))
    for url in (page, f"{rows}?after=0"):
        assert EMAIL not in text(as_user(blind).get(url))
        assert "C-20417" not in text(as_user(blind).get(url))


def test_check_up(dan: User, as_user: Login) -> None:
    source, client = make_source("web"), as_user(dan)
    page = source_url("checkup", source)
    assert "One browser, call by call" in text(client.get(page))
    assert "Nothing from this browser" in text(client.get(f"{page}?anonymous_id=zz"))
    send(source, {"type": "update", "anonymousId": "b-1", "traits": {"email": EMAIL}})
    shown = text(client.get(f"{page}?anonymous_id=b-1"))
    assert "An identifier is sent as a plain value" in shown
    assert "Is everything there?" in shown
    part = text(client.get(source_url("checkup_browser", source) + "?anonymous_id=b-1"))
    assert "An identifier is sent as a plain value" in part
    assert "<html" not in part
    client.cookies["cdp_id"] = "b-1"
    hint = text(client.get(page))
    assert 'href="?anonymous_id=b-1"' in hint
