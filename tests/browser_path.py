"""The machine → the Chromium that tests of pages and the pictures of docs/ are made with."""

from __future__ import annotations

import os
import shutil

# The shell is the same engine without the windows of a browser: opening a page costs a third.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def browser_path() -> str | None:
    """``CHROMIUM``, or the first there is; None leaves it to Playwright's own."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
