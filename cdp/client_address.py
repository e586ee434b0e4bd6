"""A request → the address of whoever sent it, behind any number of proxies of ours; headers of others are not believed.

Limits for each address, the audit log and the answer to "is this HTTPS" all go by it. Django leaves this to the
installation, and gunicorn's own setting knows no networks.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address


def set_client_address(request: HttpRequest) -> None:
    """Make ``REMOTE_ADDR`` the sender's address, and forget what a sender who is no proxy says of itself.

    ``TRUSTED_PROXIES`` are the proxies; a socket on this machine is one, too. Each adds whom it heard to the right of
    ``X-Forwarded-For``: the sender is the first from the right that is not a proxy. With ``BEHIND_PROXY`` off, nobody is.
    """
    meta = request.META
    peer = str(meta.get("REMOTE_ADDR", ""))
    if not is_trusted_proxy(peer):
        meta.pop("HTTP_X_FORWARDED_PROTO", None)
        return
    sender = peer
    for text in reversed(str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")):
        address = _read(text)
        if address is None:
            break  # what stands further left was said by somebody we cannot name
        sender = str(address)
        if not _is_proxy(sender):
            break
    meta["REMOTE_ADDR"] = sender


def network_of(address: str) -> str | None:
    """The address; of IPv6 its first 64 bits, which belong to one household or server. None for what is none."""
    parsed = _read(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False).network_address)
    return None if parsed is None else str(parsed)


def limited_by(address: str) -> str:
    """What one sender is counted by: an IPv4 address, the network of an IPv6 address, of which anybody has 2**64."""
    return network_of(address) or address


def is_trusted_proxy(address: str) -> bool:
    """Whether what the other end of a connection says of others is believed: of ``BEHIND_PROXY`` and its address."""
    return bool(settings.BEHIND_PROXY) and _is_proxy(address)


def _is_proxy(address: str) -> bool:
    if address in ("", "localhost"):
        return True  # a Unix socket has none, and waitress calls it so
    parsed = _read(address)
    return parsed is not None and any(
        parsed in network for network in _networks(tuple(settings.TRUSTED_PROXIES))
    )


@lru_cache(maxsize=4)
def _networks(texts: tuple[str, ...]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(text, strict=False) for text in texts]


def _read(text: str) -> Address | None:
    """An address, perhaps in brackets or with a port, as some proxies write it."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
