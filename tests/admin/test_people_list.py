"""The list of people: found, filtered, paged, counted, and acted on from the rows."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from cdp.jobs import run_to_end
from cdp.limits import TooSlow
from cdp.models import Job, User
from profiles.admin import bulk_confirmation as bulk_pages
from profiles.admin import exports as export_pages
from profiles.admin import list_pages, profile_list
from profiles.consent.ledger import record_consent
from profiles.consent.lists import consent_lists
from profiles.merging.merge import merge_profiles
from profiles.models import AttributeDefinition, Profile
from profiles.privacy.delete import delete_profiles
from profiles.search import counting, search
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

URL = "/admin/profiles/profile/"
Login = Callable[[User], Client]


def ids(content: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb'name="ids" value="(\d+)"', content)]


def chips(page: str) -> list[str]:
    """The filters in force as a person reads them."""
    return re.findall(r'aria-label="Change the filter: ([^"]+)"', page)


def frozen(content: bytes) -> str:
    found = re.search(rb'name="frozen" value="([^"]+)"', content)
    assert found
    return found[1].decode()


@pytest.fixture
def client_of_ada(ada: User, as_user: Login) -> Client:
    return as_user(ada)


def test_what_a_row_says(client_of_ada: Client) -> None:
    make_profile(first_name="Ann", last_name="Kowalska", email="ann@example.com", country="PL", tags=["vip"])
    make_profile(identifiers=[("anonymous_id", "b-1")])
    page = client_of_ada.get(URL).content.decode()
    for text in ("Ann Kowalska", "ann@example.com", "Poland", ">vip<", "<b>2</b> people", "anonymous"):
        assert text in page
    assert "no address" in page
    assert "b-1" not in page
    assert re.search(r'Recognized <span class="count">1<', page)
    assert '<time datetime="' in page


def test_names_are_text(client_of_ada: Client) -> None:
    make_profile(first_name="<script>alert(1)</script>", tags=["<b>x</b>"], country="PL")
    page = client_of_ada.get(URL + "?q=%3Cscript%3E&tag=%3Cimg%3E").content.decode()
    everybody = client_of_ada.get(URL).content.decode()
    assert "<script>alert" not in page + everybody
    assert "<img>" not in page
    assert "<b>x" not in everybody
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in everybody


def test_an_empty_base_says_how_to_begin(client_of_ada: Client) -> None:
    page = client_of_ada.get(URL).content.decode()
    assert "No people yet. Three ways to start" in page
    make_profile()
    assert "Nobody matches" in client_of_ada.get(URL + "?q=zzz").content.decode()


def test_search_says_why(client_of_ada: Client, by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com")
    old = make_profile(first_name="Hanna", email="hanna@old.example")
    gone = make_profile(first_name="Gone", email="gone@mail.example", country="PL")
    merge_profiles(winner_id=ann.pk, loser_id=old.pk, **by_staff)
    delete_profiles(profile_ids=[gone.pk], **by_staff)
    page = client_of_ada.get(URL + "?q=hanna@old.example").content.decode()
    assert f"Found as an old e-mail: hanna@old.example, from merged-away #{old.pk}" in page
    assert "Found" not in client_of_ada.get(URL + "?q=ann@example.com").content.decode()
    page = client_of_ada.get(URL + "?q=gone@mail.example").content.decode()
    assert "A deleted person has exactly this id or identifier." in page
    trash = client_of_ada.get(f"{URL}deleted/?q=%23{gone.pk}").content.decode()
    assert "Gone" in trash
    assert "<td>Poland</td>" in trash
    assert "Restore…" in trash


def test_exact_hits_come_first_and_once(client_of_ada: Client) -> None:
    first = make_profile(identifiers=[("customer_id", "4711")])
    later = [make_profile(first_name="4711").pk for _ in range(3)]
    assert ids(client_of_ada.get(URL + "?q=4711").content) == [first.pk, *reversed(later)]


@pytest.mark.parametrize("sort", ["newest", "seen"])
def test_pages_show_everybody_once_both_ways(
    client_of_ada: Client, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    now = timezone.now()
    made = [make_profile().pk for _ in range(11)]
    for place, pk in enumerate(made):
        seen = None if place % 4 == 0 else now - datetime.timedelta(days=place // 3)
        Profile.objects.filter(pk=pk).update(last_seen_at=seen)
    rows = {row.pk: row.last_seen_at for row in Profile.objects.all()}
    expected = sorted(made, reverse=True)
    if sort == "seen":
        never = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        expected.sort(key=lambda pk: (rows[pk] or never, pk), reverse=True)
    monkeypatch.setattr(list_pages.page_of, "__kwdefaults__", {"after": "", "before": "", "size": 3})
    pages, url = [], f"{URL}?sort={sort}"
    while True:
        content = client_of_ada.get(url).content
        pages.append(ids(content))
        found = re.search(rb'rel="next" href="([^"]+)"', content)
        if not found:
            break
        url = URL + found[1].decode().replace("&amp;", "&")
    assert [pk for page in pages for pk in page] == expected
    back = [pages[-1]]
    while found := re.search(rb'rel="prev" href="([^"]+)"', content):
        content = client_of_ada.get(URL + found[1].decode().replace("&amp;", "&")).content
        back.append(ids(content))
    assert back == list(reversed(pages))


@pytest.mark.parametrize(
    "place",
    [
        "after=x",
        "before=..",
        "after=9999999999999999999999",
        "sort=up&after=1.x",
        "sort=seen&after=99999999999999999999.1",
    ],
)
def test_a_broken_place_is_no_error(client_of_ada: Client, place: str) -> None:
    make_profile()
    assert client_of_ada.get(f"{URL}?{place}").status_code == 200


def test_filters_show_as_chips_that_can_be_taken_off(client_of_ada: Client) -> None:
    AttributeDefinition.objects.create(name="plan", label="Plan")
    make_profile(first_name="Ann", country="PL", tags=["vip"], plan="pro")
    make_profile(first_name="Bob")
    page = client_of_ada.get(URL + "?country=PL&tag=vip&attributes.plan=pro").content.decode()
    assert "Ann" in page
    assert "Bob" not in page
    assert chips(page) == ["Country is Poland", "Tag is vip", "Plan is pro"]
    assert 'href="?tag=vip&amp;attributes.plan=pro"' in page
    for wrong, said in (
        ("country=Polnd", "Not a country."),
        ("created_at_after=soon", "“soon” is not a date."),
        ("attributes.x=1", "There is no attribute “x”."),
        ("consent=email:maybe", "“maybe” is not a state of a consent."),
    ):
        page = client_of_ada.get(f"{URL}?{wrong}").content.decode()
        assert said in page
        assert "Nobody matches" in page


def test_queries_are_the_same_for_one_row_and_a_hundred(
    client_of_ada: Client, by_staff: dict[str, Any]
) -> None:
    counts = {}
    consent_lists()  # read once per process
    for size in (1, 60):
        for _ in range(size):
            make_profile(
                first_name="Ann", tags=["vip"], identifiers=[("customer_id", f"C-{Profile.objects.count()}")]
            )
        for query in ("", "?q=ann", "?tag=vip&sort=seen"):
            with CaptureQueriesContext(connection) as queries:
                assert client_of_ada.get(URL + query).status_code == 200
            counts[size, query] = len(queries)
    assert counts[1, ""] == counts[60, ""] <= 28
    assert counts[1, "?q=ann"] == counts[60, "?q=ann"]


def test_large_bases_are_estimated_and_say_so(client_of_ada: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    make_profile()
    monkeypatch.setattr(counting, "_sizes", lambda: (1_204_881, 301_000))
    page = client_of_ada.get(URL).content.decode()
    assert "<b>≈1,510,000</b> people" in page
    assert "≈1,200,000" in page


@pytest.mark.parametrize("sort", ["newest", "seen"])
def test_a_crowd_that_stands_far_down_the_list_is_gathered(
    client_of_ada: Client, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    crowd = [make_profile(first_name="Andrew", email=f"andrew{n}@example.com").pk for n in range(5)]
    make_profile(first_name="Bob")
    monkeypatch.setattr(search, "CANDIDATES", 3)
    walked = ids(client_of_ada.get(f"{URL}?q=and&sort={sort}").content)
    tries: list[dict[str, Any]] = []

    def slow_at_first(people: Any, **place: Any) -> list_pages.Page:
        tries.append(place)
        if len(tries) == 1:
            raise TooSlow
        return list_pages.page_of(people, **place)

    monkeypatch.setattr(profile_list, "page_of", slow_at_first)
    gathered = ids(client_of_ada.get(f"{URL}?q=and&sort={sort}").content)
    assert gathered == walked == crowd[::-1]
    assert len(tries) == 2


def test_a_search_that_takes_too_long_says_so(client_of_ada: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any, **__: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(9)")

    make_profile()
    monkeypatch.setattr(profile_list, "MILLISECONDS", 1)
    monkeypatch.setattr(profile_list, "_read", slow)
    page = client_of_ada.get(URL + "?q=ann").content.decode()
    assert "This search takes too long. Narrow it with another word or filter." in page


def test_without_view_pii_everything_personal_is_masked(
    vic: User, as_user: Login, by_staff: dict[str, Any]
) -> None:
    ann = make_profile(first_name="Ann", last_name="Kowalska", email="ann@example.com", phone="+48600100200")
    old = make_profile(first_name="Hanna", email="hanna@old.example")
    merge_profiles(winner_id=ann.pk, loser_id=old.pk, **by_staff)
    for query in ("", "?q=ann@example.com", "?q=hanna@old.example", "?q=hanna"):
        response = as_user(vic).get(URL + query)
        page = (
            response.content.decode().replace(query.removeprefix("?q="), "")
            if query
            else response.content.decode()
        )
        assert ids(response.content) == []
        assert f"/profile/{ann.pk}/change/" in page
        for secret in ("Kowalska", "ann@example.com", "hanna@old.example", "Hanna"):
            assert secret not in page


# --- Acting on many -------------------------------------------------------------------------------------


def bulk_url(action: str) -> str:
    return reverse("admin:profiles_profile_bulk", args=[action])


def test_tagging_ticked_people(mira: User, as_user: Login) -> None:
    client = as_user(mira)
    ann, bob, other = make_profile(), make_profile(), make_profile()
    page = client.post(bulk_url("tag"), {"ids": [ann.pk, bob.pk]})
    assert "Add tags to 2 people" in page.content.decode()
    done = client.post(bulk_url("tag"), {"frozen": frozen(page.content), "tags": "vip, club"}, follow=True)
    assert "2 people changed." in done.content.decode()
    assert set(Profile.objects.tagged("club")) == {ann, bob}
    assert not Profile.objects.tagged("vip").filter(pk=other.pk).exists()


def test_everybody_matching_is_frozen_when_counted(mira: User, as_user: Login) -> None:
    client = as_user(mira)
    some = [make_profile(country="PL").pk for _ in range(4)]
    make_profile(country="DE")
    page = client.post(bulk_url("lock"), {"everyone": "1", "filters": "country=PL", "ids": ["1"]})
    assert "Lock 4 people" in page.content.decode()
    late = make_profile(country="PL")
    client.post(bulk_url("lock"), {"frozen": frozen(page.content)})
    assert set(Profile.objects.filter(is_locked=True).values_list("pk", flat=True)) == set(some)
    assert not Profile.objects.get(pk=late.pk).is_locked


def test_a_long_list_becomes_a_job(mira: User, as_user: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bulk_pages, __import__("profiles.bulk.run_action", fromlist=["x"])):
        monkeypatch.setattr(module, "INLINE", 1)
    client = as_user(mira)
    two = [make_profile().pk, make_profile().pk]
    page = client.post(bulk_url("tag"), {"ids": two})
    assert "Runs in the background" in page.content.decode()
    done = client.post(bulk_url("tag"), {"frozen": frozen(page.content), "tags": "vip"})
    job = Job.objects.get()
    assert done.url == reverse("admin:cdp_job_change", args=[job.pk])
    assert run_to_end(job).result == {"people_changed": 2}
    assert client.get(done.url).status_code == 200


def test_deleting_many_asks_for_the_number(ada: User, as_user: Login) -> None:
    client = as_user(ada)
    two = [make_profile().pk, make_profile().pk]
    page = client.post(bulk_url("delete"), {"ids": two})
    held = frozen(page.content)
    refused = client.post(bulk_url("delete"), {"frozen": held, "count": "3"})
    assert "Type 2 to confirm that this many people are deleted." in refused.content.decode()
    assert Profile.objects.live().count() == 2
    done = client.post(bulk_url("delete"), {"frozen": held, "count": "2"}, follow=True)
    assert "2 people deleted." in done.content.decode()
    assert Profile.objects.live().count() == 0


def test_setting_an_attribute(mira: User, as_user: Login) -> None:
    AttributeDefinition.objects.create(name="likes", type="list")
    client = as_user(mira)
    ann = make_profile()
    held = frozen(client.post(bulk_url("set"), {"ids": [ann.pk]}).content)
    wrong = client.post(bulk_url("set"), {"frozen": held, "field": "country", "value": "Polnd"})
    assert "Not a country." in wrong.content.decode()
    client.post(
        bulk_url("set"),
        {"frozen": frozen(wrong.content), "field": "attributes.likes", "value": "tea\r\nbikes"},
    )
    assert Profile.objects.get(pk=ann.pk).attributes == {"likes": ["tea", "bikes"]}


def test_exporting_a_short_list_at_once_and_a_long_one_as_a_file(
    mira: User, ada: User, as_user: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_user(mira)
    ann = make_profile(first_name="Ann", email="ann@example.com")
    held = frozen(client.post(bulk_url("export"), {"ids": [ann.pk]}).content)
    short = client.post(bulk_url("export"), {"frozen": held})
    assert short["Content-Disposition"] == 'attachment; filename="people.csv"'
    assert "ann@example.com" in short.content.decode()
    monkeypatch.setattr(export_pages, "INLINE", 0)
    started = client.post(bulk_url("export"), {"frozen": held})
    job = Job.objects.latest("pk")
    assert "You can leave this page" in client.get(started.url).content.decode()
    run_to_end(job)
    page = client.get(started.url).content.decode()
    assert "The file is ready" in page
    download = client.get(reverse("admin:profiles_profile_export_file", args=[job.pk]))
    assert b"ann@example.com" in b"".join(download.streaming_content)
    assert as_user(ada).get(started.url).status_code == 404


def test_a_confirmation_is_for_one_person_and_one_action(mira: User, ada: User, as_user: Login) -> None:
    ann = make_profile()
    held = frozen(as_user(mira).post(bulk_url("tag"), {"ids": [ann.pk]}).content)
    said = "This confirmation has expired or belongs to another login. Choose the people again."
    for user, action, sent in ((ada, "tag", held), (mira, "untag", held), (mira, "tag", held + "x")):
        answer = as_user(user).post(bulk_url(action), {"frozen": sent, "tags": "vip"}, follow=True)
        assert said in answer.content.decode()
    assert not Profile.objects.tagged("vip").exists()
    answer = as_user(mira).post(bulk_url("tag"), {"ids": ["x", "99999999999999999999"]}, follow=True)
    assert "Tick at least one person first." in answer.content.decode()


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("viewer", set()),
        ("support", set()),
        ("marketer", {"tag", "export"}),
        ("data admin", {"tag", "export", "delete"}),
    ],
)
def test_who_may_act_on_many(make_user: Any, as_user: Login, role: str, allowed: set[str]) -> None:
    client = as_user(make_user("x", role))
    ann = make_profile()
    page = client.get(URL).content.decode()
    for action in ("tag", "delete", "export"):
        status = client.post(bulk_url(action), {"ids": [ann.pk]}).status_code
        assert status == (200 if action in allowed else 403)
        assert (bulk_url(action) in page) == (action in allowed)
    assert client.get(bulk_url("tag")).status_code == 405
    assert client.post(bulk_url("merge"), {"ids": [ann.pk]}).status_code == 404


# --- Filters as sentences, columns, reach ----------------------------------------------------------------


def test_several_countries_and_periods_read_as_sentences(client_of_ada: Client) -> None:
    pole, german = make_profile(country="PL").pk, make_profile(country="DE").pk
    late = make_profile(country="FR").pk
    now = timezone.now()
    for pk, days in ((pole, 3), (german, 40), (late, 3)):
        Profile.objects.filter(pk=pk).update(last_seen_at=now - datetime.timedelta(days=days))
    response = client_of_ada.get(
        URL + "?country=PL&country=Germany&last_seen_at_after=&last_seen_at_after=90d"
    )
    page = response.content.decode()
    assert chips(page) == ["Country is Poland or Germany", "Seen in the last 90 days"]
    assert set(ids(response.content)) == {pole, german}
    response = client_of_ada.get(URL + "?last_seen_at_before=30d&created_at_after=365d")
    assert chips(response.content.decode()) == ["Not seen for 30 days", "Added in the last 12 months"]
    assert ids(response.content) == [german]
    page = client_of_ada.get(
        URL + "?created_at_after=2026-03-01&consent=email/news:withdrawn"
    ).content.decode()
    assert chips(page) == ["Added since 2026-03-01", "Consent withdrawn for e-mail newsletter"]
    page = client_of_ada.get(URL + "?country=PL&country=Polnd").content.decode()
    assert "Not a country." in page


def test_the_reach_of_the_people_in_the_list(client_of_ada: Client, by_staff: dict[str, Any]) -> None:
    now = timezone.now()
    for number, state in enumerate(["granted", "granted", "withdrawn", ""]):
        person = make_profile(email=f"p{number}@mail.example", country="PL")
        if state:
            consent = {"channel": "email", "purpose": "news", "state": state, "at": now}
            record_consent(profile_id=person.pk, **consent, **by_staff)
    make_profile(country="PL")
    make_profile(email="other@mail.example", country="DE")
    reach = client_of_ada.get(URL + "?country=PL").context["reach"]
    assert (reach.reachable, reach.withdrawn, reach.undecided, reach.no_address) == (2, 1, 1, 1)
    everybody = client_of_ada.get(URL)
    assert everybody.context["reach"].undecided == 2
    assert "can be e-mailed <b>2</b>" in everybody.content.decode()
    assert client_of_ada.get(URL + "?q=nobody").context["reach"] is None


def test_columns_are_chosen_and_kept(client_of_ada: Client) -> None:
    AttributeDefinition.objects.create(name="plan", label="Plan", sensitivity="none")
    make_profile(first_name="Ann", city="Łódź", country="PL", plan="pro")

    def labels() -> list[str]:
        return [column.label for column in client_of_ada.get(URL).context["columns"]]

    assert labels() == ["Country", "Tags", "E-mail allowed", "Last seen", "Added"]
    columns = reverse("admin:profiles_profile_columns")
    done = client_of_ada.post(
        columns, {"column": ["attributes.plan", "city", "nonsense"], "back": URL + "?q=ann"}
    )
    assert done.url == URL + "?q=ann"
    assert labels() == ["City", "Plan"]
    page = client_of_ada.get(URL).content.decode()
    assert ">pro</td>" in page
    assert ">Łódź</td>" in page
    client_of_ada.post(columns, {})
    assert labels() == ["Country", "Tags", "E-mail allowed", "Last seen", "Added"]
    assert client_of_ada.get(columns).status_code == 405


def test_custom_columns_cost_no_query_per_row_and_are_masked(vic: User, as_user: Login) -> None:
    AttributeDefinition.objects.create(name="secret", label="Secret")
    client = as_user(vic)
    client.post(reverse("admin:profiles_profile_columns"), {"column": ["attributes.secret", "phone"]})
    counts = []
    consent_lists()  # read once per process
    for size in (1, 20):
        for number in range(size):
            make_profile(secret="s3cr3t", phone=f"+48600100{size:02}{number % 10}")
        with CaptureQueriesContext(connection) as queries:
            page = client.get(URL).content.decode()
        counts.append(len(queries))
        assert "s3cr3t" not in page
        assert "+48600100" not in page
    assert counts[0] == counts[1]


def test_heads_sort_the_list(client_of_ada: Client) -> None:
    make_profile(country="PL")
    page = client_of_ada.get(URL + "?country=PL").content.decode()
    assert '<a href="?country=PL&amp;sort=seen">Last seen' in page
    sorted_page = client_of_ada.get(URL + "?country=PL&sort=seen").content.decode()
    assert sorted_page.count('aria-sort="descending"') == 1
    assert 'aria-sort="descending"><a href="?country=PL&amp;sort=seen">Last seen' in sorted_page


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("locked=banana", "“banana” is neither true nor false."),
        ("banana=1", "There is no filter “banana”."),
        ("sort=banana", "There is no order “banana”. Orders: newest, seen."),
        ("type=banana", "“banana” is none of recognized, anonymous."),
        ("duplicates=perhaps", "“perhaps” is neither true nor false."),
        ("tag=banana", "There is no tag “banana”."),
        ("import=77", "There is no import #77."),
        ("attributes.city.op=like", "“like” cannot be asked of “City”."),
        ("attributes.banana=1", "There is no attribute “banana”."),
    ],
)
def test_what_is_no_filter_lists_nobody_and_says_why(client_of_ada: Client, query: str, problem: str) -> None:
    make_profile(first_name="Ann")
    page = client_of_ada.get(f"{URL}?{query}")
    assert problem in page.context["problems"][0]
    assert ids(page.content) == []


def test_a_yes_is_a_yes_however_it_is_written(client_of_ada: Client) -> None:
    make_profile(first_name="Ann")
    for word in ("yes", "true", "1", "YES"):
        page = client_of_ada.get(f"{URL}?duplicates={word}")
        assert chips(page.content.decode()) == ["Possible duplicates is yes"]
        assert ids(page.content) == []


def test_attributes_are_asked_in_the_panel(client_of_ada: Client) -> None:
    AttributeDefinition.objects.create(name="points", label="Points", type="number")
    AttributeDefinition.objects.create(name="likes", label="Likes", type="list")
    ann = make_profile(first_name="Ann", points=150, city="Oslo", likes=["tea"])
    make_profile(first_name="Bob", points=50, city="Rome")
    panel = client_of_ada.get(URL).content.decode()
    for text in (
        '<select name="attributes.points.op" aria-label="Points: how it compares">',
        '<option value="gte">is at least</option>',
        '<option value="between">is between</option>',
        '<select name="attributes.city.op"',
        '<option value="contains">contains</option>',
        '<select name="attributes.birth_date.op"',
    )[:5]:
        assert text in panel, text
    for query, chip in (
        ("attributes.points=100&attributes.points.op=gte", "Points is at least 100"),
        (
            "attributes.points=100&attributes.points.to=200&attributes.points.op=between",
            "Points is between 100 and 200",
        ),
        ("attributes.city=os&attributes.city.op=contains", "City contains os"),
        ("attributes.city=Oslo&attributes.city=Wien&attributes.city.op=in", "City is one of Oslo or Wien"),
        ("attributes.likes.op=filled", "Likes has any value "),
        ("attributes.likes=tea", "Likes has tea"),
        ("attributes.city.op=&attributes.city=Oslo&attributes.points.op=&attributes.points=", "City is Oslo"),
    ):
        answer = client_of_ada.get(f"{URL}?{query}")
        page = answer.content.decode()
        assert ids(answer.content) == [ann.pk], query
        assert chips(page) == [chip]
        off = re.findall(r'class="rm" href="([^"]*)"', page)
        assert ["attributes" in address for address in off] == [False]
    asked = client_of_ada.get(f"{URL}?attributes.birth_date=1990-01-01&attributes.birth_date.op=gt")
    assert chips(asked.content.decode()) == ["Birth date is after 1990-01-01"]
