"""`make screenshots`: the product with its demo data, in a folder of its own → the pictures in docs/images."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Page, sync_playwright

from tests.browser_path import browser_path

PROJECT = Path(__file__).resolve().parent.parent
IMAGES = PROJECT / "docs" / "images"
PORT = int(os.environ.get("PORT", "8190"))
BASE = f"http://127.0.0.1:{PORT}"
READY_SECONDS = 900
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# File name → address; "first: selector" is the address of the first such link on the page before.
PICTURES: dict[str, str] = {
    "today": "/admin/",
    "people": "/admin/profiles/profile/",
    "card": "first: table a[href*='/profile/'][href$='/change/']",
    "import-report": "/admin/imports/import/1/change/",
    "import-columns": "/admin/imports/import/1/columns/",
    "duplicates": "/admin/profiles/duplicatepair/",
    "duplicate-review": "/admin/profiles/duplicatepair/next/",
    "waiting-merges": "/admin/profiles/heldmerge/",
    "sources": "/admin/profiles/source/",
    "rejected": "/admin/profiles/receipt/",
    "quality": "/admin/profiles/sourcealarm/",
    "roles": "/admin/auth/group/",
}
ON_A_PHONE = ("today", "people", "card")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="screenshots-") as data:
        os.chmod(data, 0o755)
        environment = {**os.environ, "CDP_DATA": data, "PORT": str(PORT)}
        product = subprocess.Popen(
            [sys.executable, "-m", "cdp.local"], cwd=PROJECT, env=environment, start_new_session=True
        )
        try:
            _wait_until_ready(product)
            _take_all(Path(data, "admin-password").read_text().strip())
        finally:
            product.send_signal(signal.SIGINT)
            product.wait(60)


def _wait_until_ready(product: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if product.poll() is not None:
            raise SystemExit("The product ended before it was ready; what it printed stands above.")
        try:
            with urlopen(f"{BASE}/readyz", timeout=5) as answer:
                json.load(answer)
                return
        except (URLError, OSError, ValueError):
            time.sleep(1)
    raise SystemExit(f"The product was not ready after {READY_SECONDS} s.")


def _take_all(password: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        for viewport, names, ending in ((DESKTOP, PICTURES, ""), (PHONE, ON_A_PHONE, "-narrow")):
            page = browser.new_context(viewport=viewport, color_scheme="light").new_page()  # type: ignore[arg-type]
            _log_in(page, password)
            for name in PICTURES:
                _open(page, PICTURES[name])
                if name in names:
                    page.screenshot(path=IMAGES / f"{name}{ending}.png")
                    print(f"docs/images/{name}{ending}.png  {page.title()}")
        browser.close()


def _log_in(page: Page, password: str) -> None:
    page.goto(f"{BASE}/admin/login/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(password)
    page.get_by_label("Password").press("Enter")
    page.wait_for_url(f"{BASE}/admin/")


def _open(page: Page, target: str) -> None:
    if target.startswith("first: "):
        target = page.locator(target.removeprefix("first: ")).first.get_attribute("href") or "/admin/"
    answer = page.goto(f"{BASE}{target}")
    if answer is None or not answer.ok:
        raise SystemExit(f"{target} answers {answer and answer.status}.")
    page.wait_for_load_state("networkidle")


if __name__ == "__main__":
    main()
