"""Playbook trust on the finished mesh: its dates are openssl's, and its page is what people see."""

from __future__ import annotations

import base64
import datetime
import json
import re
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from ...unit.support import certificates as made
from ..browser import opened
from ..finished_mesh import KUBECTL
from ..site.runs import Run, playbook


@pytest.fixture(scope="module")
def kubectl(kubeconfig: str):
    def run(*arguments: str, text: str = "") -> str:
        return subprocess.run(
            [KUBECTL, "--kubeconfig", kubeconfig, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    return run


def play(**variables: str) -> Run:
    """The playbook as the lab's operator runs it."""
    return playbook("playbooks/trust.yml", extra=variables, timeout=180)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all four reports of one run."""
    directory = tmp_path_factory.mktemp("trust")
    paths = ",".join(str(directory / f"trust{ending}") for ending in (".json", ".xml", ".prom", ".html"))
    done = play(trust_report_path=paths, trust_fail_on="fail,due,cannot tell")
    assert done.code == 0, done.output[-3000:]
    assert re.search(r"changed=0 .*failed=0", done.output)
    return directory


def entries(directory: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((directory / "trust.json").read_text())["entries"]
    return found


def test_everything_was_looked_at_and_is_well(reports: Path) -> None:
    found = entries(reports)
    assert {entry["verdict"] for entry in found} == {"pass"}
    assert {entry["kind"] for entry in found} >= {
        "gateway", "gateway CA", "mesh CA", "mesh root", "istiod", "webhook", "workload", "connection",
    }  # fmt: skip
    assert sum(entry["kind"] == "workload" for entry in found) >= 9


def ends(pem: bytes) -> list[str]:
    """The end of each certificate in PEM text, by openssl."""
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.DOTALL)
    found = []
    for block in blocks:
        shown = subprocess.run(
            ["openssl", "x509", "-noout", "-enddate"], input=block, capture_output=True, check=True
        ).stdout.decode()
        end = datetime.datetime.strptime(shown.strip().removeprefix("notAfter="), "%b %d %H:%M:%S %Y %Z")
        found.append(end.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return found


def test_its_dates_are_openssl_s(reports: Path, kubectl) -> None:
    found = [(entry["where"], entry["not_after"]) for entry in entries(reports) if "not_after" in entry]
    plugged = "secret/cacerts" in kubectl("get", "secrets", "-n", "istio-system", "-o", "name").split()
    signer = "cacerts" if plugged else "istio-ca-secret"  # after a rotation of the mesh's CA, and before one
    compared = 0
    for where, key in (
        ("Secret istio-system/api-example-com", "tls.crt"),
        ("Secret servicemesh-system/servicemesh-ca", "tls.crt"),
        (f"Secret istio-system/{signer}", "ca-cert.pem"),
        ("ConfigMap istio-system/istio-ca-root-cert", "root-cert.pem"),
    ):
        kind, _space, place = where.partition(" ")
        namespace, _slash, name = place.partition("/")
        data = json.loads(kubectl("get", kind, name, "-n", namespace, "-o", "json"))["data"][key]
        pem = base64.b64decode(data) if kind == "Secret" else data.encode()
        told = [end for one, end in found if one == where]
        assert set(ends(pem)) <= set(told), where
        compared += 1
    assert compared == 4


def test_the_proxies_dates_are_what_they_hold(reports: Path, kubectl) -> None:
    names = kubectl("get", "pods", "-n", "ecommerce", "-l", "app=frontend", "-o", "name").split()
    asked = ("pilot-agent", "request", "GET", "certs")
    held = [
        json.loads(kubectl("exec", name, "-n", "ecommerce", "-c", "istio-proxy", "--", *asked))
        for name in names
    ]
    dates = {
        chain["expiration_time"]
        for answer in held
        for context in answer["certificates"]
        for chain in context["cert_chain"]
    }
    told = {entry["not_after"] for entry in entries(reports) if "/frontend-" in entry["where"]}
    assert told
    assert told <= dates


def test_the_page_in_a_browser(reports: Path) -> None:
    file = reports / "trust.html"
    assert not re.search(r"""(src|href)=["']?https?:""", file.read_text())
    page = opened(file)
    assert page.console == []
    assert page.title.endswith("pass")
    rows = len(entries(reports))
    assert page.dom.count("<tr") == rows + 1
    assert page.dom.count("<rect") == min(rows, 60)
    by_hand = """
      const field = document.getElementById('filter');
      field.value = 'istiod pass'; field.dispatchEvent(new Event('input'));
      const shown = [...document.querySelectorAll('#entries tbody tr')].filter(row => !row.hidden);
      document.title = shown.length + ' of wide ' + (document.documentElement.scrollWidth <= innerWidth);
    """
    wanted = [entry for entry in entries(reports) if "istiod" in json.dumps(entry).lower()]
    used = opened(file, by_hand)
    assert (used.console, used.title) == ([], f"{len(wanted)} of wide true")


def test_a_planted_expiry_is_the_headline(kubectl, tmp_path: Path) -> None:
    """A Gateway of its own names a pair that ended: found, told first, and the play fails."""
    name = f"trust-{uuid.uuid4().hex[:6]}"
    host, own = f"{name}.example.org", made.ec_key()
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    ended = made.certificate(name, own, hosts=(host,), begin=begin, end=begin + 31 * made.DAY)
    key, certificate = tmp_path / "key.pem", tmp_path / "crt.pem"
    key.write_bytes(made.key_pem(own))
    certificate.write_bytes(made.pem(ended))
    gateway = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "istio-system"},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [
                {
                    "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                    "hosts": [host],
                    "tls": {"mode": "SIMPLE", "credentialName": name},
                }
            ],
        },
    }
    try:
        kubectl(
            "create", "secret", "tls", name, "-n", "istio-system", f"--cert={certificate}", f"--key={key}"
        )
        kubectl("apply", "-f", "-", text=json.dumps(gateway))
        done = play()
    finally:
        kubectl("delete", "gateways.networking.istio.io", name, "-n", "istio-system", "--ignore-not-found")
        kubectl("delete", "secret", name, "-n", "istio-system", "--ignore-not-found")
    assert done.code == 2, done.output[-3000:]
    assert f"fail: Secret istio-system/{name}: leaf ended on 2026-02-01T00:00:00Z" in done.output
    assert re.search(r"changed=0 .*failed=1", done.output)
