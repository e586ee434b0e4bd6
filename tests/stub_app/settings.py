"""The product's settings with the stub app installed above all others."""

from cdp.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.stub_app"]  # noqa: F405
