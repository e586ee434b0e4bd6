"""A user agent's text → the device as people say it: “Firefox on Linux”."""

from __future__ import annotations

from functools import lru_cache

from ua_parser import parse

_MOBILE = {"iOS", "Android", "Windows Phone", "KaiOS"}


@lru_cache(maxsize=2048)
def describe(agent: str) -> tuple[str, bool]:
    """(“Chrome on Android”, is it a phone or tablet). A text that is no user agent is “an unknown device”."""
    result = parse(agent)
    browser = result.user_agent.family if result.user_agent else ""
    system = result.os.family if result.os else ""
    is_mobile = system in _MOBILE or "Mobile" in browser
    browser = browser.replace("Mobile ", "").removesuffix(" Mobile").replace("Mobile", "").strip()
    if system == "iOS" and result.device and result.device.family not in ("Other", "iOS-Device"):
        system = result.device.family
    system = {"Mac OS X": "Mac"}.get(system, system)
    if browser in ("", "Other"):
        return (f"an app on {system}" if system not in ("", "Other") else "an unknown device"), is_mobile
    return (f"{browser} on {system}" if system not in ("", "Other") else browser), is_mobile
