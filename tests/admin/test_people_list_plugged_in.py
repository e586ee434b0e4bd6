"""A filter and a bulk action that another app registers: in the list, its panel and its bulk bar, in the API and in jobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.errors import Invalid
from cdp.jobs import run_to_end
from cdp.models import Job, User
from profiles.admin import bulk_confirmation as bulk_pages
from profiles.admin.bulk_forms import BulkForm, forms
from profiles.bulk import run_action as bulk
from profiles.models import Profile
from profiles.search.filters import TextFilter
from profiles.search.list_filters import ListFilter, Roots, list_filters
from profiles.search.saved_views import save_view
from tests.admin.test_people_list import URL, bulk_url, chips, frozen, ids
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

Login = Callable[[User], Client]


# --- A filter -------------------------------------------------------------------------------------------


def by_letter(roots: Roots, value: str) -> Roots:
    if len(value) != 1:
        raise Invalid([{"field": "letter", "value": value, "message": f"“{value}” is not one letter."}])
    return roots.filter(first_name__istartswith=value)


LETTER = ListFilter(
    label="First name",
    filter_class=TextFilter,
    apply=by_letter,
    sentence=lambda values: ("begins with", values[-1].upper()),
    template="admin/profiles/filter_choice.html",
    description="The first name begins with this letter.",
    choices=lambda: [("a", "Letter A"), ("b", "Letter B")],
)


@pytest.fixture
def letter() -> Iterator[None]:
    list_filters.register("letter", LETTER, order=45)
    yield
    if "letter" in list_filters:
        list_filters.unregister("letter")


def place(page: str, parameter: str) -> int:
    return page.index(f'id="f-{parameter}"')


def test_a_filter_of_another_app_narrows_the_list_and_reads_as_its_sentence(
    ada: User, as_user: Login, letter: None
) -> None:
    ann, _ = make_profile(first_name="Ann"), make_profile(first_name="Bob")
    client = as_user(ada)
    page = client.get(URL + "?letter=a").content
    assert ids(page) == [ann.pk]
    assert chips(page.decode()) == ["First name begins with A"]
    assert '<option value="a" selected>Letter A</option>' in page.decode()
    assert place(page.decode(), "consent") < place(page.decode(), "letter") < place(page.decode(), "source")
    refused = client.get(URL + "?letter=ab").content
    assert "“ab” is not one letter." in refused.decode()
    assert ids(refused) == []
    everyone = client.post(bulk_url("tag"), {"everyone": "1", "filters": "letter=a"})
    assert "Add tags to 1 person" in everyone.content.decode()
    # What is typed into it may name somebody, unless the filter says that it does not.
    actor = Actor.of_user(ada)
    assert save_view(name="A", query="letter=a", actor=actor).names_people
    assert not save_view(name="Twins", query="duplicates=true", actor=actor).names_people
    list_filters.unregister("letter")
    plain = client.get(URL).content.decode()
    assert "Letter A" not in plain
    assert 'id="f-consent"' in plain


def test_a_filter_of_another_app_is_a_described_parameter_of_the_api(letter: None) -> None:
    api = Caller(create_key(name="shop", scopes=["all"], actor=Actor.system()))
    ann, _ = make_profile(first_name="Ann"), make_profile(first_name="Bob")
    assert [row["id"] for row in api.get("profiles/?letter=a").data["results"]] == [ann.pk]
    refused = api.get("profiles/?letter=ab")
    assert refusal(refused) == (400, "“ab” is not one letter.")
    assert refused.data["errors"][0]["parameter"] == "letter"
    described = {
        "in": "query",
        "name": "letter",
        "schema": {"type": "string"},
        "description": "The first name begins with this letter.",
    }
    assert described in api.get("schema/").data["paths"]["/api/v1/profiles/"]["get"]["parameters"]
    list_filters.unregister("letter")
    status, detail = refusal(api.get("profiles/?letter=a"))
    assert (status, detail[:40]) == (400, "There is no parameter “letter” here. Kno")
    assert described not in api.get("schema/").data["paths"]["/api/v1/profiles/"]["get"]["parameters"]


def test_filters_of_other_rooms_and_apps_read_as_sentences(ada: User, as_user: Login) -> None:
    page = as_user(ada).get(URL + "?import=88&duplicates=true&consent=sms/news").content.decode()
    assert chips(page) == ["Import is #88", "Possible duplicates is yes", "Consent given to SMS newsletter"]
    for field in (
        'name="import" value="88"',
        'name="consent" value="sms/news"',
        '<option value="true" selected>Has some</option>',
    ):
        assert field in page


# --- A bulk action --------------------------------------------------------------------------------------


def clean_city(raw: dict[str, Any]) -> dict[str, Any]:
    if not raw.get("city"):
        raise Invalid([{"field": "city", "value": None, "message": "Name the city they move to."}])
    return {"city": raw["city"]}


def move(ids: Sequence[int], params: dict[str, Any], **by: Any) -> int:
    return Profile.objects.filter(pk__in=ids).exclude(city=params["city"]).update(city=params["city"])


MOVE = bulk.Action(
    label="Move",
    verb="Move",
    doing="Move",
    permission="profiles.bulk_delete",
    apply=move,
    clean=clean_city,
    done="moved",
    is_main=True,
)


@pytest.fixture
def moving(settings: Any, tmp_path: Any) -> Iterator[None]:
    """The action “move” and its form, whose template lies in the app's own folder."""
    (tmp_path / "move.html").write_text(
        '{{ greeting }} <input name="city" value="{{ params.city }}" placeholder="{{ count }} people">'
    )
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [*settings.TEMPLATES[0]["DIRS"], tmp_path]}]
    bulk.actions.register("move", MOVE)
    forms.register(
        "move",
        BulkForm(
            template="move.html",
            read=lambda typed: {"city": typed.get("city", "").strip()},
            context=lambda: {"greeting": "Where to?"},
        ),
    )
    yield
    forms.unregister("move")
    if "move" in bulk.actions:
        bulk.actions.unregister("move")


@pytest.fixture
def only_one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bulk, bulk_pages):
        monkeypatch.setattr(module, "INLINE", 1)


def test_an_action_of_another_app_is_offered_asked_for_and_done(
    ada: User, mira: User, as_user: Login, moving: None
) -> None:
    ann, bob = make_profile(city="Oslo"), make_profile(city="Rome")
    client = as_user(ada)
    bar = client.get(URL).content.decode()
    assert f'<button class="btn small" formaction="{bulk_url("move")}">Move…</button>' in bar
    assert bulk_url("move") not in as_user(mira).get(URL).content.decode()
    assert as_user(mira).post(bulk_url("move"), {"ids": [ann.pk]}).status_code == 403
    form = client.post(bulk_url("move"), {"ids": [ann.pk, bob.pk]})
    assert "Move 2 people</button>" in form.content.decode()
    assert 'Where to? <input name="city" value="" placeholder="2 people">' in form.content.decode()
    refused = client.post(bulk_url("move"), {"frozen": frozen(form.content), "city": " "})
    assert "Name the city they move to." in refused.content.decode()
    done = client.post(
        bulk_url("move"), {"frozen": frozen(refused.content), "city": " Rome "}, follow=True
    ).content.decode()
    assert "1 person moved. 1 needed no change." in done
    assert set(Profile.objects.values_list("city", flat=True)) == {"Rome"}
    bulk.actions.unregister("move")
    assert client.post(bulk_url("move"), {"ids": [ann.pk]}).status_code == 404
    assert bulk_url("tag") in client.get(URL).content.decode()


def started(client: Client, people: list[Profile]) -> Job:
    form = client.post(bulk_url("move"), {"ids": [person.pk for person in people]})
    page = client.post(bulk_url("move"), {"frozen": frozen(form.content), "city": "Rome"})
    job = Job.objects.latest("pk")
    assert page.url == reverse("admin:cdp_job_change", args=[job.pk])
    return job


def test_an_action_of_another_app_runs_as_a_job_while_the_app_is_there(
    ada: User, as_user: Login, moving: None, only_one_at_once: None
) -> None:
    client = as_user(ada)
    people = [make_profile(city="Oslo") for _ in range(3)]
    job = run_to_end(started(client, people))
    assert (job.kind, job.title, job.state) == ("profiles.bulk", "Move 3 people", "done")
    assert job.result == {"people_changed": 3}
    Profile.objects.update(city="Oslo")
    job = started(client, people)
    bulk.actions.unregister("move")
    ended = run_to_end(job)
    problem = "“move” is no longer a bulk action. Stopped before the next step; what was done stays done."
    assert (ended.state, ended.done, ended.problem) == ("failed", 0, problem)
    assert problem in client.get(reverse("admin:cdp_job_change", args=[job.pk])).content.decode()
    assert set(Profile.objects.values_list("city", flat=True)) == {"Oslo"}


def test_a_destructive_action_without_a_form_asks_for_the_number_alone(ada: User, as_user: Login) -> None:
    client = as_user(ada)
    two = [make_profile(city="Oslo").pk, make_profile().pk]
    clear = bulk.Action(
        label="Clear cities",
        verb="Clear the cities of",
        doing="Clear the cities of",
        permission="profiles.bulk_delete",
        apply=lambda ids, params, **by: Profile.objects.filter(pk__in=ids, city="Oslo").update(city=None),
        done="cleared",
        is_destructive=True,
    )
    bulk.actions.register("clear", clear)
    try:
        menu = re.findall(r"<button[^>]*>[^<]*…</button>", client.get(URL).content.decode())
        assert f'<button class="danger" formaction="{bulk_url("clear")}">Clear cities…</button>' in menu
        assert menu[-1].endswith(">Delete…</button>")
        form = client.post(bulk_url("clear"), {"ids": two})
        assert "Type <b>2</b> to confirm" in form.content.decode()
        refused = client.post(bulk_url("clear"), {"frozen": frozen(form.content)}).content.decode()
        assert "Type 2 to confirm that this many people are cleared." in refused
        assert Profile.objects.filter(city="Oslo").exists()
        sent = {"frozen": frozen(form.content), "count": "2"}
        done = client.post(bulk_url("clear"), sent, follow=True).content.decode()
        assert "1 person cleared." in done
        assert "needed no change" not in done
    finally:
        bulk.actions.unregister("clear")
