"""Where a webhook may lead (SSRF), and what its signature proves."""

import pytest

from forestall.jobs.webhook import (
    Reach,
    Webhook,
    problem_of_address,
    problem_of_url,
    problem_of_webhook,
    signature,
    verify_signature,
)

OFF, PUBLIC, PRIVATE, LOCAL = Reach.OFF, Reach.PUBLIC, Reach.PRIVATE, Reach.LOCAL
NEVER = (
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "240.0.0.1",
    "::ffff:169.254.169.254",
    "2002:a9fe:a9fe::1",
    "64:ff9b::a9fe:a9fe",
    "nonsense",
    "",
)
LOOPBACKS = ("127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1")
PRIVATES = ("10.0.0.1", "172.16.0.1", "192.168.1.1", "fd00::1", "::ffff:10.0.0.1", "2002:a00:1::1")
PUBLICS = ("93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e")


@pytest.mark.parametrize("reach", [PUBLIC, PRIVATE, LOCAL])
@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_told(address: str, reach: Reach) -> None:
    """The cloud's metadata service above all, however it is written."""
    assert problem_of_address(address, scheme="https", reach=reach)


@pytest.mark.parametrize("address", LOOPBACKS)
def test_this_machine_only_by_setting(address: str) -> None:
    assert problem_of_address(address, scheme="https", reach=PUBLIC)
    assert problem_of_address(address, scheme="https", reach=PRIVATE)
    assert not problem_of_address(address, scheme="http", reach=LOCAL)


@pytest.mark.parametrize("address", PRIVATES)
def test_private_networks_only_by_setting_and_only_with_tls(address: str) -> None:
    assert problem_of_address(address, scheme="https", reach=PUBLIC)
    assert not problem_of_address(address, scheme="https", reach=PRIVATE)
    assert problem_of_address(address, scheme="http", reach=LOCAL)


@pytest.mark.parametrize("address", PUBLICS)
def test_public_addresses_with_tls(address: str) -> None:
    assert not problem_of_address(address, scheme="https", reach=PUBLIC)
    assert problem_of_address(address, scheme="http", reach=LOCAL)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://",
        "https:///x",
        "https://user:word@example.com/",
        "https://example.com/#x",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://example.com/\r\nX-Evil: 1",
        "https://exämple.com/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.0.0.1./",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://example.com/" + "x" * 2_048,
        "",
    ],
)
def test_what_is_refused_by_its_text(url: str) -> None:
    assert problem_of_url(url, PUBLIC)


def test_what_is_taken() -> None:
    for url in (
        "https://hooks.example.com/a/b?c=d",
        "https://example.com:8443",
        "https://1.1.1.1/",
    ):
        assert not problem_of_url(url, PUBLIC)
        assert problem_of_url(url, OFF)
    assert not problem_of_url("http://localhost:9000/x", LOCAL)
    assert problem_of_url("http://localhost:9000/x", PRIVATE)
    assert not problem_of_webhook(Webhook(name="a", url="https://a.example", salt=""), PUBLIC)
    for link in ("javascript:alert(1)", "https://a/?x", "//a", "https://a b"):
        hook = Webhook(name="a", url="https://a.example", salt="", link_base=link)
        assert problem_of_webhook(hook, PUBLIC)


def test_a_signature_proves_body_time_and_secret() -> None:
    body, secret = b'{"a":1}', "whsec_x"
    header = signature(secret, body, 1_000)
    assert verify_signature(secret, body, header, now_s=1_100)
    assert verify_signature(secret, body, header + ",v1=00", now_s=1_100)
    assert not verify_signature(secret, body + b" ", header, now_s=1_100)
    assert not verify_signature("whsec_y", body, header, now_s=1_100)
    assert not verify_signature(secret, body, header, now_s=1_301)
    assert not verify_signature(secret, body, header.replace("t=1000", "t=1001"), now_s=1_100)
    for broken in ("", "v1=00", "t=1000", "t=x,v1=00", "t=1,t=2,v1=0", "t=1000,v1=é"):
        assert not verify_signature(secret, body, broken, now_s=1_000)


def test_a_known_signature() -> None:
    """For whoever writes a receiver: the same in `openssl dgst -sha256 -hmac whsec_x`."""
    import hashlib
    import hmac

    known = hmac.new(b"whsec_x", b"1000.{}", hashlib.sha256).hexdigest()
    assert signature("whsec_x", b"{}", 1_000) == f"t=1000,v1={known}"
