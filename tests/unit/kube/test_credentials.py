"""Credentials: fixed, out of a file, or given by a program."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.credentials import (
    ApiCredential,
    credential_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.exec_plugin import ExecPlugin
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.target import Target

from ..support.clock import FakeClock

API = "client.authentication.k8s.io/v1"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def credential(tmp_path: Path, clock: FakeClock, **user: Any) -> ApiCredential:
    return credential_of(Target("kubeconfig k", {"server": "https://s"}, user), tmp_path, clock)


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({}, ""),
        ({"token": "t"}, "Bearer t"),
        ({"username": "u", "password": "pä:s"}, "Basic " + base64.b64encode("u:pä:s".encode()).decode()),
        ({"password": "p"}, "Basic " + base64.b64encode(b":p").decode()),
        ({"token": "t", "exec": {"command": "/no", "apiVersion": API}}, "Bearer t"),
    ],
)
def test_fixed_ones(tmp_path: Path, clock: FakeClock, user: dict[str, Any], header: str) -> None:
    found = credential(tmp_path, clock, **user)
    assert (found.header(), found.certificate, found.renew()) == (header, None, False)


def test_a_token_with_a_line_break_is_refused_and_not_shown(tmp_path: Path, clock: FakeClock) -> None:
    assert credential(tmp_path, clock, token=" t\n").header() == "Bearer t"
    with pytest.raises(InputError, match="kubeconfig k: the token holds a line break") as caught:
        credential(tmp_path, clock, token="s3cret\nX-Evil: 1")
    assert "s3cret" not in str(caught.value)


def test_a_token_behind_the_word_bearer_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    with pytest.raises(InputError, match="the token begins with the word Bearer") as caught:
        credential(tmp_path, clock, token="Bearer s3cret")
    assert "s3cret" not in str(caught.value)


class TestFiles:
    def test_a_token_instead_of_its_file_is_not_shown(self, tmp_path: Path, clock: FakeClock) -> None:
        token = f"{tmp_path}/eyJhbGciOiJSUzI1NiJ9.{'eyJpc3MiOiJrdWJlcm5l' * 9}.c2lnbmF0dXJl"
        with pytest.raises(ApiError, match="not shown: it looks like the content of a file") as caught:
            credential(tmp_path, clock, tokenFile=token).header()
        assert "eyJ" not in f"{caught.value} {caught.value.details}"

    def test_a_file_is_trimmed_and_wins_over_a_token(self, tmp_path: Path, clock: FakeClock) -> None:
        (tmp_path / "t").write_text(" first\n\n")
        found = credential(tmp_path, clock, tokenFile=str(tmp_path / "t"), token="inline")
        assert found.header() == "Bearer first"

    def test_it_is_read_once_a_minute(self, tmp_path: Path, clock: FakeClock) -> None:
        path = tmp_path / "t"
        path.write_text("first")
        found = credential(tmp_path, clock, tokenFile=str(path))
        assert found.header() == "Bearer first"
        path.write_text("second")
        clock.sleep(59)
        assert found.header() == "Bearer first"
        clock.sleep(1)
        assert found.header() == "Bearer second"

    def test_the_last_good_content_stays(self, tmp_path: Path, clock: FakeClock) -> None:
        path = tmp_path / "t"
        path.write_text("first")
        found = credential(tmp_path, clock, tokenFile=str(path))
        found.header()
        path.unlink()
        clock.sleep(61)
        assert found.header() == "Bearer first"

    def test_without_a_file_the_token_counts(self, tmp_path: Path, clock: FakeClock) -> None:
        found = credential(tmp_path, clock, tokenFile=str(tmp_path / "no"), token="inline")
        assert found.header() == "Bearer inline"

    def test_after_a_refusal_it_is_read_at_once(self, tmp_path: Path, clock: FakeClock) -> None:
        path = tmp_path / "t"
        path.write_text("first")
        found = credential(tmp_path, clock, tokenFile=str(path))
        found.header()
        assert not found.renew()
        path.write_text("second")
        assert found.renew()
        assert found.header() == "Bearer second"

    @pytest.mark.parametrize(
        ("content", "cause"),
        [(None, "No such file or directory"), (b" \n", "it is empty"), (b"\xff\xfe", "it is not text")],
    )
    def test_no_token_is_one_sentence(
        self, tmp_path: Path, clock: FakeClock, content: bytes | None, cause: str
    ) -> None:
        path = tmp_path / "t"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ApiError) as caught:
            credential(tmp_path, clock, tokenFile=str(path)).header()
        assert caught.value.message == f"the kubeconfig's tokenFile {path} gives no token: {cause}"
        assert caught.value.reason == "Credentials"

    def test_two_lines_are_refused_and_not_shown(self, tmp_path: Path, clock: FakeClock) -> None:
        (tmp_path / "t").write_text("s3cret\nother")
        with pytest.raises(InputError, match="it holds a line break") as caught:
            credential(tmp_path, clock, tokenFile=str(tmp_path / "t")).header()
        assert "s3cret" not in str(caught.value)


PRINT = """#!{python}
import json, os, pathlib, sys
with open(__file__ + ".log", "a") as log:
    log.write("x")
{body}
answer = dict(apiVersion="{api}", kind="ExecCredential", status=status)
print(json.dumps(answer))
"""


def plugin(
    tmp_path: Path,
    clock: FakeClock,
    body: str,
    *,
    raw: str = "",
    cluster: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    **entry: Any,
) -> ExecPlugin:
    path = tmp_path / "plugin"
    path.write_text(raw or PRINT.format(python=sys.executable, body=body, api=API))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    user = {"exec": {"command": str(path), "apiVersion": API, **entry}}
    target = Target("k", {"server": "https://s", **(cluster or {})}, user, "", environment or {})
    return ExecPlugin(target, tmp_path, clock, limit=5.0)


def runs(tmp_path: Path) -> int:
    return len((tmp_path / "plugin.log").read_text())


def failure(found: ExecPlugin) -> str:
    with pytest.raises(ApiError) as caught:
        found.header()
    assert caught.value.reason == "Credentials"
    return caught.value.message.partition("' failed: ")[2]


class TestPlugins:
    def test_a_token_is_asked_for_once(self, tmp_path: Path, clock: FakeClock) -> None:
        found = plugin(tmp_path, clock, "status = dict(token='t')")
        assert [found.header(), found.header()] == ["Bearer t", "Bearer t"]
        assert (runs(tmp_path), found.certificate) == (1, None)

    def test_a_user_with_exec_gets_one(self, tmp_path: Path, clock: FakeClock) -> None:
        assert isinstance(credential(tmp_path, clock, exec={"command": "/x", "apiVersion": API}), ExecPlugin)

    def test_after_a_refusal_it_is_asked_again(self, tmp_path: Path, clock: FakeClock) -> None:
        found = plugin(tmp_path, clock, "status = dict(token='t')")
        assert not found.renew()
        found.header()
        assert found.renew()
        found.header()
        assert runs(tmp_path) == 2

    def test_it_is_asked_again_when_its_answer_has_expired(self, tmp_path: Path, clock: FakeClock) -> None:
        clock.time = 1767225600.0 - 10  # 2026-01-01
        body = "status = dict(token='t', expirationTimestamp='2026-01-01T00:00:00Z')"
        found = plugin(tmp_path, clock, body)
        found.header()
        clock.sleep(9)
        found.header()
        assert runs(tmp_path) == 1
        clock.sleep(1)
        found.header()
        assert runs(tmp_path) == 2

    def test_a_certificate_comes_as_private_files(self, tmp_path: Path, clock: FakeClock) -> None:
        body = (
            "number = len(open(__file__ + '.log').read())\n"
            "status = dict(clientCertificateData=f'c{number}', clientKeyData='k')"
        )
        found = plugin(tmp_path, clock, body)
        assert found.header() == ""
        assert found.certificate is not None
        first = found.certificate
        assert [Path(path).read_text() for path in first] == ["c1", "k"]
        assert {stat.S_IMODE(Path(path).stat().st_mode) for path in first} == {0o600}
        found.renew()
        found.header()
        assert found.certificate != first
        assert Path(found.certificate[0]).read_text() == "c2"

    def test_what_it_is_told(self, tmp_path: Path, clock: FakeClock) -> None:
        authority = tmp_path / "ca.crt"
        authority.write_text("CA")
        body = (
            "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
            "status = dict(token=json.dumps([info, sys.argv[1:], os.environ['A'], os.environ.get('B', '')]))"
        )
        found = plugin(
            tmp_path,
            clock,
            body,
            args=["login", "--now"],
            env=[{"name": "A", "value": "1"}],
            environment={"PATH": os.environ["PATH"], "A": "0", "B": "2"},
            cluster={
                "certificate-authority": str(authority),
                "tls-server-name": "t",
                "insecure-skip-tls-verify": True,
                "proxy-url": "http://p",
                "disable-compression": True,
                "extensions": [
                    {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}},
                    {"name": "other", "extension": "o"},
                ],
            },
            provideClusterInfo=True,
        )
        info, words, first, second = json.loads(found.header().removeprefix("Bearer "))
        assert (words, first, second) == (["login", "--now"], "1", "2")
        assert info == {
            "apiVersion": API,
            "kind": "ExecCredential",
            "spec": {
                "interactive": False,
                "cluster": {
                    "server": "https://s",
                    "tls-server-name": "t",
                    "insecure-skip-tls-verify": True,
                    "certificate-authority-data": base64.b64encode(b"CA").decode(),
                    "proxy-url": "http://p",
                    "disable-compression": True,
                    "config": {"audience": "a"},
                },
            },
        }

    def test_without_being_asked_it_is_not_told_the_cluster(self, tmp_path: Path, clock: FakeClock) -> None:
        body = "status = dict(token=os.environ['KUBERNETES_EXEC_INFO'])"
        assert '"spec":{"interactive":false}' in plugin(tmp_path, clock, body).header()

    @pytest.mark.parametrize(
        ("status", "cause"),
        [
            ("{}", "it returned no token and no certificate"),
            ("dict(token='')", "it returned no token and no certificate"),
            ("dict(token=5)", "its answer has fields of the wrong type"),
            ("[]", "its status is not an object"),
            (
                "dict(clientCertificateData='c')",
                "it returned a certificate without a key, or a key without a certificate",
            ),
            (
                "dict(token='t', clientKeyData='c')",
                "it returned a certificate without a key, or a key without a certificate",
            ),
        ],
    )
    def test_answers_without_a_credential(
        self, tmp_path: Path, clock: FakeClock, status: str, cause: str
    ) -> None:
        assert failure(plugin(tmp_path, clock, f"status = {status}")) == cause

    @pytest.mark.parametrize(
        ("script", "cause"),
        [
            ("#!/bin/sh\necho hello\n", "what it prints is not JSON"),
            ("#!/bin/sh\necho '[]'\n", "what it prints is not an ExecCredential"),
            ('#!/bin/sh\necho \'{"kind": "Pod"}\'\n', "what it prints is not an ExecCredential"),
            (
                '#!/bin/sh\necho \'{"kind": "ExecCredential", "apiVersion": "x/v9"}\'\n',
                f"it does not speak {API}",
            ),
            ("#!/bin/sh\necho first >&2; echo no ticket >&2; exit 3\n", "no ticket"),
            ("#!/bin/sh\nexit 3\n", "exit code 3"),
        ],
    )
    def test_what_goes_wrong(self, tmp_path: Path, clock: FakeClock, script: str, cause: str) -> None:
        assert failure(plugin(tmp_path, clock, "", raw=script)) == cause

    def test_a_missing_program_is_told_with_its_hint(self, tmp_path: Path, clock: FakeClock) -> None:
        found = plugin(tmp_path, clock, "", command="/no/such", installHint="Install it.")
        assert failure(found) == "No such file or directory. Install it."
        assert failure(plugin(tmp_path, clock, "", command="/no/such")) == "No such file or directory"

    def test_it_must_end_in_time_with_all_its_children(self, tmp_path: Path, clock: FakeClock) -> None:
        found = plugin(tmp_path, clock, "", raw="#!/bin/sh\nsleep 60 & echo $! > $0.pid\nwait\n")
        found._limit = 1.0
        begin = time.monotonic()
        assert failure(found) == "it did not end within 1 s"
        assert time.monotonic() - begin < 30
        child = int((tmp_path / "plugin.pid").read_text())
        assert not alive(child)

    def test_a_token_that_no_header_can_hold_is_not_shown(self, tmp_path: Path, clock: FakeClock) -> None:
        with pytest.raises(InputError, match="its token holds a line break") as caught:
            plugin(tmp_path, clock, "status = dict(token='s3cret\\nX-Evil: 1')").header()
        assert "s3cret" not in str(caught.value)


def alive(pid: int) -> bool:
    for _unused in range(50):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except FileNotFoundError:
            return False
        time.sleep(0.02)
    return True


class TestAuthProviders:
    def test_a_token_of_the_kubeconfig_is_used(self, tmp_path: Path, clock: FakeClock) -> None:
        later = base64.urlsafe_b64encode(json.dumps({"exp": 9999999999}).encode()).decode().rstrip("=")
        config = {"id-token": f"e30.{later}.x", "client-id": "c", "idp-issuer-url": "https://i"}
        found = credential(tmp_path, clock, **{"auth-provider": {"name": "oidc", "config": config}})
        assert found.header() == f"Bearer {config['id-token']}"
        assert found.renew()
        assert not found.renew()

    def test_an_unknown_one_is_named(self, tmp_path: Path, clock: FakeClock) -> None:
        entry = {"name": "azure", "config": {"access-token": "s3cret"}}
        found = credential(tmp_path, clock, **{"auth-provider": entry})
        with pytest.raises(ApiError, match="auth-provider 'azure' failed: ") as caught:
            found.header()
        assert "s3cret" not in str(caught.value)

    def test_without_its_package_the_package_is_named(
        self, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "kubernetes.client", None)
        found = credential(tmp_path, clock, **{"auth-provider": {"name": "oidc"}})
        with pytest.raises(ApiError, match="'oidc' failed: it needs the Python package 'kubernetes'"):
            found.header()
