"""Which proxy leads to a server: Go's rules."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.proxies import (
    credentials_in,
    environment_proxy,
    is_excluded,
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
        ("https://API.example.com.", "api.EXAMPLE.com", True),
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
