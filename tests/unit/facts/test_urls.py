"""Hard cases for the hosts a text names: one table by theme, then hostile and random texts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.facts.hosts import HostKind
from forestall.facts.urls import FACTS_MAX, TEXT_BYTES_MAX, UrlFact, urls_in

LETTERS = {
    "+": HostKind.PUBLIC,
    "p": HostKind.PRIVATE,
    "l": HostKind.LOOPBACK,
    "k": HostKind.LINK_LOCAL,
    "m": HostKind.METADATA,
    "?": HostKind.UNKNOWN,
}


def hosts(text: str) -> set[tuple[str, HostKind]]:
    return {(fact.host, fact.kind) for fact in urls_in(text)}


# Each wanted host is written with the letter of its kind; "..." allows others beside them.
CASES: dict[str, list[tuple[str, str]]] = {
    "plain": [
        ("http://example.com/", "+example.com"),
        ("https://Example.COM.:8443/x?y#z", "+example.com"),
        ("example.com", "+example.com"),
        ("example.com:8080/x", "+example.com"),
        ("//example.com/x", "+example.com"),
        ("ws://example.com", "+example.com"),
        ("see http://a.com and https://b.org/x, then c.net.", "+a.com +b.org +c.net"),
        ('{"url": "http://a.com", "next": "http://b.com"}', "+a.com +b.com"),
        ("[link](http://a.com/x)", "+a.com"),
        ("<http://a.com>;http://b.com", "+a.com +b.com"),
        ("http://a.com\nhttp://b.com", "+a.com +b.com ..."),
        ("curl evil.com -o /tmp/x", "+evil.com"),
        ("git@github.com:org/repo.git", "+github.com"),
        ("ssh://git@h.com/x", "+h.com"),
        ("postgres://u:p@db.example.com:5432/x", "+db.example.com"),
        ("http://user:pass@host.com/", "+host.com"),
        ("http://a_b.example.com", "+a_b.example.com"),
        ("http://b\u00fccher.de/", "+xn--bcher-kva.de"),
    ],
    "inside": [
        ("http://localhost:3000", "llocalhost"),
        ("LOCALHOST", "llocalhost"),
        ("http://x.localhost/", "lx.localhost"),
        ("http://127.0.0.1", "l127.0.0.1"),
        ("http://0.0.0.0:80", "l0.0.0.0"),
        ("http://[::1]/", "l::1"),
        ("http://[::]/", "l::"),
        ("http://10.1.2.3", "p10.1.2.3"),
        ("http://192.168.0.1:8080", "p192.168.0.1"),
        ("100.64.1.1:80", "p100.64.1.1"),
        ("http://[fd00::1]/", "pfd00::1"),
        ("http://intranet/", "pintranet"),
        ("http://db.svc.cluster.local:5432", "pdb.svc.cluster.local"),
        ("http://169.254.1.1/", "k169.254.1.1"),
        ("http://[fe80::1%25eth0]/", "kfe80::1"),
        ("http://169.254.169.254/latest/meta-data", "m169.254.169.254"),
        ("http://[fd00:ec2::254]/", "mfd00:ec2::254"),
        ("http://metadata.google.internal./x", "mmetadata.google.internal"),
        ("http://100.100.100.200/", "m100.100.100.200"),
        ("http://METADATA/x", "mmetadata"),
    ],
    "numbers": [
        ("http://2130706433/", "l127.0.0.1"),
        ("http://0x7f000001/", "l127.0.0.1"),
        ("http://0x7f.1/", "l127.0.0.1"),
        ("http://127.1", "l127.0.0.1"),
        ("http://127.0.1", "l127.0.0.1"),
        ("http://0177.0.0.1", "l127.0.0.1 +177.0.0.1 ?"),
        ("http://017700000001/", "l127.0.0.1 ? ..."),
        ("http://2852039166/", "m169.254.169.254"),
        ("http://0xA9.0xFE.0xA9.0xFE/", "m169.254.169.254"),
        ("http://[::ffff:127.0.0.1]/", "l127.0.0.1"),
        ("http://[::ffff:a9fe:a9fe]/", "m169.254.169.254"),
        ("http://[::127.0.0.1]/", "l127.0.0.1 ..."),
        ("http://[64:ff9b::7f00:1]/", "l127.0.0.1 ..."),
        ("http://[2002:7f00:1::]/", "l127.0.0.1 ..."),
        ("http://\u2460\u2461\u2466.0.0.1/", "l127.0.0.1"),
        ("http://127\u30020\u30020\u30021/", "l127.0.0.1"),
        ("http://%31%32%37.0.0.1", "l127.0.0.1"),
        ("http://256.256.256.256", "?"),
        ("http://4294967296/", "?"),
        ("http://1.2.3.4.5/", "?"),
        ("http://08.1.1.1/", "? +8.1.1.1"),
        ("http://a.com.0x1/", "?"),
    ],
    "readers that differ": [
        ("http://good.com@evil.com/", "+evil.com +good.com"),
        ("http://good.com:80@evil.com/", "+evil.com +good.com"),
        ("http://a@b.com@evil.com/", "+evil.com +b.com ..."),
        ("http://good.com\\@evil.com/", "+evil.com +good.com ..."),
        ("http://evil.com#@good.com/", "+evil.com +good.com ..."),
        ("http://evil.com?@good.com/", "+evil.com +good.com ..."),
        ("http://good.com%2f@evil.com/", "+evil.com +good.com ..."),
        ("http://good.com%00@evil.com/", "+evil.com ? ..."),
        ("http:evil.com", "+evil.com"),
        ("https:/evil.com", "+evil.com"),
        ("http:///evil.com", "+evil.com"),
        ("http:\\\\evil.com\\x", "+evil.com ..."),
        ("http:\\/\\/evil.com", "+evil.com"),
        ("\\\\evil.com\\x", "+evil.com ..."),
        ("hTTp://eViL.com", "+evil.com"),
        ("http://ev\til.com/", "+evil.com ..."),
        ("http://ev\nil.com", "+evil.com ..."),
        ("ht\ntp://evil.com", "+evil.com ..."),
        ("http://evil\u3002com/", "+evil.com"),
        ("http://\uff45vil.com/", "+evil.com"),
        ("http://ev\u200bil.com/", "+evil.com ?"),
        ("http://ev\u00adil.com/", "+evil.com ?"),
        ("\uff48\uff54\uff54\uff50\uff1a\uff0f\uff0fevil.com", "+evil.com ..."),
        ("http://evil%2ecom/", "+evil.com"),
        ("http://evil%252ecom/", "+evil.com ? ..."),
        ("http://good.com\uff0fevil.com", "? +good.com"),
        ("http://good.com\u2100evil.com", "? ..."),
        ("http://stra\u00dfe.de", "+strasse.de +xn--strae-oqa.de"),
        ("1http://evil.com", "+evil.com"),
        ("...http://evil.com", "+evil.com"),
        ("http://127.0.0.1.nip.io/", "?127.0.0.1.nip.io"),
        ("http://a.com:80:90/", "? +a.com"),
    ],
    "blanks before the host": [
        ("http://example.com @169.254.169.254/", "+example.com m169.254.169.254"),
        ("http://example.com\t@169.254.169.254/", "+example.com m169.254.169.254"),
        ("http://example.com\n@10.0.0.1/", "+example.com p10.0.0.1"),
        ("http://example.com\u00a0@10.0.0.1/", "+example.com p10.0.0.1 ?"),
        ("http://example.com a b @10.0.0.1:80/x", "+example.com p10.0.0.1"),
        ("http://example.com:80 @10.0.0.1/", "+example.com p10.0.0.1"),
        ("//example.com @10.0.0.1/", "+example.com p10.0.0.1"),
        ("http://1.1.1.1 &@2.2.2.2# @10.0.0.3/", "+1.1.1.1 +2.2.2.2 p10.0.0.3"),
        ("http://example.com" + " " * 2_000 + "@10.0.0.1/", "+example.com ?"),
        ("http://example.com/ @10.0.0.1/", "+example.com"),
        ("http://example.com\uff1b@10.0.0.1/", "+example.com p10.0.0.1 ?"),
        ("http://\u2488example.com/", "+1.example.com ?"),
    ],
    "special ranges": [
        *(
            (f"http://{address}/", f"p{address}")
            for address in (
                "192.88.99.1",
                "192.31.196.1",
                "192.52.193.1",
                "192.175.48.1",
                "192.0.0.9",
                "192.0.2.1",
                "198.18.0.1",
                "198.19.255.255",
                "198.51.100.1",
                "203.0.113.255",
                "224.0.0.1",
                "240.0.0.1",
                "255.255.255.255",
                "172.31.0.1",
            )
        ),
        *(
            (f"http://[{address}]/", f"p{address}")
            for address in (
                "fec0::1",
                "feff::1",
                "fc00::1",
                "ff02::1",
                "100::1",
                "2001:2::1",
                "2001:20::1",
                "2001:db8::1",
                "2620:4f:8000::1",
                "3fff::1",
                "5f00::1",
                "4000::1",
            )
        ),
        ("http://168.63.129.16/", "m168.63.129.16"),
        ("http://192.0.0.192/", "m192.0.0.192"),
        ("http://0.1.2.3/", "l0.1.2.3"),
        ("http://8.8.8.8/", "+8.8.8.8"),
        ("http://[2606:4700::1]/", "+2606:4700::1"),
    ],
    "nested": [
        ("http://good.com/?next=http://evil.com", "+good.com +evil.com"),
        ("http://good.com/?next=http%3A%2F%2Fevil.com", "+good.com +evil.com"),
        ("http://good.com/?next=http%253A%252F%252Fevil.com", "+good.com +evil.com"),
        ("http://good.com/?next=//evil.com", "+good.com +evil.com"),
        ("http://good.com/?next=%2F%2Fevil.com", "+good.com +evil.com"),
        ("http://good.com/?next=/%5Cevil.com", "+good.com +evil.com ..."),
        ("http://good.com/#http://evil.com", "+good.com +evil.com"),
        ("http://good.com/http://169.254.169.254/", "+good.com m169.254.169.254"),
        ("view-source:http://evil.com", "? +evil.com"),
        ("jar:http://evil.com!/x", "? ..."),
        ("blob:https://evil.com/uuid", "? +evil.com"),
    ],
    "not to be trusted": [
        ("", "?"),
        ("nothing here", "?"),
        ("javascript:alert(1)", "?"),
        ("JavaScript:fetch('//evil.com')", "? +evil.com"),
        ("data:text/html;base64,x", "?"),
        ("file:///etc/passwd", "?"),
        ("file://host/share", "? phost"),
        ("gopher://evil.com:70/_x", "+evil.com"),
        ("mailto:a@b.com", "? ..."),
        ("http://", "?"),
        ("http://?x", "?"),
        ("http://a.com:0/", "? +a.com"),
        ("http://a.com:99999/", "? +a.com"),
        ("http://a.com:8a/", "? +a.com"),
        ("http://[::1", "?"),
        ("http://[zz]/", "?"),
        ("http://a..b.com", "?"),
        ("http://-a.com", "?"),
        ("http://a.com../", "?"),
        ("http://xn--evil-.com", "?"),
        ("http://xn--a\u00e9.com", "? ..."),
        ("http://exa mple.com", "pexa ..."),
        ("http://" + "a" * 300 + ".com", "?"),
        ("http://" + "a" * 2_000 + "@evil.com", "?"),
        ("http://%zz.com", "?"),
        ("http://a.com\0.good.com/", "? ..."),
        ("http://\u202emoc.live", "? ..."),
        ("foo:bar", "?"),
    ],
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [case for cases in CASES.values() for case in cases],
    ids=[f"{theme}-{at}" for theme, cases in CASES.items() for at in range(len(cases))],
)
def test_case(text: str, wanted: str) -> None:
    found = hosts(text)
    items = wanted.split()
    expected = {(item[1:], LETTERS[item[0]]) for item in items if item != "..."}
    assert expected <= found, found
    assert "..." in items or expected == found, found


def test_ports_and_schemes() -> None:
    assert urls_in("https://a.com") == (
        UrlFact(host="a.com", scheme="https", port=443, kind=HostKind.PUBLIC),
    )
    assert [fact.port for fact in urls_in("a.com:8080")] == [8080]
    assert [fact.port for fact in urls_in("a.com")] == [0]
    assert [fact.scheme for fact in urls_in("GOPHER://a.com:70/")] == ["gopher"]


def test_too_long_or_too_many() -> None:
    assert hosts("http://a.com/" + "x" * TEXT_BYTES_MAX) == {("", HostKind.UNKNOWN)}
    found = urls_in(" ".join(f"http://h{n}.com" for n in range(500)) + " http://169.254.169.254")
    assert len(found) <= FACTS_MAX
    assert ("", HostKind.UNKNOWN) in {(fact.host, fact.kind) for fact in found}


@pytest.mark.parametrize(
    "piece",
    ["http://", "http:", "//", "@", ":", "%25", "http://a@", "[", "::", "1.", "0x", "\u3002",
     "http://\u00e9", "\u00df", " ", "x@y:", "\\", "?u=http://a", "\u200b", "xn--", "\0", "\ud800"],
)  # fmt: skip
def test_hostile_text_returns(piece: str) -> None:
    for start in ("", "http://"):
        assert urls_in((start + piece * 30_000)[:30_000])


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=300)
def test_any_text_gives_an_answer(text: str) -> None:
    found = urls_in(text)
    assert found
    assert len(set(found)) == len(found) <= FACTS_MAX
    for fact in found:
        assert fact.host or fact.kind is HostKind.UNKNOWN
        assert fact.host == fact.host.lower()
        assert fact.host.isascii()


SOUP = "http https : / // \\ @ # ? & = . : a.com 127.0.0.1 0x7f 1 % %2f %40 [ ] ::1 xn-- é 。 80 \t"


@given(st.lists(st.sampled_from(SOUP.split(" ")), max_size=14))
@settings(deadline=None, max_examples=500)
def test_any_soup_gives_an_answer(tokens: list[str]) -> None:
    assert urls_in("".join(tokens))


FORMS = ["169.254.169.254", "2852039166", "0xa9fea9fe", "0xA9.0xFE.43518", "169.254.43518",
         "[::ffff:169.254.169.254]", "169\u3002254\uff61169\uff0e254", "%31%36%39.254.169.254",
         "metadata.google.internal", "METADATA.GOOGLE.INTERNAL."]  # fmt: skip


@given(
    st.sampled_from(FORMS),
    st.sampled_from(["http://{}/", "http:{}", "//{}/x", "http:\\\\{}", "https:/{}:80/", "u@{}/x",
                     "http://good.com@{}/", "http://good.com/?u=http://{}", "go to http://{} now",
                     "http://good.com/?u=http%3a%2f%2f{}", "x=http://{}#@good.com", "ftp://{}"]),
)  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_no_spelling_hides_the_metadata_service(form: str, place: str) -> None:
    assert HostKind.METADATA in {fact.kind for fact in urls_in(place.format(form))}


@given(st.integers(0, 24), st.sampled_from(["\t", "\n", "\0", "\u200b", "\\", "["]))
@settings(deadline=None)
def test_junk_in_an_inner_address_does_not_make_it_public_alone(place: int, junk: str) -> None:
    text = "http://169.254.169.254/x"
    found = {fact.kind for fact in urls_in(text[:place] + junk + text[place:])}
    assert found != {HostKind.PUBLIC}
