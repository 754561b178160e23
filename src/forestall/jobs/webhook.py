"""A webhook: where approval messages are sent, which addresses are allowed, how messages are
signed.

A message names the job and never contains its payload. Addresses are checked after the name was
resolved and before anything is sent, so that a webhook cannot reach into our own network (CWE-918,
server-side request forgery). Pure; sends nothing.
"""

import hashlib
import hmac
import ipaddress
import re
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

import msgspec

from forestall.errors import InvalidRequestError
from forestall.jobs.registry import NAME
from forestall.limits import WEBHOOK_URL_CHARS_MAX

SIGNATURE_HEADER = "X-Forestall-Signature"
SIGNATURE_SECONDS_MAX = 300  # a receiver refuses older messages, which may be replays
_URL = re.compile(r"[!-~]+")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}")
# Networks whose addresses embed another address (RFC 6052, RFC 3056).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class WebhookInvalidError(InvalidRequestError):
    """The webhook cannot be declared as asked: messages may not go to its URL, or a field is
    wrong."""

    code, http_status = "webhook_invalid", 400


class Reach(StrEnum):
    """Which addresses webhooks may reach, as the operator of the server sets it."""

    OFF = "off"
    PUBLIC = "public"
    PRIVATE = "private"  # public ones, and addresses of private networks
    LOCAL = "local"  # also this machine, there also without TLS; for development


class WebhookEvent(StrEnum):
    """An event of an approval that a webhook may receive."""

    ASKED = "approval.asked"
    APPROVED = "approval.approved"
    REJECTED = "approval.rejected"
    EXPIRED = "approval.expired"
    INVALIDATED = "approval.invalidated"
    CANCELLED = "approval.cancelled"


class Format(StrEnum):
    """The format of a message."""

    JSON = "json"
    SLACK = "slack"


class Webhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A receiver of messages. The URL may be a secret and is never shown.

    The signing secret is derived from `salt` and the server's key, and never stored.
    """

    name: str
    url: str
    salt: str
    events: tuple[WebhookEvent, ...] = tuple(WebhookEvent)
    format: Format = Format.JSON
    link_base: str = ""  # base of links to approvals; empty: messages have no link

    @property
    def host(self) -> str:
        """The host of the URL, which may be shown."""
        return urlsplit(self.url).hostname or ""


class DeliveryMark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The position of a webhook in the log: every earlier record was delivered or given up.

    `delivered` and `dead` count messages.
    """

    name: str
    position: int
    delivered: int = 0
    dead: int = 0
    problem: str = ""  # why the last dead message failed


class DeclaredWebhook(msgspec.Struct, frozen=True):
    """A webhook as declared. `secret` is only set for a new secret, which is shown once."""

    webhook: Webhook
    mark: DeliveryMark
    new: bool
    secret: str = ""


class ApprovalLink(msgspec.Struct, frozen=True, kw_only=True):
    """What the token of a link in a message opens, once. The token itself is not stored."""

    job_id: str
    webhook: str
    expires_at_us: int


def problem_of_webhook(hook: Webhook, reach: Reach) -> str:
    """Why the webhook cannot be declared; empty when it can."""
    if not NAME.fullmatch(hook.name):
        return "`name` is 1 to 128 letters, digits, . _ and -, first a letter or digit"
    if not hook.events:
        return "`events` names nothing to tell"
    problem = problem_of_url(hook.url, reach)
    if problem:
        return f"`url` {problem}"
    if hook.link_base:
        parts = _split(hook.link_base)
        if parts is None or parts.scheme not in ("https", "http") or parts.query or parts.fragment:
            return "`link_base` is the address of this server for people, such as https://host"
    return ""


def problem_of_url(url: str, reach: Reach) -> str:
    """Why messages cannot go to a URL, judged by its text alone; empty when they can."""
    if reach is Reach.OFF:
        return "cannot be used: webhooks are off on this server"
    parts = _split(url)
    if parts is None or parts.hostname is None:
        return f"is an https URL of at most {WEBHOOK_URL_CHARS_MAX} ASCII characters"
    if parts.username is not None or parts.fragment:
        return "holds a user name or a fragment"
    address = _literal_address(parts.hostname)
    if address is None and not _HOST.fullmatch(parts.hostname):
        return "has no host name that can be asked for"
    if parts.scheme != "https" and not (parts.scheme == "http" and reach is Reach.LOCAL):
        return "begins with https://"
    if address is not None:
        return problem_of_address(address, scheme=parts.scheme, reach=reach)
    return ""


def problem_of_address(text: str, *, scheme: str, reach: Reach) -> str:
    """Why messages cannot go to an address; empty when they can."""
    try:
        address = _reached_address(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return "leads to no address"
    if address.is_loopback:
        return "" if reach is Reach.LOCAL else "leads to this machine"
    if scheme != "https":
        return "begins with https:// unless it leads to this machine"
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return "leads to an address that is never told anything"
    if address.is_global and not address.is_reserved:
        return ""
    if address.is_private and not address.is_reserved and reach in (Reach.PRIVATE, Reach.LOCAL):
        return ""
    return "leads into a private network"


def _reached_address(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 address embeds, since that one is reached; else the address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _literal_address(host: str) -> str | None:
    """The canonical text of a host that is an address; None for a name.

    Empty for a number that only some resolvers read as an address: no address is made from it.
    """
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        # Some resolvers read `127.1`, `0x7f000001` and `2130706433` as addresses; a host whose last
        # part is a number is never a name.
        last_part = host.rstrip(".").rpartition(".")[2]
        return "" if re.fullmatch(r"0x[0-9a-fA-F]*|[0-9]+", last_part) else None


def _split(url: str) -> SplitResult | None:
    """The parts of a URL in printable ASCII with a host and no port 0; None for any other text."""
    if len(url) > WEBHOOK_URL_CHARS_MAX or not _URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def signature(secret: str, body: bytes, at_s: int) -> str:
    """The value of the signature header: the time, and HMAC-SHA256 over `<time>.<body>`."""
    signed = b"%d.%s" % (at_s, body)
    return f"t={at_s},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def verify_signature(secret: str, body: bytes, header: str, *, now_s: int) -> bool:
    """Whether a signature header is valid, as a receiver checks it. A header may hold several `v1`
    while a secret is being replaced."""
    pairs = [part.partition("=")[::2] for part in header.split(",")]
    times = [value for name, value in pairs if name == "t"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdecimal():
        return False
    at_s = int(times[0][:16])
    expected = signature(secret, body, at_s).partition("v1=")[2].encode()
    is_signed = any(
        hmac.compare_digest(value.encode("utf-8", "replace"), expected)
        for name, value in pairs
        if name == "v1"
    )
    return is_signed and abs(now_s - at_s) <= SIGNATURE_SECONDS_MAX


def token_hash(token: str) -> str:
    """The stored hash of a token. A token has 256 random bits, so a plain hash cannot be
    searched."""
    return hashlib.sha256(b"forestall.link\0" + token.encode("utf-8", "replace")).hexdigest()
