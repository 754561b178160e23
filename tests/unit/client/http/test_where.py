"""Where a client connects to: origins, proxies of the environment, and who is exempt from them."""

import pytest

from forestall.client.http.origin import HttpOrigin, parse_origin
from forestall.client.http.proxy import (
    NO_PROXIES,
    Proxy,
    ProxySettings,
    proxies_from_environment,
)

PROXY = "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("url", "origin", "authority"),
    [
        ("http://a.test", HttpOrigin("http", "a.test", 80), "a.test"),
        ("https://A.test:443/x?y#z", HttpOrigin("https", "a.test", 443), "a.test"),
        ("https://user:secret@a.test:80", HttpOrigin("https", "a.test", 80), "a.test:80"),
        ("http://[::1]:8081", HttpOrigin("http", "::1", 8081), "[::1]:8081"),
        ("http://a_b.test.", HttpOrigin("http", "a_b.test.", 80), "a_b.test."),
        (
            "http://b\u00fccher.test",
            HttpOrigin("http", "xn--bcher-kva.test", 80),
            "xn--bcher-kva.test",
        ),
    ],
)
def test_an_origin(url: str, origin: HttpOrigin, authority: str) -> None:
    assert parse_origin(url) == origin
    assert origin.authority == authority
    assert str(origin) == f"{origin.scheme}://{authority}"


@pytest.mark.parametrize(
    "url",
    [
        *("", "a.test", "//a.test", "ftp://a.test", "http://", "http://:80", "http:///x"),
        *("http://a.test:port", "http://a.test:0", "http://a.test:65536", "http://a.test:-1"),
        *("http://a test", "http://a.test\r\nX: y", "http://a.test\0", "http://a\tb.test"),
        *("http://[::1", "http://[::1]x", "http://a..test", "http://a,b", "http://a%20b"),
        *(f"http://{'a' * 64}.test", f"http://{'a.' * 200}test", "http://\u00fc..test"),
    ],
)
def test_what_is_no_origin(url: str) -> None:
    with pytest.raises(ValueError):
        parse_origin(url)


def chosen(url: str, no_proxy: str = "", **environment: str) -> Proxy | None:
    variables = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy, **environment}
    return proxies_from_environment(variables).proxy_for(parse_origin(url))


@pytest.mark.parametrize(
    ("url", "no_proxy", "exempt"),
    [
        ("http://a.test", "", False),
        ("http://a.test", "*", True),
        ("http://a.test", "a.test", True),
        ("http://a.test", "A.TEST.", True),
        ("http://x.a.test", "a.test", True),
        ("http://x.a.test", ".a.test", True),
        ("http://a.test", ".a.test", True),
        ("http://x.a.test", "*.a.test", True),
        ("http://xa.test", "a.test", False),
        ("http://a.test.evil", "a.test", False),
        ("http://a.test", "b.test, a.test", True),
        ("http://a.test", "a.test:81", False),
        ("http://a.test:81", "a.test:81", True),
        ("http://a.test", " , .,*.", False),
        ("http://10.1.2.3", "10.0.0.0/8", True),
        ("http://11.1.2.3", "10.0.0.0/8", False),
        ("http://10.1.2.3", "10.1.2.3", True),
        ("http://10.1.2.3", "2.3", False),
        ("http://10.1.2.3", "10.0.0.0/99", False),
        ("http://[fd00::1]", "fd00::/8", True),
        ("http://[fd00::1]:81", "[fd00::1]:81", True),
        ("http://[fd00::1]", "fd00::1", True),
        ("http://localhost:8081", "", True),
        ("http://127.9.9.9", "", True),
        ("http://[::1]:8081", "", True),
        ("http://localhost.test", "", False),
    ],
)
def test_who_is_reached_without_a_proxy(url: str, no_proxy: str, exempt: bool) -> None:
    assert (chosen(url, no_proxy) is None) is exempt


def test_which_variable_names_the_proxy() -> None:
    other = "http://other.test"
    assert chosen("http://a.test") == Proxy("proxy.test", 3128)
    assert chosen("http://a.test", http_proxy=other) == Proxy("other.test", 80)
    assert chosen("https://a.test", http_proxy=other) == Proxy("proxy.test", 3128)
    assert chosen("https://a.test", HTTPS_PROXY="", ALL_PROXY=other) == Proxy("other.test", 80)
    assert chosen("http://a.test", HTTP_PROXY="", HTTPS_PROXY="") is None
    assert chosen("http://a.test", HTTP_PROXY="other.test:81") == Proxy("other.test", 81)
    assert NO_PROXIES.proxy_for(parse_origin("http://a.test")) is None


def test_a_proxy_header_of_a_client_of_ours_is_not_believed() -> None:
    """In a CGI program HTTP_PROXY is what a client sent as `Proxy:`."""
    assert chosen("http://a.test", REQUEST_METHOD="GET") is None


def test_the_password_of_a_proxy_is_decoded_and_not_shown() -> None:
    url = "http://us%65r:p%40ss%3Aword@proxy.test"
    proxy = ProxySettings(url).proxy_for(parse_origin("http://a.test"))
    assert proxy == Proxy("proxy.test", 80, "Basic dXNlcjpwQHNzOndvcmQ=")
