"""People through the API: make, read, change, delete, restore, and every form of a reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdp.models import Look
from profiles.models import AttributeDefinition, Change, Profile
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def test_new_profile_has_the_fields_of_the_contract(api: Caller) -> None:
    AttributeDefinition.objects.create(name="plan", type="text")
    answer = api.post(
        "profiles/",
        {
            "first_name": "Ann",
            "email": "Ann@Example.com",
            "country": "Poland",
            "birth_date": "1990-02-28",
            "attributes": {"plan": "pro"},
            "identifiers": [{"type": "customer_id", "value": 42}],
            "tags": ["vip"],
            "consents": [{"channel": "email", "purpose": "newsletter", "state": "granted"}],
            "addresses": [{"label": "work", "city": "Kraków"}],
        },
    )
    assert answer.status_code == 201, answer.data
    ann = answer.data
    assert answer["Location"] == f"http://testserver/api/v1/profiles/{ann['id']}/"
    assert answer["ETag"] == f'"{ann["version"]}"'
    assert ann.keys() >= {
        *Profile.FIELDS,
        "segments",
        "aggregates",
        "alternates",
        "merged_ids",
        "locked",
        "created_at",
        "updated_at",
        "first_seen_at",
        "last_seen_at",
    }
    assert (ann["type"], ann["country"], ann["birth_date"]) == ("recognized", "PL", "1990-02-28")
    assert ann["attributes"] == {"plan": "pro"}
    assert ann["tags"] == ["vip"]
    held = {item["type"]: item["value"] for item in ann["identifiers"]}
    assert (held["customer_id"], held["email"]) == ("42", "ann@example.com")
    assert ann["identifiers"][0].keys() >= {
        "type",
        "value",
        "source",
        "verified",
        "first_seen_at",
        "last_seen_at",
    }
    consent = ann["consents"][0]
    assert (consent["channel"], consent["purpose"], consent["state"]) == ("email", "newsletter", "granted")
    assert consent["at"].endswith("Z")
    assert ann["addresses"][0]["city"] == "Kraków"
    assert api.get(f"profiles/{ann['id']}/").data == ann


@pytest.mark.parametrize(
    "ref",
    ["{id}", "email:ANN@example.com", "email:ann%40example.com", "customer_id:A%2F7", "customer_id:A/7"],
)
def test_profile_is_found_by_any_reference_with_and_without_slash(api: Caller, ref: str) -> None:
    ann = make_profile(email="ann@example.com", identifiers=[("customer_id", "A/7")])
    for path in (f"profiles/{ref.format(id=ann.pk)}", f"profiles/{ref.format(id=ann.pk)}/"):
        assert api.get(path).data["id"] == ann.pk
    for part in ("timeline", "events", "consents", "notes"):
        assert api.get(f"profiles/{ref.format(id=ann.pk)}/{part}").status_code == 200


def test_unknown_profile_is_a_problem(api: Caller) -> None:
    assert refusal(api.get("profiles/4711/")) == (404, "No profile “4711”.")
    assert refusal(api.get("profiles/email:nobody@example.com/")) == (
        404,
        "No profile “email:nobody@example.com”.",
    )
    assert refusal(api.get("profiles/nonsense/"))[0] == 404
    assert refusal(api.get("profiles/9223372036854775808/"))[0] == 404


def test_taken_identifier_names_its_holder_and_upsert_updates_them(api: Caller) -> None:
    ann = make_profile(email="ann@example.com", first_name="Ann")
    answer = api.post("profiles/", {"email": "ann@example.com", "city": "Oslo"})
    assert refusal(answer) == (409, f"email ann@example.com already belongs to profile #{ann.pk}.")
    assert (answer.data["code"], answer.data["profile_id"]) == ("identifier_taken", ann.pk)
    answer = api.post(
        "profiles/?upsert=true",
        {
            "city": "Oslo",
            "identifiers": [
                {"type": "email", "value": "ANN@example.com"},
                {"type": "customer_id", "value": "C1"},
            ],
            "tags": ["new"],
        },
    )
    assert answer.status_code == 200
    assert (answer.data["id"], answer.data["first_name"], answer.data["city"]) == (ann.pk, "Ann", "Oslo")
    assert answer.data["tags"] == ["new"]
    assert api.get("profiles/customer_id:C1/").data["id"] == ann.pk
    assert Profile.objects.count() == 1


def test_upsert_of_two_profiles_is_refused(api: Caller) -> None:
    ann, bob = make_profile(email="ann@example.com"), make_profile(identifiers=[("customer_id", "B")])
    body = {"email": "ann@example.com", "identifiers": [{"type": "customer_id", "value": "B"}]}
    sentence = (
        f"These identifiers belong to 2 people: #{ann.pk} and #{bob.pk}."
        " Merge them first, or send fewer identifiers."
    )
    assert refusal(api.post("profiles/?upsert=true", body)) == (409, sentence)


def test_every_wrong_value_is_pointed_at_and_nothing_is_kept(api: Caller) -> None:
    answer = api.post(
        "profiles/",
        {"birth_date": "31/02/1990", "email": "nope", "attributes": {"plan": "pro"}, "identifiers": []},
    )
    assert answer.status_code == 400
    assert {item["pointer"] for item in answer.data["errors"]} == {
        "/birth_date",
        "/email",
        "/attributes/plan",
    }
    answer = api.post(
        "profiles/", {"identifiers": [{"type": "customer_id", "value": "1"}, {"type": "email", "value": "x"}]}
    )
    assert [item["pointer"] for item in answer.data["errors"]] == ["/identifiers/1/value"]
    answer = api.post("profiles/", {"identifiers": [{"type": "fax", "value": "1"}]})
    assert [item["pointer"] for item in answer.data["errors"]] == ["/identifiers/0/type"]
    assert answer.data["detail"].startswith("“fax” is not an identifier type. Known types: ")
    assert Profile.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "pointer", "message"),
    [
        ([], "", "Send a JSON object."),
        (b"null", "", "Send a JSON object."),
        (b"5", "", "Send a JSON object."),
        ({"first_name": ["Ann"]}, "/first_name", "Send a text, a number, true, false or null."),
        ({"identifiers": [{"type": "email"}]}, "/identifiers/0/value", "This field is required."),
        (
            {"identifiers": [{"type": "email", "value": True}]},
            "/identifiers/0/value",
            "Send the value as text.",
        ),
        ({"tags": "vip"}, "/tags", 'Expected a list of items but got type "str".'),
        ({"attributes": []}, "/attributes", 'Expected a dictionary of items but got type "list".'),
    ],
)
def test_wrong_body_is_pointed_at(api: Caller, body: Any, pointer: str, message: str) -> None:
    answer = api.post("profiles/", body)
    assert refusal(answer) == (400, message)
    assert answer.data["errors"] == [{"pointer": pointer, "message": message}]


def test_unknown_field_is_refused_not_dropped(api: Caller) -> None:
    answer = api.post("profiles/", {"first_name": "Ann", "emial": "ann@example.com"})
    assert answer.status_code == 400
    assert answer.data["errors"][0]["pointer"] == "/emial"
    assert answer.data["detail"].startswith("There is no field “emial” here. Known fields: first_name, ")


def test_patch_sets_clears_and_leaves_the_rest(api: Caller) -> None:
    AttributeDefinition.objects.create(name="plan", type="text")
    ann = make_profile(first_name="Ann", city="Oslo", plan="pro", tags=["old", "keep"])
    body = {
        "city": None,
        "last_name": "Lee",
        "attributes": {"plan": None},
        "tags": ["keep", "new"],
        "identifiers": [{"type": "customer_id", "value": "C1"}],
    }
    answer = api.patch(f"profiles/{ann.pk}/", body)
    assert answer.status_code == 200
    data = answer.data
    assert (data["first_name"], data["last_name"], data["city"], data["attributes"]) == (
        "Ann",
        "Lee",
        None,
        {},
    )
    assert data["tags"] == ["keep", "new"]
    entries = Change.objects.filter(profile=ann).order_by("-id").values_list("key__name", "source__channel")
    assert set(entries[:3]) == {("shop", "api")}
    assert api.get("profiles/customer_id:C1/").data["id"] == ann.pk


def test_second_editor_gets_a_409_instead_of_overwriting(api: Caller) -> None:
    ann = make_profile(first_name="Ann")
    seen = api.get(f"profiles/{ann.pk}/")["ETag"]
    assert api.patch(f"profiles/{ann.pk}/", {"city": "Oslo"}, If_Match=seen).status_code == 200
    sentence = (
        f"Profile #{ann.pk} was changed by shop since you opened it."
        " Nothing was saved; look again and repeat."
    )
    assert refusal(api.patch(f"profiles/{ann.pk}/", {"city": "Rome"}, If_Match=seen)) == (409, sentence)
    assert refusal(api.patch(f"profiles/{ann.pk}/", {"city": "Rome", "version": 1})) == (409, sentence)
    assert refusal(api.delete(f"profiles/{ann.pk}/", If_Match=seen)) == (409, sentence)
    assert api.get(f"profiles/{ann.pk}/").data["city"] == "Oslo"
    assert refusal(api.patch(f"profiles/{ann.pk}/", {}, If_Match="x")) == (
        400,
        'If-Match must be the version in quotes, for example "7".',
    )


def test_deleted_profile_is_gone_and_comes_back(api: Caller) -> None:
    ann = make_profile(email="ann@example.com")
    assert api.delete(f"profiles/{ann.pk}/", {"reason": "asked"}).status_code == 204
    assert refusal(api.get(f"profiles/{ann.pk}/")) == (404, f"No profile “{ann.pk}”.")
    assert api.get("profiles/").data["results"] == []
    assert refusal(api.delete(f"profiles/{ann.pk}/"))[0] == 404
    other = api.post("profiles/", {"email": "ann@example.com"}).data
    restored = api.post(f"profiles/{ann.pk}/restore/")
    assert restored.status_code == 200
    assert restored.data["taken"] == [
        {"type": "email", "value": "ann@example.com", "profile_id": other["id"]}
    ]
    assert api.get(f"profiles/{ann.pk}/").status_code == 200
    assert refusal(api.post(f"profiles/{ann.pk}/restore/")) == (422, f"Profile #{ann.pk} is not deleted.")


def test_list_filters_and_says_why_a_profile_was_found(api: Caller) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com", country="PL", tags=["vip"])
    make_profile(first_name="Bob")
    for query in (
        "q=ann%40example.com",
        "tag=VIP",
        "country=Poland",
        "type=recognized",
        "identifier=email:ann@example.com",
    ):
        assert [row["id"] for row in api.get(f"profiles/?{query}").data["results"]] == [ann.pk], query
    assert (
        api.get("profiles/?q=ann%40example.com").data["results"][0]["found"]
        == "Found by E-mail: ann@example.com"
    )


def test_deleted_profiles_are_listed_for_who_may_restore_them(
    api: Caller, with_scopes: Callable[..., Caller]
) -> None:
    ann = make_profile(first_name="Ann")
    api.delete(f"profiles/{ann.pk}/")
    assert [row["id"] for row in api.get("profiles/?status=deleted").data["results"]] == [ann.pk]
    assert refusal(with_scopes("profiles:read").get("profiles/?status=deleted")) == (
        403,
        "The API key “shop” needs the scope profiles:write or privacy for this.",
    )


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("emial=x", "There is no parameter “emial” here. Known parameters: "),
        ("attributes.fax=1", "There is no attribute “fax”."),
        ("type=robot", "“robot” is none of recognized, anonymous."),
        ("status=gone", "“gone” is none of live, deleted."),
        ("locked=banana", "“banana” is neither true nor false."),
        ("duplicates=perhaps", "“perhaps” is neither true nor false."),
        ("created_at_after=soon", "“soon” is not a date. Write it like 2026-03-01 or 2026-03-01T14:30:00Z."),
        ("identifier=fax:1", "“fax” is not an identifier type. Known types: "),
        ("page_size=0", "page_size is a number from 1 to 500."),
        ("page_size=501", "page_size is a number from 1 to 500."),
        (
            "cursor=garbage",
            "This cursor is not one of ours or belongs to another list. Start again without it.",
        ),
        ("count=about", "count can only be “exact”."),
        ("q=a%00b", "A parameter contains the control character NUL."),
    ],
)
def test_filter_that_cannot_be_read_is_named(api: Caller, query: str, message: str) -> None:
    answer = api.get(f"profiles/?{query}")
    status, detail = refusal(answer)
    assert (status, detail[: len(message)]) == (400, message)
    assert answer.data["errors"][0]["parameter"] == query.partition("=")[0]


def test_list_and_page_cost_the_same_for_one_and_for_a_hundred(api: Caller, settings: Any) -> None:
    settings.API_RATE_PER_MINUTE = 1_000_000

    def once(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert api.get(path).status_code == 200
        return len(queries)

    def cost(path: str) -> int:
        """The cheaper of two: whoever comes first in a new minute also opens its window of the rate."""
        return min(once(path), once(path))

    make_profile(email="first@example.com", tags=["vip"])
    cost("profiles/?page_size=500")
    one = cost("profiles/?page_size=500")
    for number in range(99):
        make_profile(email=f"p{number}@example.com", tags=["vip", f"t{number % 5}"])
    assert cost("profiles/?page_size=500") == one
    assert one <= 16


def test_every_list_costs_the_same_for_one_and_for_many(api: Caller, settings: Any) -> None:
    # One block for the whole test: taking the next would count as a query of whoever came then.
    settings.API_RATE_PER_MINUTE = 1_000_000
    ann = make_profile(email="ann@example.com")

    def grow() -> None:
        other = make_profile(first_name="P", tags=[f"t{Profile.objects.count()}"])
        api.post(f"profiles/{ann.pk}/merge/", {"loser_id": other.pk})
        for part, body in {
            "notes": {"text": "x"},
            "events": {"name": "E"},
            "consents": {"channel": "email", "purpose": "surveys", "state": "granted"},
        }.items():
            assert api.post(f"profiles/{ann.pk}/{part}/", body).status_code == 201

    def costs() -> dict[str, int]:
        """The cheaper of two each, as above."""
        first, second = once(), once()
        return {path: min(count, second[path]) for path, count in first.items()}

    def once() -> dict[str, int]:
        found = {}
        lists = [f"profiles/{ann.pk}/{part}/" for part in ("timeline", "events", "notes", "consents")]
        for path in (*lists, "merges/", "tags/", "audit/", "jobs/", "sources/", "identifier-types/"):
            with CaptureQueriesContext(connection) as queries:
                assert api.get(path).status_code == 200
            found[path] = len(queries)
        return found

    grow()
    costs()
    one = costs()
    for _ in range(7):
        grow()
    assert costs() == one


def test_without_pii_everything_personal_is_masked(with_scopes: Callable[..., Caller]) -> None:
    ann = make_profile(first_name="Ann", last_name="Lee", email="ann@example.com", phone="+48601234567")
    reader, trusted = with_scopes("profiles:read"), with_scopes("profiles:read", "pii")
    masked = reader.get(f"profiles/{ann.pk}/").content.decode() + reader.get("profiles/").content.decode()
    masked += reader.get(f"profiles/{ann.pk}/timeline/").content.decode()
    for secret in ("Ann", "Lee", "ann@example.com", "+48601234567"):
        assert secret not in masked
    assert set(Look.objects.values_list("is_masked", flat=True)) == {True}
    assert trusted.get(f"profiles/{ann.pk}/").data["email"] == "ann@example.com"
    look = Look.objects.latest("pk")
    assert (look.profile_ids, look.actor, look.is_masked) == ([ann.pk], "shop", False)


def test_resolve_answers_in_order_in_constant_queries(api: Caller) -> None:
    ann = make_profile(email="ann@example.com", identifiers=[("customer_id", "1")])
    asked: list[dict[str, Any]] = [
        {"type": "email", "value": " Ann@Example.com "},
        {"type": "customer_id", "value": 1},
        {"type": "email", "value": "nobody@example.com"},
        {"type": "email", "value": "not an address"},
        {"type": "email", "value": "null"},
        {"id": ann.pk},
        {"id": 999_999},
    ]
    api.post("resolve/", {"identifiers": asked})
    with CaptureQueriesContext(connection) as few:
        answer = api.post("resolve/", {"identifiers": asked})
    ids = [item["id"] for item in answer.data["results"]]
    assert ids == [ann.pk, ann.pk, None, None, None, ann.pk, None]
    assert answer.data["results"][0] == {"id": ann.pk, "via": []}
    with CaptureQueriesContext(connection) as many:
        answer = api.post(
            "resolve/",
            {
                "identifiers": [
                    *asked,
                    *({"type": "email", "value": f"x{n}@example.com"} for n in range(4993)),
                ]
            },
        )
    assert len(answer.data["results"]) == 5000
    assert len(many) == len(few)
    too_many = api.post("resolve/", {"identifiers": [{"id": 1}] * 5001})
    assert refusal(too_many) == (400, "At most 5,000 identifiers in one call; these are 5,001.")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (None, "/identifiers"),
        ({}, "/identifiers"),
        ({"identifiers": {}}, "/identifiers"),
        ({"identifiers": [1]}, "/identifiers/0"),
        ({"identifiers": [{"id": "one"}]}, "/identifiers/0"),
        ({"identifiers": [{"id": True}]}, "/identifiers/0"),
        ({"identifiers": [{"id": 2**63}]}, ""),
        ({"identifiers": [{"id": 1, "type": "email", "value": "x"}]}, "/identifiers/0"),
        ({"identifiers": [{"type": "fax", "value": "x"}]}, "/identifiers/0/type"),
    ],
)
def test_resolve_points_at_what_it_cannot_read(api: Caller, body: Any, pointer: str) -> None:
    answer = api.post("resolve/", body)
    assert refusal(answer)[0] == 400
    assert answer.data["errors"][0]["pointer"] in (pointer, "/identifiers/0/id")
