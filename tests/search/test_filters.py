"""One set of filters for the list, the API and bulk actions: on surviving profiles, looking at all their members."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp.errors import Invalid
from profiles.builtin_sources import builtin_source
from profiles.consent.ledger import current_consents, record_consent
from profiles.merging.merge import merge_profiles
from profiles.models import AttributeDefinition, Change, Consent, DuplicatePair, Profile, Source
from profiles.privacy.delete import delete_profiles
from profiles.search.filters import ProfileFilter
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def listed(query: str = "", **params: Any) -> set[int]:
    data = QueryDict(query, mutable=True)
    for name, value in params.items():
        data[name] = value
    filters = ProfileFilter(data)
    assert filters.form.is_valid(), filters.form.errors
    exact = set(filters.qs.values_list("pk", flat=True))
    assert set(filters.page_qs.values_list("pk", flat=True)) == exact
    return exact


def problems(query: str) -> dict[str, list[str]]:
    filters = ProfileFilter(QueryDict(query))
    return {name: list(errors) for name, errors in filters.form.errors.items()}


@pytest.fixture
def profiles(by_staff: dict[str, Any]) -> dict[str, int]:
    """Ann (with Anna merged into her) and an anonymous visitor."""
    ann = make_profile(first_name="Ann", email="ann@example.com", country="PL", tags=["vip"])
    anna = make_profile(first_name="Anna", email="anna@old.example", tags=["Club"], source="import")
    visitor = make_profile(identifiers=[("anonymous_id", "b-1")], source="web")
    merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    return {"ann": ann.pk, "anna": anna.pk, "visitor": visitor.pk}


def test_everybody_who_is_live_once(profiles: dict[str, int], by_staff: dict[str, Any]) -> None:
    gone = make_profile()
    delete_profiles(profile_ids=[gone.pk], **by_staff)
    assert listed() == {profiles["ann"], profiles["visitor"]}
    assert listed("status=deleted") == {gone.pk}
    assert problems("status=erased")["status"]


@pytest.mark.parametrize(
    ("query", "who"),
    [
        ("q=anna", ["ann"]),
        ("q=", ["ann", "visitor"]),
        ("type=recognized", ["ann"]),
        ("type=anonymous", ["visitor"]),
        ("tag=VIP", ["ann"]),
        ("tag=club", ["ann"]),
        ("tag=vip&tag=club", ["ann"]),
        ("country=Poland", ["ann"]),
        ("country=de", []),
        ("source=web", ["visitor"]),
        ("source=Import", ["ann"]),
        ("source=3", ["ann"]),
        ("identifier=email:ANNA@old.example", ["ann"]),
        ("identifier=anonymous_id:b-1", ["visitor"]),
        ("identifier=email:null", []),
        ("locked=false", ["ann", "visitor"]),
        ("locked=true", []),
        ("attributes.first_name=ann", ["ann"]),
        ("attributes.country=PL", ["ann"]),
        ("type=anonymous&q=b-1", ["visitor"]),
        ("type=recognized&q=b-1", []),
    ],
)
def test_members_count_for_the_survivor(profiles: dict[str, int], query: str, who: list[str]) -> None:
    assert listed(query) == {profiles[name] for name in who}


def test_custom_attributes_by_their_type(profiles: dict[str, int]) -> None:
    for name, kind in (("plan", "text"), ("visits", "number"), ("b2b", "boolean"), ("likes", "list")):
        AttributeDefinition.objects.create(name=name, type=kind)
    bob = make_profile(plan="pro", visits="12", b2b="yes", likes=["bikes", "tea"])
    make_profile(plan="free", visits="1", b2b="no", likes=["coffee"])
    for query in (
        "attributes.plan=pro",
        "attributes.visits=12",
        "attributes.b2b=true",
        "attributes.likes=tea",
    ):
        assert listed(query) == {bob.pk}
    assert listed("attributes.plan=pro&attributes.visits=1") == set()
    with pytest.raises(Invalid, match="There is no attribute “plam”\\."):
        ProfileFilter(QueryDict("attributes.plam=pro"))
    with pytest.raises(Invalid) as refused:
        listed("attributes.visits=many")
    assert refused.value.problems[0]["field"] == "attributes.visits"


def test_attributes_by_more_than_being_equal(profiles: dict[str, int]) -> None:
    kinds = {
        "plan": "text",
        "visits": "number",
        "since": "date",
        "seen": "datetime",
        "likes": "list",
        "b2b": "boolean",
    }
    for name, kind in kinds.items():
        AttributeDefinition.objects.create(name=name, type=kind)
    AttributeDefinition.objects.create(name="tier", label="Tier", type="choice", choices=["gold", "blue"])
    bob = make_profile(
        first_name="Bob", city="Łódź", birth_date="1990-05-01", plan="Pro plus", visits=9, since="2024-12-31",
        seen="2025-01-01T10:00:00Z", likes=["green tea"], tier="gold", b2b="no", gender="male", language="pl",
    ).pk  # fmt: skip
    cy = make_profile(
        first_name="Cy", city="Łomża", birth_date="1991-05-01", plan="basic", visits=10.5, since="2025-01-01",
        seen="2025-06-01T10:00:00Z", likes=["jam", "tea"], tier="blue", b2b="yes", gender="female", language="de",
    ).pk  # fmt: skip
    others = {profiles["ann"], profiles["visitor"]}
    expected: dict[str, set[int]] = {
        "attributes.plan=PLUS&attributes.plan.op=contains": {bob},
        "attributes.plan=basic&attributes.plan.op=ne": {bob, *others},
        "attributes.plan=basic&attributes.plan=Pro plus&attributes.plan.op=in": {bob, cy},
        "attributes.plan=basic, nothing&attributes.plan.op=in": {cy},
        "attributes.plan.op=empty": others,
        "attributes.plan.op=filled": {bob, cy},
        "attributes.visits=9&attributes.visits.op=gt": {cy},
        "attributes.visits=9&attributes.visits.op=gte": {bob, cy},
        "attributes.visits=10&attributes.visits.op=lt": {bob},
        "attributes.visits=10.5&attributes.visits.op=lte": {bob, cy},
        "attributes.visits=9.5&attributes.visits.to=11&attributes.visits.op=between": {cy},
        "attributes.visits=9, 10.5&attributes.visits.op=in": {bob, cy},
        "attributes.since=2025-01-01&attributes.since.op=lt": {bob},
        "attributes.seen=2025-02-01T00:00:00Z&attributes.seen.op=gte": {cy},
        "attributes.likes=tea": {cy},
        "attributes.likes=tea&attributes.likes.op=contains": {bob, cy},
        "attributes.likes=jam, green tea&attributes.likes.op=in": {bob, cy},
        "attributes.tier=gold&attributes.tier.op=ne": {cy, *others},
        "attributes.b2b.op=filled": {bob, cy},
        "attributes.city=łó&attributes.city.op=contains": {bob},
        "attributes.city=łódź, łomża&attributes.city.op=in": {bob, cy},
        "attributes.city.op=empty": others,
        "attributes.language=pl": {bob},
        "attributes.gender=Female": {cy},
        "attributes.birth_date=1991-01-01&attributes.birth_date.op=lt": {bob},
        "attributes.birth_date=1990-01-01&attributes.birth_date.to=1990-12-31&attributes.birth_date.op=between": {
            bob
        },
        "attributes.birth_date.op=filled": {bob, cy},
        "attributes.plan.op=filled&attributes.visits=9": {bob},
    }
    for query, who in expected.items():
        assert listed(query) == who, query
    refused = {
        "attributes.plan=a&attributes.plan.op=gt": (
            "attributes.plan.op",
            "“gt” cannot be asked of “plan”. Choose one of eq, ne, in, contains, empty, filled.",
        ),
        "attributes.visits=9&attributes.visits.op=between": (
            "attributes.visits",
            "Give two values to compare “visits” with.",
        ),
        "attributes.tier.op=ne": ("attributes.tier", "Give a value to compare “Tier” with."),
        "attributes.since=soon&attributes.since.op=gt": (
            "attributes.since",
            "Not a date. Write YYYY-MM-DD, for example 1990-02-28.",
        ),
        "attributes.visits.many=9": (
            "attributes.visits.many",
            "There is no filter “attributes.visits.many”.",
        ),
    }
    for query, (field, message) in refused.items():
        with pytest.raises(Invalid) as raised:
            listed(query)
        assert (raised.value.problems[0]["field"], raised.value.problems[0]["message"]) == (field, message)


def test_times(profiles: dict[str, int]) -> None:
    long_ago = timezone.now() - datetime.timedelta(days=400)
    Profile.objects.filter(pk=profiles["visitor"]).update(created_at=long_ago, last_seen_at=long_ago)
    day = (timezone.now() - datetime.timedelta(days=100)).date().isoformat()
    for field in ("created_at", "last_seen_at"):
        assert listed(f"{field}_after={day}") == {profiles["ann"]}
        assert listed(f"{field}_before={day}T12:00:00Z") == {profiles["visitor"]}
    message = "“yesterday” is not a date. Write it like 2026-03-01 or 2026-03-01T14:30:00Z."
    assert problems("created_at_after=yesterday") == {"created_at_after": [message]}
    assert problems("created_at_after=2026-13-45")["created_at_after"]


def test_wrong_values_say_so(profiles: dict[str, int]) -> None:
    message = "Not a country. Write its English name or ISO code, for example Poland or PL."
    assert problems("country=Polnd") == {"country": [message]}
    assert problems("type=robot")["type"]
    assert problems("import=x")["import"]
    for query, field in (
        ("identifier=nonsense", "identifier"),
        ("consent=email:maybe", "consent"),
        ("tag=vip&tag=other", "tag"),
        ("source=nobody", "source"),
        ("source=99999999999999999999", "source"),
        ("import=12", "import"),
    ):
        with pytest.raises(Invalid) as refused:
            listed(query)
        assert refused.value.problems[0]["field"] == field


def test_who_an_import_touched(profiles: dict[str, int], by_staff: dict[str, Any]) -> None:
    source = builtin_source("import")
    for profile_id in (profiles["anna"], profiles["visitor"]):
        Change.objects.create(
            profile_id=profile_id, kind="updated", source=source, cause="import", cause_id=88
        )
    Change.objects.create(
        profile_id=profiles["visitor"], kind="updated", source=source, cause="job", cause_id=77
    )
    assert listed("import=88") == {profiles["ann"], profiles["visitor"]}
    with pytest.raises(Invalid, match="There is no import #77\\."):
        listed("import=77")


def test_undecided_duplicates(profiles: dict[str, int]) -> None:
    twin = make_profile(first_name="Hanna")
    pair = DuplicatePair.objects.create(a_id=profiles["anna"], b=twin)
    assert listed("duplicates=true") == {profiles["ann"], twin.pk}
    assert listed("duplicates=false") == {profiles["visitor"]}
    DuplicatePair.objects.filter(pk=pair.pk).update(verdict="not_duplicate")
    DuplicatePair.objects.create(a_id=profiles["ann"], b_id=profiles["anna"])
    assert listed("duplicates=true") == set()


def test_sources_made_later_by_name(profiles: dict[str, int]) -> None:
    shop = Source.objects.create(name="Shop 24", channel="api")
    Profile.objects.filter(pk=profiles["anna"]).update(source=shop)
    assert listed("source=shop 24") == {profiles["ann"]}


def test_consent_as_it_stands_now(profiles: dict[str, int], by_staff: dict[str, Any]) -> None:
    now = timezone.now()
    for member, state, days in (("ann", "granted", 9), ("anna", "withdrawn", 3)):
        Consent.objects.create(
            profile_id=profiles[member],
            channel="email",
            purpose="newsletter",
            state=state,
            at=now - datetime.timedelta(days=days),
            source=by_staff["source"],
        )
    assert listed("consent=email/newsletter") == set()
    assert listed("consent=email:withdrawn") == {profiles["ann"]}
    record_consent(
        profile_id=profiles["ann"],
        channel="email",
        purpose="newsletter",
        state="granted",
        at=now,
        reason="asked_in_person",
        proof={"seen": "at the till"},
        **by_staff,
    )
    assert listed("consent=EMAIL/newsletter:granted") == {profiles["ann"]} == listed("consent=email")
    assert listed("consent=email/newsletter:withdrawn") == set() == listed("consent=sms")


_MOMENTS = st.one_of(st.none(), st.integers(1, 4))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ledger=st.lists(
        st.tuples(st.sampled_from(["granted", "withdrawn"]), _MOMENTS, st.integers(1, 5)), max_size=5
    )
)
def test_the_filter_and_the_card_agree_on_consent(
    db: None, ledger: list[tuple[str, int | None, int]]
) -> None:
    root, source = make_profile(), builtin_source("api")
    start = timezone.now() - datetime.timedelta(days=30)
    for state, at, recorded in ledger:
        row = Consent.objects.create(
            profile=root,
            channel="email",
            purpose="surveys",
            state=state,
            at=None if at is None else start + datetime.timedelta(days=at),
            source=source,
        )
        Consent.objects.filter(pk=row.pk).update(recorded_at=start + datetime.timedelta(days=recorded))
    current = current_consents([root.pk]).get(root.pk, {}).get(("email", "surveys"))
    assert (root.pk in listed("consent=email/surveys")) == bool(current and current.is_granted)
    assert (root.pk in listed("consent=email/surveys:withdrawn")) == bool(current and not current.is_granted)


def test_no_filter_reads_row_by_row(profiles: dict[str, int]) -> None:
    query = (
        "q=ann&tag=vip&country=PL&source=Import&identifier=email:ann@example.com&locked=false&type=recognized"
    )
    with CaptureQueriesContext(connection) as few:
        assert listed(query) == {profiles["ann"]}
    for number in range(20):
        make_profile(first_name="Ann", email=f"ann{number}@mail.example", country="PL", tags=["vip"])
    with CaptureQueriesContext(connection) as many:
        assert listed(query) == {profiles["ann"]}
    assert len(few) == len(many)
