# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to one API server: TLS, key files and proxy as urllib3 and the websocket library want them."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import InputError, MeshError, Problem
from ..fields import text_at
from .proxies import credentials_in
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


def _file(entry: Any, key: str, directory: Path, where: str) -> str:
    data = text_at(entry, f"{key}-data")
    if not data:
        return text_at(entry, key)
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
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
    if not tls.verify:
        # urllib3 would warn once per request; the option is the person's own decision.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if not proxy:
        return urllib3.PoolManager(**options)
    scheme = urlsplit(proxy).scheme
    if scheme.startswith("socks"):
        return _socks_manager(proxy, options)
    if scheme not in ("http", "https"):
        message = f"a proxy of the kind '{scheme}' is not known (http, https, socks5)"
        raise InputError([Problem("proxy", message, "proxy")])
    login = credentials_in(proxy)
    headers = _proxy_authorization(*login) if login else {}
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


def _proxy_authorization(user: str, password: str) -> dict[str, str]:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"proxy-authorization": f"Basic {pair}"}


def _socks_manager(proxy: str, options: dict[str, Any]) -> Any:
    try:
        from urllib3.contrib.socks import SOCKSProxyManager
    except ImportError as error:
        message = (
            "a socks proxy needs the Python package 'PySocks' where this task runs (pip install PySocks)"
        )
        raise MeshError(message, missing="PySocks") from error
    try:
        # As in Go: the proxy resolves the names.
        return SOCKSProxyManager(proxy.replace("socks5://", "socks5h://", 1), **options)
    except ValueError as error:
        raise InputError(
            [Problem("proxy", "this kind of socks proxy is not known (socks5)", "proxy")]
        ) from error


def websocket_tls(tls: Tls) -> dict[str, Any]:
    """The same for the websocket library. :returns: its ``sslopt``."""
    if not tls.verify:
        options: dict[str, Any] = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    else:
        options = {"cert_reqs": ssl.CERT_REQUIRED, **({"ca_certs": tls.authority} if tls.authority else {})}
    named = {"certfile": tls.certificate, "keyfile": tls.key, "server_hostname": tls.server_name}
    return options | {key: value for key, value in named.items() if value}


def websocket_proxy(proxy: str) -> dict[str, Any]:
    """The proxy, or an explicit "none": the websocket library would read the environment by itself.

    :returns: options of its ``connect``.
    """
    if not proxy:
        return {"http_no_proxy": ["*"]}
    parts = urlsplit(proxy)
    login = credentials_in(proxy)
    return {
        "http_proxy_host": parts.hostname,
        "http_proxy_port": parts.port or _PROXY_PORTS.get(parts.scheme, 1080),
        "proxy_type": "http"
        if parts.scheme in ("http", "https")
        else parts.scheme.replace("socks5", "socks5h", 1),
        "http_no_proxy": [""],
        **({"http_proxy_auth": login} if login else {}),
    }
