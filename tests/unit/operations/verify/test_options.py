# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of verify, read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.backend import ARGUMENT_SPEC
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.findings import TITLES
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.options import (
    GatewayOptions,
    ProbeOptions,
    VerifyOptions,
)
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from ...support.arguments import validated
from ...support.certificates import certificate, ec_key, key_pem, pem
from .simulated_mesh import RAW


def options(**params: Any) -> VerifyOptions:
    checked = validated(ARGUMENT_SPEC, {"catalogue": RAW, "kubeconfig": "x", **params})
    return VerifyOptions.from_params(checked)


def test_defaults() -> None:
    found = options()
    assert found.catalogue.name == "shop"
    assert (found.namespaces, found.unmeshed_pods) == ((), ())
    assert (found.catalogue.istio_namespace, found.proxy_version, found.report_path) == (
        "istio-system",
        "",
        "",
    )
    assert found.checks == frozenset(TITLES)
    assert (found.unsafe_methods, found.max_proxies) == (False, 2000)
    assert found.probes == ProbeOptions("docker.io/curlimages/curl:8.14.1", (), 60, 180, 5)
    assert found.gateways == GatewayOptions("", None, {}, None)


def test_a_clients_certificate_is_tried_before_anything_else(tmp_path: Path) -> None:
    key = ec_key()
    files = {
        "crt": pem(certificate("client", key)),
        "key": key_pem(key),
        "other": key_pem(ec_key()),
        "text": b"no certificate",
        "locked": key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        ),
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    def given(certificate: str, key: str) -> VerifyOptions:
        paths = {"gateway_client_cert": certificate, "gateway_client_key": key}
        return options(**{name: str(tmp_path / path) for name, path in paths.items() if path})

    client = given("crt", "key").gateways.client
    assert client is not None
    assert (client.certificate, client.key) == (str(tmp_path / "crt"), str(tmp_path / "key"))
    for one, two, where in (("crt", "", "gateway_client_key"), ("", "key", "gateway_client_cert")):
        with pytest.raises(InputError, match=f"{where}.*is required"):
            given(one, two)
    for one, two, why in (
        ("crt", "other", "KEY_VALUES_MISMATCH"),
        ("text", "key", "PEM"),
        ("missing", "key", "No such file or directory"),
        ("crt", "locked", ""),
    ):
        with pytest.raises(InputError, match=rf"gateway_client_cert.*cannot be used: .*{why}") as refused:
            given(one, two)
        assert "PRIVATE" not in str(refused.value)


def test_everything_given() -> None:
    found = options(
        namespaces=["a"],
        unmeshed_pods=["a/*"],
        checks=["mtls"],
        unsafe_methods=True,
        probe_pull_secrets=["s"],
        report_path="r.json",
        gateway_ca="PEM",
        gateway_ca_secret={"namespace": "n", "name": "s"},
        gateway_addresses={"one": "10.0.0.1", "two": ["10.0.0.2", "gw.example.com"], "none": []},
    )
    assert (found.namespaces, found.unmeshed_pods, found.checks) == (("a",), ("a/*",), frozenset({"mtls"}))
    assert (found.unsafe_methods, found.report_path) == (True, "r.json")
    assert found.probes.pull_secrets == ("s",)
    assert found.gateways.ca == "PEM"
    assert found.gateways.ca_secret == ("n", "s")
    assert found.gateways.addresses == {
        "one": ("10.0.0.1",),
        "two": ("10.0.0.2", "gw.example.com"),
        "none": (),
    }


@pytest.mark.parametrize("value", ["", [""], [1], 7, {"a": "b"}, None, ["10.0.0.1", None]])
def test_an_address_is_a_text_or_a_list_of_texts(value: Any) -> None:
    with pytest.raises(InputError, match=r"gateway_addresses\.public.*neither an address nor a list"):
        options(gateway_addresses={"public": value})
