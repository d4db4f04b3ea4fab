# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to one API server: TLS, key files and proxy as urllib3 and the websocket library want them.

A socket's timeout counts from one byte to the next, so a server that drips could be waited for for ever. The
connections here bound the whole answer, status line and headers included.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import http.client
import io
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import InputError, MeshError, Problem
from ..fields import text_at
from ..tls import as_go
from .proxies import credentials_in, proxy_headers, proxy_scheme, without_login
from .target import Target

_PROXY_PORTS = {"http": 80, "https": 443}


@dataclasses.dataclass(frozen=True, slots=True)
class Tls:
    """What secures the connections. Paths may be empty.

    :param server_name: the name in the server's certificate when it is not that of the URL.
    """

    verify: bool
    authority: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""


def tls_of(target: Target, directory: Path, certificate: tuple[str, str] | None) -> Tls:
    """TLS of a target; inline keys are written to ``directory``, which is private.

    :param certificate: paths of a certificate and key that win over the kubeconfig's.
    :raises InputError: inline data is not base64.
    """
    files = certificate or (
        _file(target.user, "client-certificate", directory, target.where),
        _file(target.user, "client-key", directory, target.where),
    )
    authority = _file(target.cluster, "certificate-authority", directory, target.where)
    return Tls(target.verifies, authority, *files, text_at(target.cluster, "tls-server-name"))


def refuse_unusable(tls: Tls, where: str) -> None:
    """Load what the connections will load: of a file that is none, a handshake would only say that it failed.

    :param where: where the files are named. :raises InputError: one cannot be loaded.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    problems = []
    if tls.verify and tls.authority:
        try:
            context.load_verify_locations(tls.authority)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            problems.append(f"certificate-authority cannot be used: {_why(error, 'it holds no certificate')}")
    if tls.certificate:
        try:
            context.load_cert_chain(tls.certificate, tls.key or None, password=_no_password)
        except (OSError, ValueError) as error:
            reason = _why(error, "one of the two is not PEM, or the key is encrypted")
            problems.append(f"client-certificate and client-key cannot be used: {reason}")
    if problems:
        raise InputError([Problem(where, problem, "connection") for problem in problems])


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    return ""


def _why(error: Exception, otherwise: str) -> str:
    reason = getattr(error, "reason", None) or ""
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is that of another certificate"
    plain = not isinstance(error, ssl.SSLError) and getattr(error, "strerror", None)
    return str(plain or otherwise)


def _file(entry: Any, key: str, directory: Path, where: str) -> str:
    data = text_at(entry, f"{key}-data")
    if not data:
        return text_at(entry, key)
    try:
        content = base64.b64decode(data.replace("\r", "").replace("\n", ""), validate=True)  # as Go reads it
    except (binascii.Error, ValueError) as error:
        raise InputError([Problem(where, f"{key}-data is not base64", "kubeconfig")]) from error
    path = directory / key
    path.touch(mode=0o600)
    path.write_bytes(content)
    return str(path)


def open_pool(tls: Tls, proxy: str, threads: int) -> Any:
    """A urllib3 pool manager. :param threads: connections to keep.

    :raises InputError: the proxy's URL cannot be used. :raises MeshError: a Python package is missing.
    """
    try:
        import urllib3
    except ImportError as error:
        message = "the Python package 'kubernetes' is needed where this task runs (pip install kubernetes)"
        raise MeshError(message, missing=error.name or "urllib3") from error
    options: dict[str, Any] = {
        "num_pools": 4,
        "maxsize": threads,
        "cert_reqs": ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE,
        "ca_certs": tls.authority or None,
        "cert_file": tls.certificate or None,
        "key_file": tls.key or None,
        **({"server_hostname": tls.server_name} if tls.server_name else {}),
    }
    return _bounded(_manager(urllib3, proxy, options), quiet=not tls.verify)


def _manager(urllib3: Any, proxy: str, options: dict[str, Any]) -> Any:
    if not proxy:
        return urllib3.PoolManager(**options)
    scheme = proxy_scheme(proxy)
    if scheme == "socks5":
        return _socks_manager(proxy, options)
    try:
        return urllib3.ProxyManager(without_login(proxy), proxy_headers=proxy_headers(proxy), **options)
    except urllib3.exceptions.HTTPError:  # its text quotes the URL
        raise InputError([Problem("proxy", "its URL cannot be used", "proxy")]) from None


def _bounded(manager: Any, *, quiet: bool) -> Any:
    """The manager, its connections with answers that end in time.

    Certificates are judged as kubectl judges them, in a context of each connection's own.

    :param quiet: certificates are not verified, which is the person's own decision: urllib3 would warn once
        per request, and switching its warning off would switch it off for the whole process.
    """
    classes = {}
    for scheme, pool in manager.pool_classes_by_scheme.items():
        own: dict[str, Any] = {"response_class": _Answer}
        if quiet:
            own["is_verified"] = property(lambda _connection: True, lambda _connection, _value: None)
        if scheme == "https":
            own["connect"] = _connecting_as_go(pool.ConnectionCls)
        connection = type("BoundedConnection", (pool.ConnectionCls,), own)
        classes[scheme] = type("BoundedPool", (pool,), {"ConnectionCls": connection})
    manager.pool_classes_by_scheme = classes
    return manager


def _connecting_as_go(kind: Any) -> Callable[[Any], None]:
    """``connect`` of a connection class of urllib3, which loads what the pool was given into the context."""
    from urllib3.util.ssl_ import create_urllib3_context

    def connect(connection: Any) -> None:
        context = as_go(create_urllib3_context(cert_reqs=connection.cert_reqs))
        if not connection.ca_certs:
            context.load_default_certs()
        connection.ssl_context = context
        kind.connect(connection)

    return connect


class _Answer(http.client.HTTPResponse):
    """An answer that has to be there as a whole within the timeout that its socket had at the beginning."""

    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(_Timed(sock), *arguments, **options)  # type: ignore[arg-type]  # it needs makefile only


class _Timed:
    """A socket as far as an answer needs it."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def makefile(self, *_arguments: Any) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock))


class _TimedReader(io.RawIOBase):
    """Reads from a socket until its time is over."""

    def __init__(self, sock: Any) -> None:
        super().__init__()
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._limit = sock.gettimeout()
        self._end = None if self._limit is None else time.monotonic() + self._limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if self._end is not None:
            rest = self._end - time.monotonic()
            if rest <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(rest)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        """The socket lives on in the pool, with the timeout that it had."""
        if not self.closed:
            with contextlib.suppress(OSError):
                self._sock.settimeout(self._limit)
            self._raw.close()
        super().close()


def _socks_manager(proxy: str, options: dict[str, Any]) -> Any:
    try:
        from urllib3.contrib.socks import SOCKSProxyManager
    except ImportError as error:
        message = (
            "a socks proxy needs the Python package 'PySocks' where this task runs (pip install PySocks)"
        )
        raise MeshError(message, missing="PySocks") from error
    user, password = credentials_in(proxy) or (None, None)
    # As in Go: the proxy resolves the names.
    address = without_login(proxy).partition("://")[2]
    return SOCKSProxyManager(f"socks5h://{address}", username=user, password=password, **options)


def websocket_tls(tls: Tls) -> dict[str, Any]:
    """The same for the websocket library. :returns: its ``sslopt``."""
    context = as_go(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.authority:
        context.load_verify_locations(tls.authority)
    else:
        context.load_default_certs()
    if tls.certificate:
        context.load_cert_chain(tls.certificate, tls.key or None, password=_no_password)
    return {"context": context, **({"server_hostname": tls.server_name} if tls.server_name else {})}


def websocket_proxy(proxy: str) -> dict[str, Any]:
    """The proxy, or an explicit "none": the websocket library would read the environment by itself.

    :returns: options of its ``connect``. :raises InputError: it cannot use this proxy.
    """
    if not proxy:
        return {"http_no_proxy": ["*"]}
    scheme = proxy_scheme(proxy)
    parts = urlsplit(proxy)
    login = credentials_in(proxy)
    if scheme == "https":
        message = "commands in containers cannot go through an https proxy: give an http or socks5 proxy"
        raise InputError([Problem("proxy", message, "proxy")])
    return {
        "http_proxy_host": parts.hostname,
        "http_proxy_port": parts.port or _PROXY_PORTS.get(scheme, 1080),
        "proxy_type": "socks5h" if scheme == "socks5" else scheme,
        "http_no_proxy": [""],
        **({"http_proxy_auth": login} if login else {}),
    }
