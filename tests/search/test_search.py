"""The search box: any identifier in any format, ids, names and parts of them, merged-away profiles too."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles.editing import update_profile
from profiles.identity.normalize import normalize
from profiles.masking import mask_identifier
from profiles.merging.merge import merge_profiles
from profiles.models import Profile
from profiles.privacy.delete import delete_profiles
from profiles.search import search as module
from profiles.search.search import SearchResult, search
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def matches(text: str) -> list[int]:
    return [hit.root_id for hit in search(text).hits]


@pytest.fixture
def ann() -> Profile:
    return make_profile(
        first_name="Ann",
        last_name="Kowalska-Łęcka",
        email="Ann.Lee@Example.com",
        phone="+48 600 100 200",
        city="Kraków",
        identifiers=[("customer_id", "C-20417")],
    )


@pytest.mark.parametrize(
    "text",
    [
        "ann.lee@example.com",
        "ANN.LEE@EXAMPLE.COM",
        " ann.lee＠example.com ",
        "ann.l",
        "lee",
        "+48 600 100 200",
        "0048600100200",
        "600 100 200",
        "0600-100-200",
        "600100200",
        "+48600100",
        "C-20417",
        "c-2041",
        "customer_id:C-20417",
        "email:Ann.Lee@example.com",
        "ann kow",
        "Kowalska",
        "lecka",
        "ŁĘCKA",
        "krakow",
        "kow ann",
    ],
)
def test_anything_known_of_a_person_finds_them(ann: Profile, text: str) -> None:
    unrelated = make_profile(
        first_name="Bob", last_name="Smith", email="bob@mail.example", phone="+48 700 900 800"
    )
    assert matches(text) == [ann.pk]
    assert unrelated.pk not in matches(text)


def test_ids_find_by_number_and_hash(ann: Profile) -> None:
    assert matches(str(ann.pk)) == [ann.pk] == matches(f"#{ann.pk}")
    assert search(f"#{ann.pk}").exact_ids == [ann.pk]
    assert matches("#999999999") == []


@pytest.mark.parametrize(
    "text", ["", "   ", "\x00", "nobody@mail.example", "zzz", "'; DROP TABLE x --", "\\", ":*", "&|!"]
)
def test_nothing_finds_nobody(ann: Profile, text: str) -> None:
    assert matches(text) == []


def test_whole_identifiers_come_first(ann: Profile) -> None:
    namesake = make_profile(first_name="C-20417")
    result = search("C-20417")
    assert [(hit.root_id, hit.how) for hit in result.hits] == [(ann.pk, "identifier"), (namesake.pk, "words")]
    assert result.exact_ids == [ann.pk]


def test_merged_away_profiles_are_found_and_explained(ann: Profile, by_staff: dict[str, Any]) -> None:
    old = make_profile(first_name="Hanna", last_name="Nowak", email="h.nowak@old.example")
    merge_profiles(winner_id=ann.pk, loser_id=old.pk, **by_staff)
    explanations = {
        text: search(text).by_root[ann.pk].explain()
        for text in ("H.Nowak@old.example", "hanna", f"#{old.pk}")
    }
    assert explanations == {
        "H.Nowak@old.example": f"Found as an old e-mail: h.nowak@old.example, from merged-away #{old.pk}",
        "hanna": f"Found as merged-away #{old.pk} (Hanna Nowak)",
        f"#{old.pk}": f"Found as merged-away #{old.pk} (Hanna Nowak)",
    }
    masked = search("h.nowak@old.example").by_root[ann.pk].explain(mask_identifier)
    assert masked == f"Found as an old e-mail: h•••@o•••.example, from merged-away #{old.pk}"
    assert search("krakow").by_root[ann.pk].explain() == ""
    assert search("C-20417").by_root[ann.pk].explain() == "Found by Customer id: C-20417"


def test_an_address_given_up_still_finds(ann: Profile, by_staff: dict[str, Any]) -> None:
    update_profile(profile_id=ann.pk, values={"email": "new@mail.example"}, **by_staff)
    assert matches("ann.lee@example.com") == [ann.pk] == matches("new@mail.example")


def test_deleted_profiles_are_only_mentioned(ann: Profile, by_staff: dict[str, Any]) -> None:
    delete_profiles(profile_ids=[ann.pk], **by_staff)
    result = search("ann.lee@example.com")
    assert result.hits == ()
    assert result.gone == (ann.pk,)
    assert search("kowalska").gone == ()
    trash = search("kowalska", status="deleted")
    assert list(Profile.objects.filter(trash.condition, status="deleted")) == [ann]


def everybody(result: SearchResult) -> set[int]:
    return set(Profile.objects.live().filter(result.condition).values_list("pk", flat=True))


def test_frequent_words_are_not_collected_and_yet_exact(
    ann: Profile, by_staff: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    many_ids = {make_profile(first_name="Andrew", email=f"andrew{n}@mail.example").pk for n in range(6)}
    old = make_profile(first_name="Andy", email="andy@mail.example")
    merge_profiles(winner_id=ann.pk, loser_id=old.pk, **by_staff)
    few = search("and")
    assert not few.is_capped
    assert everybody(few) == {*many_ids, ann.pk}
    monkeypatch.setattr(module, "CANDIDATES", 3)
    many = search("and")
    assert many.is_capped
    assert everybody(many) == {*many_ids, ann.pk}
    page = set(Profile.objects.live().filter(many.page_condition).values_list("pk", flat=True))
    assert many_ids <= page <= {*many_ids, ann.pk}
    whole = search("andrew3@mail.example")
    assert not whole.is_capped
    assert len(whole.exact_ids) == 1


def test_what_a_sample_calls_common_is_not_collected_and_yet_exact(
    ann: Profile, by_staff: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    many_ids = {make_profile(first_name="Anders").pk for _ in range(30)}
    coded = {make_profile(identifiers=[("customer_id", f"AN-{n}")]).pk for n in range(3)}
    old = make_profile(first_name="Andy", email="andy@mail.example")
    merge_profiles(winner_id=ann.pk, loser_id=old.pk, **by_staff)
    assert module._guess("'an':*") == 32  # a small table is counted whole
    assert module._guess("'nobody':*") == 0
    monkeypatch.setattr(module, "_guess", lambda tsquery: 25_000)
    matches = search("an")
    assert matches.is_capped
    assert set(matches.by_root) == {ann.pk, *coded}, "identifiers that begin so are few"
    assert everybody(matches) == {ann.pk, *many_ids, *coded}
    page = set(Profile.objects.live().filter(matches.page_condition).values_list("pk", flat=True))
    assert {*many_ids, *coded} <= page <= everybody(matches)
    monkeypatch.setattr(module, "CANDIDATES", 10)
    matches = search("an")
    assert set(matches.by_root) & coded != coded, "not even these were all collected"
    assert everybody(matches) == {ann.pk, *many_ids, *coded}
    assert coded <= set(Profile.objects.live().filter(matches.page_condition).values_list("pk", flat=True))
    assert len(search("AN-2").exact_ids) == 1


def test_single_letters_count_but_are_not_asked_of_the_index(ann: Profile) -> None:
    assert module._coarse("'20417':* & 'c':*") == "'20417':*"
    assert module._coarse("'a':* & 'b':*") == "'a':* & 'b':*"
    assert matches("k kowalska") == matches("kowalska a") == [ann.pk]
    assert matches("x kowalska") == []
    assert matches("a k") == [ann.pk]


def test_the_same_few_queries_for_one_and_for_many(ann: Profile) -> None:
    with CaptureQueriesContext(connection) as queries_for_one:
        search("kowalska")
    for number in range(30):
        make_profile(last_name="Kowalska", email=f"k{number}@mail.example")
    with CaptureQueriesContext(connection) as many:
        assert len(search("kowalska").hits) == 31
    assert len(queries_for_one) == len(many)


def test_a_search_that_is_too_slow_is_capped(ann: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any, **__: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(module, "MILLISECONDS", 1)
    monkeypatch.setattr(module, "_candidates", slow)
    result = search("kowalska")
    assert result.is_capped
    assert result.hits == ()
    assert everybody(result) == {ann.pk}
    assert search("").hits == ()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60))
def test_any_text_is_answered(ann: Profile, text: str) -> None:
    result = search(text.encode("utf-8", "ignore").decode())
    assert everybody(result) <= {ann.pk}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(st.characters(whitelist_categories=("Lu", "Ll")), min_size=3, max_size=12),
    cut=st.integers(2, 12),
)
def test_a_name_is_found_by_its_beginning(db: None, name: str, cut: int) -> None:
    made = make_profile(first_name=name)
    try:
        assert made.pk in matches(normalize("text", name)[:cut])
    finally:
        Profile.objects.filter(pk=made.pk).update(first_name=None)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ({"last_name": "Großmann"}, ["grossmann", "Großmann", "gross"]),
        ({"last_name": "Guðmundsdóttir"}, ["gudmundsdottir", "guðmunds"]),
        ({"last_name": "Þórarinsson"}, ["thorarinsson"]),
        ({"first_name": "Zoë", "last_name": "Æbeløe"}, ["aebeloe", "zoe aebel"]),
        ({"first_name": "Pat", "last_name": "O'Brien"}, ["obrien", "o'brien", "O’Brien", "brien", "pat obr"]),
        ({"first_name": "Anne-Marie", "last_name": "Lee"}, ["annemarie", "anne-marie", "marie lee"]),
        ({"first_name": "太郎", "last_name": "山田"}, ["山田太郎", "太郎山田", "山田", "太郎", "山田 太郎"]),
        ({"first_name": "민준", "last_name": "김"}, ["김민준", "민준김"]),
        ({"phone": "+48 600 123 457"}, ["3457", "123457", "23 457", "0600 123 457", "600 123", "48600123457"]),
        ({"phone": "+1 415 555 0199"}, ["0199", "555-0199", "(415) 555-0199"]),
    ],
)  # fmt: skip
def test_as_people_type_it(db: None, values: dict[str, str], texts: list[str]) -> None:
    profile = make_profile(**values)
    make_profile(first_name="Somebody", last_name="Else", phone="+49 30 901820")
    for text in texts:
        assert [hit.root_id for hit in search(text).hits if hit.how == "words"] == [profile.pk], text


@pytest.mark.parametrize(
    "text",
    [
        "kowlaska",
        "kowalsk",
        "kowallska",
        "kowalsja",
        "Ann Kowlaska",
        "kowlaska ann",
        "ann@exmaple.org",
        "annn kowalska",
    ],
)
def test_one_slip_of_the_finger(ann: Profile, text: str) -> None:
    found = make_profile(first_name="Ann", last_name="Kowalska", email="ann@example.org")
    hits = {hit.root_id: hit for hit in search(text).hits}
    assert found.pk in hits
    if text != "kowalsk":  # the beginning of the word, no slip
        assert hits[found.pk].explain() == "Spelled nearly like that"
        assert not hits[found.pk].is_exact
    assert search(text).condition


def test_two_slips_and_slips_in_numbers_find_nobody(ann: Profile) -> None:
    make_profile(first_name="Иван", last_name="Петров")
    assert [hit.how for hit in search("петроф").hits] == ["similar"]
    for text in ("kowlsaak", "C-20418", "600100201", "ana", "an kowlsakaa"):
        assert matches(text) == [], text
