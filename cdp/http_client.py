"""A URL and a JSON body → a signed POST to an address on a public network, and its answer.

An address is what an outsider typed, so every name is looked up here, each of its IP addresses must be public,
and the connection goes to the very address that was checked (a second look-up could answer differently).
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Timer
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
TOTAL_SECONDS = 15.0

_NAT64 = IPv6Address("64:ff9b::")


class Forbidden(ValueError):
    """The address may not be called; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` is None when there was no answer; ``problem`` is why it does not count, empty when it does."""

    status: int | None
    problem: str = ""

    @property
    def is_ok(self) -> bool:
        return not self.problem


def check_url(url: str) -> SplitResult:
    """The parts of an address that may be called, judging by its text; raises Forbidden.

    Names are looked up only when something is sent.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise Forbidden("This is not a web address. Write it like https://example.com/hook.") from error
    schemes = {"https", "http"} if settings.CDP_WEBHOOK_ALLOW_LOOPBACK else {"https"}
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise Forbidden("Write an https address, like https://example.com/hook.")
    if parts.username is not None or parts.password is not None:
        raise Forbidden("Leave user name and password out of the address; deliveries are signed instead.")
    if any(ord(char) < 33 or ord(char) == 127 for char in url.strip()):
        raise Forbidden("There is a space or a control character in the address.")
    try:
        address = ip_address(parts.hostname)
    except ValueError:
        if parts.hostname.rstrip(".") == "localhost" and not settings.CDP_WEBHOOK_ALLOW_LOOPBACK:
            raise Forbidden(_private(parts.hostname)) from None
    else:
        check_address(address, parts.hostname)
    return parts


def check_address(address: IPv4Address | IPv6Address, host: str) -> None:
    """Raises Forbidden unless the address belongs to the public internet (loopback too where settings say so)."""
    inner = _embedded(address)
    if settings.CDP_WEBHOOK_ALLOW_LOOPBACK and inner.is_loopback:
        return
    if not inner.is_global or inner.is_multicast or inner.is_reserved or inner.is_unspecified:
        raise Forbidden(_private(host))


def _private(host: str) -> str:
    return f"“{host}” is in a private network. Webhooks go to public addresses only."


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one (mapped, 6to4, Teredo, NAT64): that is where packets end up."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if int(address) >> 32 == int(_NAT64) >> 32:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def look_up(host: str, port: int) -> str:
    """The IP address to connect to. Every address of the name must be allowed, not only the first."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(answer[4][0]) for answer in answers]
    for address in addresses:
        # A scope id (fe80::1%eth0) only ever belongs to a local address.
        check_address(ip_address(address.partition("%")[0]), host)
    return addresses[0]


class _PinnedHTTP(http.client.HTTPConnection):
    """Connects to an IP address that was checked, whatever the name says by now."""

    address = ""

    def connect(self) -> None:
        self.sock = socket.create_connection((self.address, self.port), CONNECT_SECONDS)
        self.sock.settimeout(ANSWER_SECONDS)


class _PinnedHTTPS(_PinnedHTTP):
    """The same with TLS; the certificate must be the name's."""

    default_port = 443

    def connect(self) -> None:
        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def sign(secret: str, at: int, body: bytes) -> str:
    """The ``CDP-Signature`` header: HMAC-SHA-256 over ``<unix time>.<body>``, so that old calls can be refused."""
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


def post(url: str, body: bytes, *, secret: str, headers: dict[str, str]) -> Answer:
    """POST JSON, signed. Never raises for what the other side does; at most ``TOTAL_SECONDS``.

    Only 2xx counts. A redirect is not followed: it could lead anywhere.
    """
    try:
        parts = check_url(url)
        kind = _PinnedHTTPS if parts.scheme == "https" else _PinnedHTTP
        connection = kind(parts.hostname or "", parts.port or kind.default_port)
        connection.address = look_up(connection.host, connection.port)
    except Forbidden as error:
        return Answer(None, str(error))
    except (OSError, UnicodeError):
        return Answer(None, "The name in the address is unknown.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _exchange(connection, target, body, {**headers, **_own_headers(secret, body)})


def _own_headers(secret: str, body: bytes) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "User-Agent": "cdp-webhook/1",
        "CDP-Signature": sign(secret, int(time.time()), body),
    }


def _exchange(connection: _PinnedHTTP, target: str, body: bytes, headers: dict[str, str]) -> Answer:
    # A receiver that drips one byte at a time would never run into the socket's own timeout.
    timer = Timer(TOTAL_SECONDS, _hang_up, [connection])
    timer.daemon = True
    timer.start()
    try:
        connection.request("POST", target, body=body, headers=headers)
        status = connection.getresponse().status
    except ssl.SSLCertVerificationError:
        return Answer(None, "The certificate is not valid for this address.")
    except TimeoutError:
        return Answer(None, f"No answer within {ANSWER_SECONDS:.0f} seconds.")
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, f"The connection failed ({type(error).__name__}).")
    finally:
        timer.cancel()
        connection.close()
    if 200 <= status < 300:
        return Answer(status)
    if 300 <= status < 400:
        return Answer(status, f"Answered {status}; redirects are not followed. Enter the final address.")
    return Answer(status, f"Answered {status}.")


def _hang_up(connection: _PinnedHTTP) -> None:
    """Wakes the thread that waits on the socket."""
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # closed meanwhile, which is what we wanted
