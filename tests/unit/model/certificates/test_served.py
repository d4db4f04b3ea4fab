"""Which Secrets a server of a Gateway presents, and below which names a CA may sign."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.issuing import _within
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.served import presented
from cryptography import x509


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ({"credentialName": "api"}, ("SIMPLE", ["api"])),
        ({"mode": "MUTUAL", "credentialNames": ["api", "rsa", "api"]}, ("MUTUAL", ["api", "rsa"])),
        ({"mode": "SIMPLE", "credentialName": "kubernetes://edge/api"}, ("SIMPLE", [])),
        ({"credentialName": "configmap://api", "credentialNames": ["api"]}, ("SIMPLE", ["api"])),
        ({"mode": "SIMPLE", "credentialName": ""}, ("SIMPLE", [])),
        ({"mode": "PASSTHROUGH", "credentialName": "api"}, ("PASSTHROUGH", [])),
    ],
)
def test_the_secrets_of_a_server(tls: dict[str, Any], expected: tuple[str, list[str]]) -> None:
    assert presented({"tls": tls}) == expected


@pytest.mark.parametrize(
    ("name", "limit", "below"),
    [
        ("a.example.com", "example.com", True),
        ("a.example.com", ".example.com", True),
        ("A.example.com", ".EXAMPLE.com", True),
        ("example.com", ".example.com", True),
        ("aexample.com", ".example.com", False),
        ("a.example.com", "", True),
    ],
)
def test_names_below_a_limit(name: str, limit: str, *, below: bool) -> None:
    assert _within(x509.DNSName(name), x509.DNSName(limit)) is below
