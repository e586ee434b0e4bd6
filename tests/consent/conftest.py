"""The API's callers, for tests of a rule that holds at every door."""

from tests.api.conftest import api, stranger, with_scopes  # noqa: F401
