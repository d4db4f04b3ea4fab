"""Which proxy leads to a server: Go's rules."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.proxies import (
    credentials_in,
    environment_proxy,
    is_excluded,
    login_secrets,
    proxy_scheme,
    without_login,
)


@pytest.mark.parametrize(
    ("server", "environment", "expected"),
    [
        ("https://api", {}, ""),
        ("https://api", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://api", {"https_proxy": "http://p:1"}, "http://p:1"),
        ("https://api", {"HTTPS_PROXY": "p:1"}, "http://p:1"),
        ("https://api", {"HTTPS_PROXY": "socks5://p:1"}, "socks5://p:1"),
        ("https://api", {"HTTP_PROXY": "http://p:1"}, ""),
        ("http://api", {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://q"}, "http://p:1"),
        ("https://api", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api"}, ""),
        ("https://api", {"HTTPS_PROXY": "http://p:1", "no_proxy": "api"}, ""),
        ("https://api", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other", "no_proxy": "api"}, "http://p:1"),
        ("https://localhost:6443", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://127.0.0.9", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://[::1]:6443", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://10.0.0.1", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
    ],
)
def test_the_environments_proxy(server: str, environment: dict[str, str], expected: str) -> None:
    assert environment_proxy(server, environment) == expected


@pytest.mark.parametrize(
    ("server", "no_proxy", "expected"),
    [
        ("https://api.example.com", "", False),
        ("https://api.example.com", "*", True),
        ("https://api.example.com", "other, api.example.com", True),
        ("https://API.example.com", "api.EXAMPLE.com", True),
        ("https://api.example.com.", "api.example.com", False),
        ("https://api.example.com", "example.com", True),
        ("https://api.example.com", "ple.com", False),
        ("https://example.com", "example.com", True),
        ("https://api.example.com", ".example.com", True),
        ("https://example.com", ".example.com", False),
        ("https://api.example.com", "*.example.com", True),
        ("https://api.example.com", "example.com:443", True),
        ("https://api.example.com", "example.com:6443", False),
        ("https://api.example.com:6443", "example.com:6443", True),
        ("http://api.example.com", "example.com:80", True),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://api.example.com", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.0.0.0/99", False),
        ("https://10.1.2.3", "10.1.2.3", True),
        ("https://10.1.2.3", "2.3", False),
        ("https://10.1.2.3:6443", "10.1.2.3:6443", True),
        ("https://[fd00::1]", "fd00::1", True),
        ("https://[fd00::1]:6443", "[fd00:0::1]:6443", True),
        ("https://[fd00::1]:6443", "[fd00::1]:443", False),
        ("https://[fd00::1]", "fd00::/8", True),
    ],
)
def test_what_no_proxy_excludes(server: str, no_proxy: str, expected: bool) -> None:
    assert is_excluded(server, no_proxy) is expected


def test_the_login_of_a_proxy() -> None:
    assert credentials_in("http://u:p%40@proxy") == ("u", "p@")
    assert credentials_in("http://u@proxy") == ("u", "")
    assert credentials_in("http://proxy") is None


NAME, FOUR, SIX = "https://api.example.invalid:6443", "https://192.0.2.7:6443", "https://[2001:db8::7]:6443"
UMLAUT, PUNY = "https://bücher.invalid:6443", "https://xn--bcher-kva.invalid:6443"
# What kubectl 1.36 does with HTTPS_PROXY set: tried with a proxy that notes who comes.
DIRECT = [
    *(
        (NAME, entry)
        for entry in ("api.example.invalid", ".example.invalid", "example.invalid", "*.example.invalid")
    ),
    *(
        (NAME, entry)
        for entry in ("*", "invalid", "API.EXAMPLE.INVALID", "api.example.invalid:6443", " invalid ")
    ),
    *((NAME, entry) for entry in ("a,api.example.invalid", "*.invalid:6443", ".example.invalid:6443")),
    *(
        (FOUR, entry)
        for entry in ("192.0.2.7", "192.0.2.0/24", "192.0.2.7:6443", "0.0.0.0/0", "::ffff:192.0.2.7")
    ),
    *((SIX, entry) for entry in ("2001:db8::7", "[2001:db8::7]:6443", "2001:db8::/32", "2001:DB8:0::7")),
    (UMLAUT, "xn--bcher-kva.invalid"),
    (UMLAUT, "bücher.invalid"),
    (PUNY, "bücher.invalid"),
    ("https://localhost:1", ""),
    ("https://127.9.9.9:1", ""),
    ("https://[::1]:1", ""),
]
PROXIED = [
    *(
        (NAME, entry)
        for entry in ("api.example.invalid:443", "a api.example.invalid", "pi.example.invalid", ",", "")
    ),
    *((NAME, entry) for entry in ("*example.invalid", "api.*", "api.example.invalid/", NAME)),
    *((FOUR, entry) for entry in ("192.0.2.", "192.0.2.7:1", ".2.7", "192.0.2.*", "192.0.2.0/33", "::/0")),
    *((SIX, entry) for entry in ("[2001:db8::7]", "2001:db8::7:6443")),
    ("https://api.example.invalid.:6443", "example.invalid"),
    ("https://LOCALHOST:1", ""),
    ("https://foo.localhost:1", ""),
    ("https://0.0.0.0:1", ""),
]


@pytest.mark.parametrize(("server", "excluded"), DIRECT)
def test_what_kubectl_reaches_directly(server: str, excluded: str) -> None:
    assert environment_proxy(server, {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": excluded}) == ""


@pytest.mark.parametrize(("server", "excluded"), PROXIED)
def test_what_kubectl_reaches_by_the_proxy(server: str, excluded: str) -> None:
    assert (
        environment_proxy(server, {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": excluded}) == "http://proxy:1"
    )


@pytest.mark.parametrize("proxy", ["http://[::1", "http://p:1", "http://@p:1", "p"])
def test_what_has_no_login(proxy: str) -> None:
    assert credentials_in(proxy) is None


def test_names_beyond_ascii_are_compared_as_they_are_asked_for() -> None:
    assert is_excluded("https://b\u00fccher.example", "xn--bcher-kva.example")
    assert is_excluded("https://xn--bcher-kva.example", "b\u00fccher.example")
    endless = "\u00fc" * 70  # no name that IDNA could hold stays as it is
    assert is_excluded(f"https://{endless}.example", f"{endless}.example")
    assert not is_excluded(f"https://{endless}.example", "other.example")


def test_what_may_be_quoted_of_a_login() -> None:
    """As it is written, as it is meant, and as a header carries it (printf 'u:p@ss' | base64)."""
    assert login_secrets("http://u:p%40ss@proxy:3128") >= {
        "p%40ss",
        "p@ss",
        "u:p@ss",
        "dTpwQHNz",
        "Basic dTpwQHNz",
    }
    assert not any(text in ("u", "proxy", "") for text in login_secrets("http://u:p%40ss@proxy:3128"))
    assert login_secrets("http://proxy:3128") == login_secrets("") == set()


@pytest.mark.parametrize(
    ("proxy", "scheme"),
    [
        ("http://p", "http"),
        ("HTTPS://p:1", "https"),
        ("socks5://u:x@p:65535", "socks5"),
        ("socks5h://[::1]:1080/", "socks5"),
    ],
)
def test_the_kind_of_a_proxy(proxy: str, scheme: str) -> None:
    assert proxy_scheme(proxy) == scheme


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("http://p:0", "its URL cannot be used"),
        ("http://p:65536", "its URL cannot be used"),
        ("http://p:x", "its URL cannot be used"),
        ("http://:80", "its URL cannot be used"),
        ("http://", "its URL cannot be used"),
        ("http://p q", "its URL cannot be used"),
        ("http://p\u200b", "its URL cannot be used"),
        ("ftp://p", "a proxy of the kind 'ftp' is not known"),
        ("//p", "a proxy of the kind '' is not known"),
    ],
)
def test_what_is_no_proxy(proxy: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        proxy_scheme(proxy)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://u:x@p:1/a@b", "http://p:1/a@b"),
        ("http://u:x@y@p", "http://p"),
        ("http://u@p/", "http://p/"),
        ("http://p:1", "http://p:1"),
    ],
)
def test_a_url_without_its_login(url: str, shown: str) -> None:
    assert without_login(url) == shown
