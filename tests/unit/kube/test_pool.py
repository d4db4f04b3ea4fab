"""TLS, key files and proxies, as urllib3 and the websocket library want them."""

from __future__ import annotations

import base64
import socket
import ssl
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import pool
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.pool import (
    Tls,
    _TimedReader,
    open_pool,
    refuse_unusable,
    tls_of,
    websocket_proxy,
    websocket_tls,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.target import Target

from ..support import certificates

DATA = base64.b64encode(b"pem").decode()


def tls(directory: Path, cluster: dict[str, Any], user: dict[str, Any] | None = None, **more: Any) -> Tls:
    return tls_of(Target("kubeconfig k", cluster, user or {}), directory, more.get("certificate"))


def test_paths_stay_as_they_are(tmp_path: Path) -> None:
    cluster = {"certificate-authority": "/ca", "tls-server-name": "t"}
    user = {"client-certificate": "/crt", "client-key": "/key"}
    assert tls(tmp_path, cluster, user) == Tls(True, "/ca", "/crt", "/key", "t")
    assert tls(tmp_path, {"insecure-skip-tls-verify": True}) == Tls(False)
    assert tls(tmp_path, cluster, user, certificate=("/c", "/k")) == Tls(True, "/ca", "/c", "/k", "t")


def test_inline_data_becomes_private_files(tmp_path: Path) -> None:
    found = tls(
        tmp_path,
        {"certificate-authority-data": f"{DATA[:2]}\n{DATA[2:]}\n"},
        {"client-certificate-data": DATA, "client-key-data": DATA},
    )
    paths = [Path(path) for path in (found.authority, found.certificate, found.key)]
    assert len(set(paths)) == 3
    for path in paths:
        assert path.parent == tmp_path
        assert path.read_bytes() == b"pem"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("data", ["s3cret!", "abc"])
def test_what_is_not_base64_is_named_and_not_shown(tmp_path: Path, data: str) -> None:
    with pytest.raises(InputError, match="kubeconfig k: client-key-data is not base64") as caught:
        tls(tmp_path, {}, {"client-key-data": data})
    assert data not in str(caught.value)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """An identity, somebody else's key, an encrypted key, and a file that holds none of it."""
    key, other = certificates.ec_key(), certificates.ec_key()
    contents = {
        "crt": certificates.pem(certificates.certificate("me", key)),
        "key": certificates.key_pem(key),
        "other": certificates.key_pem(other),
        "encrypted": certificates.key_pem(key, b"s3cret"),
        "none": b"s3cret\n",
        "empty": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: str(tmp_path / name) for name in (*contents, "missing")}


CA = "certificate-authority cannot be used: "
PAIR = "client-certificate and client-key cannot be used: "


@pytest.mark.parametrize(
    ("authority", "certificate", "key", "said"),
    [
        ("none", "", "", f"{CA}it holds no certificate"),
        ("empty", "", "", f"{CA}it holds no certificate"),
        ("key", "", "", f"{CA}it holds no certificate"),
        ("missing", "", "", f"{CA}No such file or directory"),
        ("crt", "crt", "other", f"{PAIR}the key is that of another certificate"),
        ("crt", "crt", "encrypted", f"{PAIR}one of the two is not PEM, or the key is encrypted"),
        ("crt", "none", "key", f"{PAIR}one of the two is not PEM, or the key is encrypted"),
        ("crt", "crt", "none", f"{PAIR}one of the two is not PEM, or the key is encrypted"),
        ("crt", "crt", "missing", f"{PAIR}No such file or directory"),
    ],
)
def test_what_no_connection_could_load_is_named(
    files: dict[str, str], authority: str, certificate: str, key: str, said: str
) -> None:
    """The server 'could not be reached: PEM lib'; and at an encrypted key OpenSSL asks at the terminal."""
    unusable = Tls(True, *(files.get(name, "") for name in (authority, certificate, key)))
    with pytest.raises(InputError) as caught:
        refuse_unusable(unusable, "kubeconfig k")
    assert [str(problem) for problem in caught.value.problems] == [f"kubeconfig k: {said} (connection)"]
    assert "s3cret" not in str(caught.value)


def test_what_connections_can_load(files: dict[str, str]) -> None:
    refuse_unusable(Tls(True), "k")
    refuse_unusable(Tls(True, files["crt"], files["crt"], files["key"]), "k")
    refuse_unusable(Tls(False, files["none"]), "k")  # it is not read


def test_pools() -> None:
    options = open_pool(Tls(True), "", 7).connection_pool_kw
    assert (options["cert_reqs"], options["ca_certs"], options["maxsize"]) == (ssl.CERT_REQUIRED, None, 7)
    assert "server_hostname" not in options
    options = open_pool(Tls(False, "/ca", "/crt", "/key", "t"), "", 1).connection_pool_kw
    assert (options["cert_reqs"], options["ca_certs"]) == (ssl.CERT_NONE, "/ca")
    assert (options["cert_file"], options["key_file"], options["server_hostname"]) == ("/crt", "/key", "t")


def test_proxies() -> None:
    plain = open_pool(Tls(True), "http://p:3128", 1)
    assert (plain.proxy.host, plain.proxy.port, plain.proxy_headers) == ("p", 3128, {})
    known = open_pool(Tls(True), "https://ü:p%3Aw@p", 1)
    expected = base64.b64encode("ü:p:w".encode()).decode()
    assert known.proxy_headers == {"proxy-authorization": f"Basic {expected}"}
    with pytest.raises(InputError, match="a proxy of the kind 'ftp' is not known"):
        open_pool(Tls(True), "ftp://p", 1)


def test_a_socks_proxy_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "urllib3.contrib.socks", None)
    with pytest.raises(MeshError, match="a socks proxy needs the Python package 'PySocks'") as caught:
        open_pool(Tls(True), "socks5://p:1080", 1)
    assert caught.value.details == {"missing": "PySocks"}


def test_the_websockets_tls(files: dict[str, str]) -> None:
    assert websocket_tls(Tls(True)).keys() == {"context"}
    found = websocket_tls(Tls(True, files["crt"], files["crt"], files["key"], "t"))
    context = found["context"]
    assert found == {"context": context, "server_hostname": "t"}
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert len(context.get_ca_certs()) <= 1, "this authority, and none of the system's"
    blind = websocket_tls(Tls(False, files["none"]))["context"]
    assert (blind.verify_mode, blind.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        ("", {"http_no_proxy": ["*"]}),
        (
            "http://p",
            {"http_proxy_host": "p", "http_proxy_port": 80, "proxy_type": "http", "http_no_proxy": [""]},
        ),
        (
            "http://u:p%40@p:3128",
            {
                "http_proxy_host": "p",
                "http_proxy_port": 3128,
                "proxy_type": "http",
                "http_no_proxy": [""],
                "http_proxy_auth": ("u", "p@"),
            },
        ),
        (
            "socks5://p",
            {"http_proxy_host": "p", "http_proxy_port": 1080, "proxy_type": "socks5h", "http_no_proxy": [""]},
        ),
    ],
)
def test_the_websockets_proxy(proxy: str, expected: dict[str, Any]) -> None:
    assert websocket_proxy(proxy) == expected


def test_the_websocket_library_would_speak_plain_text_to_an_https_proxy() -> None:
    with pytest.raises(InputError, match="commands in containers cannot go through an https proxy"):
        websocket_proxy("https://p")


@pytest.mark.parametrize(
    "proxy",
    [
        "http://u:s3cret@",
        "http://u:s3cret@p:port",
        "http://u:s3cret@[p",
        "http://u:s3cret@p:99999",
        "u:s3cret@p",
        "http://u:s3cret@p\n",
        "ftp://u:s3cret@p",
        "socks4://u:s3cret@p",
    ],
)
def test_a_proxy_that_cannot_be_used_is_not_shown(proxy: str) -> None:
    for use in (lambda: open_pool(Tls(True), proxy, 1), lambda: websocket_proxy(proxy)):
        with pytest.raises(InputError, match=r"^proxy: ") as caught:
            use()
        assert "s3cret" not in str(caught.value)


def test_connections_without_verification_leave_the_process_its_warnings() -> None:
    import warnings

    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        before = list(warnings.filters)
        manager = open_pool(Tls(False), "", 1)
        assert warnings.filters == before
    quiet = manager.connection_from_url("https://h")
    assert quiet.ConnectionCls("h").is_verified
    assert not open_pool(Tls(True), "", 1).connection_from_url("https://h").ConnectionCls("h").is_verified


def test_what_is_left_of_one_answers_time_is_not_that_of_the_next() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(5.0)
        reader = _TimedReader(near)
        far.sendall(b"ab")
        assert reader.readinto(bytearray(1)) == 1
        assert near.gettimeout() != 5.0
        reader.close()
        assert near.gettimeout() == 5.0


def test_an_answer_without_a_limit_has_none() -> None:
    near, far = socket.socketpair()
    with near, far:
        reader = _TimedReader(near)
        far.sendall(b"ab")
        assert reader.readinto(bytearray(2)) == 2
        assert near.gettimeout() is None


@pytest.mark.parametrize(("passed", "late"), [(4.0, False), (5.0, True), (9.0, True)])
def test_an_answer_whose_time_is_over_is_late_at_that_moment(
    monkeypatch: pytest.MonkeyPatch, passed: float, *, late: bool
) -> None:
    """Nothing left is no time, and not a socket that does not wait."""
    now = [100.0]
    monkeypatch.setattr(pool.time, "monotonic", lambda: now[0])
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(5.0)
        reader = _TimedReader(near)
        far.sendall(b"ab")
        now[0] += passed
        if late:
            with pytest.raises(TimeoutError, match="timed out"):
                reader.readinto(bytearray(1))
        else:
            assert reader.readinto(bytearray(1)) == 1
            assert near.gettimeout() == 1.0


def test_base64_in_lines_is_read_as_go_does(tmp_path: Path) -> None:
    wrapped = "\r\n".join(DATA[index : index + 2] for index in range(0, len(DATA), 2))
    found = tls(tmp_path, {"certificate-authority-data": wrapped})
    assert Path(found.authority).read_text() == "pem"
