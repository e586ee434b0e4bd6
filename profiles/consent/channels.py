"""A channel of consent → its name in a sentence."""

from __future__ import annotations

_NAMES = {"email": "e-mail", "sms": "SMS", "phone": "phone calls", "post": "post", "push": "push messages"}


def channel_name(channel: str) -> str:
    """“e-mail” for ``email``; a channel that only this installation has is named as it is."""
    return _NAMES.get(channel, channel)
