"""A reference in the address → the profile; a profile → the response. What the views of profiles share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.functional import cached_property
from rest_framework.response import Response

from cdp.api.parameters import expected_version
from cdp.api.views import ApiView
from cdp.errors import Invalid
from cdp.looks import saw
from profiles import masking
from profiles.api.responses import Presenter
from profiles.builtin_sources import builtin_source
from profiles.identity.lookup import FoundProfile, find_profile, find_visible
from profiles.models import Profile, Source


class ProfilesApiView(ApiView):
    """The base of every view whose verbs change profiles or what staff define."""

    @cached_property
    def source(self) -> Source:
        """The built-in source “API”, which every verb called from here names."""
        source: Source = builtin_source("api")
        return source


class PersonalDataView(ProfilesApiView):
    """The base of every view whose answers contain personal data: masked for whoever may not see it."""

    @cached_property
    def presenter(self) -> Presenter:
        return Presenter(self.actor)

    def identifier_value(self, type_name: str, value: Any) -> str:
        """The value of an identifier as the caller may see it."""
        return str(value) if self.presenter.can_view_pii else masking.mask_identifier(type_name, str(value))

    def find(self, *, live_only: bool = True) -> FoundProfile:
        """The profile that the address names, which is looked at; a 404 when there is none."""
        ref = self.kwargs["ref"]
        found = find_profile(ref) if live_only else find_visible(ref, actor=self.actor)
        saw([found.root.pk])
        return found

    def verb(self) -> dict[str, Any]:
        """``actor`` and ``source`` as every verb asks for them."""
        return {"actor": self.actor, "source": self.source}

    def expected_version(self, body: Mapping[str, Any] | None = None) -> int | None:
        return expected_version(self.request, (body or {}).get("version"))

    def profile_response(
        self, root: Profile, *, status: int = 200, with_reasons: bool = False, **extra: Any
    ) -> Response:
        """One profile as the whole answer, with its version as ETag."""
        data = {**self.presenter.profile(root, with_reasons=with_reasons), **extra}
        return Response(data, status=status, headers={"ETag": f'"{data["version"]}"'})


def reload(profile_id: int) -> Profile:
    """The surviving profile as the database has it now."""
    return Profile.objects.defer("search").get(pk=profile_id)


def pointed(error: Invalid, identifiers: Iterable[Mapping[str, Any]]) -> Invalid:
    """Errors that name an identifier by its type → errors that point at its position in the body."""
    positions = {(item["type"], item["value"]): index for index, item in enumerate(identifiers)}
    problems = []
    for problem in error.problems:
        position = positions.get((problem.get("field"), problem.get("value")))
        if position is None and problem.get("field") == "type":
            position = next((i for (name, _), i in positions.items() if name == problem.get("value")), None)
            step = "type"
        else:
            step = "value"
        if position is None:
            problems.append(problem)
        else:
            rest = {key: value for key, value in problem.items() if key != "field"}
            problems.append({"pointer": f"/identifiers/{position}/{step}", **rest})
    return Invalid(problems)


def below(error: Invalid, part: str) -> Invalid:
    """The errors of one part of the body, which name its fields, as errors of the whole."""
    return Invalid([{**problem, "field": f"{part}.{problem['field']}"} for problem in error.problems])
