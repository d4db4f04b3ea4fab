"""Which Secrets a server of a Gateway presents."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.served import presented


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
