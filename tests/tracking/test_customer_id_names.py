"""What other systems call a customer's id is customer_id at every door."""

from __future__ import annotations

from typing import Any

import pytest

from cdp.errors import Invalid
from profiles.identity.lookup import find_profile
from profiles.models import AttributeDefinition, Event, Identifier, IdentifierType
from profiles.tracking.sources.user_hash import sign_user
from profiles.tracking.sources.write_keys import Sender
from profiles.values.attributes import define_attribute
from tests.api.caller import Caller
from tests.tracking.calls import holder, identify, make_sender, send_item, track

pytestmark = pytest.mark.django_db

NAMES = ["customId", "custom_identify", "customerId", "Customer ID", "customer_number"]


@pytest.fixture
def server(db: None) -> Sender:
    return make_sender("server")


@pytest.mark.parametrize("name", NAMES)
def test_in_the_traits_of_identify(server: Sender, name: str) -> None:
    result = identify(server, anonymousId="b1", traits={name: " 42 ", "city": "Oslo"})
    assert (result.outcome, result.problems) == ("applied", [])
    person = holder("customer_id", "42")
    assert person is not None
    assert (person.pk, person.is_recognized, person.attributes) == (result.profile_id, True, {})
    assert identify(server, traits={name: 42}).profile_id == person.pk
    # The userId says it: the same again is nothing new, another one is not used, and named.
    assert identify(server, userId="42", traits={name: "42"}).problems == []
    (problem,) = identify(server, userId="42", traits={name: "43"}).problems
    assert (problem["code"], problem["value"]) == ("other_customer_id", "43")
    assert problem["message"] == (
        f"“{name}” was not used as an id: the call has the id “42”. It stays in the event only."
    )
    assert holder("customer_id", "43") is None


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ([1], "“customId” is neither a text nor a number, so it was not used as an id."),
        (True, "“customId” is neither a text nor a number, so it was not used as an id."),
        ("x" * 256, "Longer than 255 characters (this one has 256). Shorten it."),
    ],
)
def test_what_is_no_id_is_named(server: Sender, raw: Any, sentence: str) -> None:
    result = identify(server, anonymousId="b1", traits={"customId": raw})
    assert [problem["message"] for problem in result.problems] == [sentence]
    assert not Identifier.objects.filter(type__name="customer_id").exists()


def test_an_update_and_an_event_identify_nobody_by_it(server: Sender) -> None:
    for result in (
        send_item(server, "update", anonymousId="b1", traits={"customId": "42"}),
        track(server, anonymousId="b1", properties={"custom_identify": "42"}),
    ):
        assert "identifier_as_attribute" in [problem["code"] for problem in result.problems]
    assert holder("customer_id", "42") is None


@pytest.mark.parametrize("name", NAMES)
def test_beside_the_traits_and_among_external_ids(server: Sender, name: str) -> None:
    assert track(server, **{name: "42"}).outcome == "applied"
    assert holder("customer_id", "42") is not None
    envelope = Event.objects.get().envelope or {}
    assert (envelope["user_id"], envelope["rest"]) == ("42", {name: "42"})
    result = track(server, anonymousId="b1", context={"externalIds": [{"type": name, "id": "43"}]})
    assert result.problems == []
    assert holder("customer_id", "43") is not None


def test_a_page_has_to_sign_it_as_it_has_to_sign_a_user_id() -> None:
    sender = make_sender("web", needs_user_hash=True)
    result = identify(sender, anonymousId="b1", traits={"customId": "42"})
    assert [problem["message"] for problem in result.problems] == [
        "context.userHash is missing, so the customId was not used."
    ]
    assert holder("customer_id", "42") is None
    signed = {"userHash": sign_user(sender.source, "42")}
    identify(sender, anonymousId="b1", traits={"customId": "42"}, context=signed)
    row = Identifier.objects.get(type__name="customer_id", value="42")
    assert (row.is_verified, row.resolves) == (True, True)


def test_of_a_source_with_another_main_identifier_it_is_the_customers_id_still(server: Sender) -> None:
    card = IdentifierType.objects.create(name="card", strength="hard", is_main=True)
    sender = make_sender("server", main_type_id=card.pk)
    identify(sender, userId="C-1", traits={"customId": "42"})
    assert holder("card", "C-1") == holder("customer_id", "42") is not None


@pytest.mark.parametrize("name", NAMES)
def test_in_the_api(api: Caller, name: str) -> None:
    made = api.post("profiles/?upsert=true", {"first_name": "Ann", name: "42"}).data
    assert ("customer_id", "42") in [(row["type"], row["value"]) for row in made["identifiers"]]
    again = api.post(
        "profiles/?upsert=true", {"city": "Oslo", "identifiers": [{"type": name, "value": "42"}]}
    ).data
    assert (again["id"], again["city"]) == (made["id"], "Oslo")
    assert api.get(f"profiles/{name}:42/").data["id"] == made["id"]
    asked = {"identifiers": [{"type": name, "value": "42"}]}
    assert api.post("resolve/", asked).data["results"] == [{"id": made["id"], "via": []}]
    assert find_profile(f"{name}:42").root.pk == made["id"]


def test_the_api_refuses_what_is_no_id(api: Caller) -> None:
    answer = api.post("profiles/", {"first_name": "Ann", "customId": ["42"]})
    assert answer.status_code == 400
    answer = api.post("profiles/", {"customId": "42", "identifiers": "x"})
    assert answer.status_code == 400


RESERVED = [
    ("firstName", "the default attribute first_name", "first_name"),
    ("First_Name", "the default attribute first_name", "first_name"),
    ("mobile", "the default attribute phone", "phone"),
    ("dateOfBirth", "the default attribute birth_date", "birth_date"),
    ("fullName", "the default attributes first_name and last_name", "first_name and last_name"),
    ("uuid", "the identifier anonymous_id", "anonymous_id"),
    ("UUID", "the identifier anonymous_id", "anonymous_id"),
    ("clientId", "the identifier customer_id", "customer_id"),
    ("custom_identify", "the identifier customer_id", "customer_id"),
    ("customIdentify", "the identifier customer_id", "customer_id"),
    ("userID", "the identifier customer_id", "customer_id"),
]


@pytest.mark.parametrize(("name", "what", "use"), RESERVED)
def test_no_attribute_may_be_called_so(
    api: Caller, by_staff: dict[str, Any], name: str, what: str, use: str
) -> None:
    sentence = f"“{name}” means {what}, so this attribute would stay empty. Use {use}."
    with pytest.raises(Invalid) as refused:
        define_attribute(name=name, actor=by_staff["actor"])
    assert refused.value.problems[0]["message"] == sentence
    answer = api.post("attributes/", {"name": name, "type": "text"})
    assert answer.status_code in (400, 422)
    assert sentence in str(answer.data)
    server = make_sender("server")
    identify(server, userId="1", traits={name: "Ann"})
    assert not AttributeDefinition.objects.exists()


@pytest.mark.parametrize(
    "name", ["first", "customer", "client_name", "uuid_of_device", "createdAt", "birthday"]
)
def test_others_may(name: str, by_staff: dict[str, Any]) -> None:
    assert define_attribute(name=name, actor=by_staff["actor"]).name == name


def test_an_attribute_there_was_before_goes_on_being_filled(server: Sender) -> None:
    AttributeDefinition.objects.create(name="mobile", type="text")
    identify(server, userId="1", traits={"phone": "+4790000000", "mobile": "+4791000000"})
    person = holder("customer_id", "1")
    assert person is not None
    assert (person.phone, person.attributes) == ("+4790000000", {"mobile": "+4791000000"})


def test_other_spellings_of_a_value_are_alternates(server: Sender, api: Caller) -> None:
    traits = {
        "phone": "+4790000000",
        "mobile": "+4791000000",
        "name": "Bob Ray",
        "firstName": "Ann",
        "lastName": "Lee",
    }
    result = identify(server, userId="1", traits=traits)
    assert [(problem["code"], problem["pointer"]) for problem in result.problems] == [
        ("other_value", "/traits/mobile"),
        ("other_value", "/traits/name"),
        ("other_value", "/traits/name"),
    ]
    assert result.problems[0]["message"] == (
        "“mobile” says phone as well, and another value of the call was taken. The value sent is kept as an alternate."
    )
    found = api.get(f"profiles/{result.profile_id}/").data["alternates"]
    assert {(row["field"], row["value"], row["source"]) for row in found} == {
        ("phone", "+4791000000", server.source.name),
        ("first_name", "Bob", server.source.name),
        ("last_name", "Ray", server.source.name),
    }
    # Where the plainer spelling cannot be read, the other one is the value.
    result = identify(server, userId="2", traits={"phone": "none yet", "mobile": "+4791000000"})
    person = holder("customer_id", "2")
    assert person is not None
    assert (person.phone, [problem["code"] for problem in result.problems]) == ("+4791000000", ["bad_trait"])
