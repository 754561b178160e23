"""The proxy for a request, from the environment or an argument.

A loopback address is never reached through a proxy. Only plain HTTP proxies are supported; another
kind is refused and never ignored, because ignoring it would connect around the proxy.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from forestall.client.http.origin import HttpOrigin, parse_origin
from forestall.errors import InvalidRequestError


class Proxy(NamedTuple):
    """One HTTP proxy."""

    host: str
    port: int
    authorization: str = ""  # value of Proxy-Authorization; a secret


class ProxySettings(NamedTuple):
    """Proxy URLs by scheme, and the hosts that are reached without a proxy."""

    http: str = ""
    https: str = ""
    exempt: tuple[str, ...] = ()  # entries of NO_PROXY

    def proxy_for(self, origin: HttpOrigin) -> Proxy | None:
        """The proxy for an origin; None when it is reached directly. Raises InvalidRequestError."""
        url = self.https if origin.scheme == "https" else self.http
        if not url or _is_exempt(origin, self.exempt):
            return None
        return _parse_proxy(url)


NO_PROXIES = ProxySettings()


def proxies_from_environment(environ: Mapping[str, str]) -> ProxySettings:
    """HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in capitals or not; small letters win.

    HTTP_PROXY in capitals counts for nothing in a CGI program, where a client's `Proxy` header
    sets it.
    """

    def named(name: str) -> str:
        return environ.get(name) or environ.get(name.upper(), "")

    everything = named("all_proxy")
    plain = environ.get("http_proxy", "") if "REQUEST_METHOD" in environ else named("http_proxy")
    exempt = tuple(part.strip() for part in named("no_proxy").split(",") if part.strip())
    return ProxySettings(plain or everything, named("https_proxy") or everything, exempt)


def _parse_proxy(url: str) -> Proxy:
    # The URL may hold a password, so that no message shows any of it.
    wrong = InvalidRequestError(
        "the proxy's address cannot be used; write http://host:port (HTTP_PROXY, HTTPS_PROXY)"
    )
    text = url if "://" in url else f"http://{url}"
    try:
        origin, parts = parse_origin(text), urlsplit(text)
    except ValueError:
        raise wrong from None
    if origin.scheme != "http":
        raise wrong
    authorization = ""
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        if ":" in user:
            raise wrong
        import base64

        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        authorization = f"Basic {encoded}"
    return Proxy(origin.host, origin.port, authorization)


def _is_exempt(origin: HttpOrigin, entries: tuple[str, ...]) -> bool:
    import ipaddress

    host = origin.host.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        address = None
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    for entry in entries:
        if entry == "*":
            return True
        if address is not None and "/" in entry:
            try:
                if address in ipaddress.ip_network(entry, strict=False):
                    return True
            except ValueError:
                continue  # not a network: the entry exempts nothing
        name, port = _name_and_port(entry.lower())
        if port and port != str(origin.port):
            continue
        name = name.removeprefix("*").strip(".")
        if name and (host == name or (address is None and host.endswith(f".{name}"))):
            return True
    return False


def _name_and_port(entry: str) -> tuple[str, str]:
    """Host and port of an entry of NO_PROXY; the port is empty when the entry has none."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""
