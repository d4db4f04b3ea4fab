# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which proxy leads to an API server, by the rules of Go's ``golang.org/x/net/http/httpproxy``."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from ..errors import InputError, Problem
from .headers import basic
from .secret_fields import header_secrets

_PORTS = {"http": "80", "https": "443"}


def environment_proxy(server: str, environment: Mapping[str, str]) -> str:
    """The proxy that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` name for ``server``; ``""`` for none.

    :param server: URL of the API server. A loopback address is always reached directly.
    """
    scheme = urlsplit(server).scheme
    name = "HTTPS_PROXY" if scheme == "https" else "HTTP_PROXY"
    proxy = environment.get(name) or environment.get(name.lower()) or ""
    if not proxy or _is_loopback(_host_of(server)):
        return ""
    excluded = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    if is_excluded(server, excluded):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def is_excluded(server: str, no_proxy: str) -> bool:
    """Whether ``no_proxy`` names the host of ``server``.

    :param no_proxy: separated by commas: ``*``, an address, a network (``10.0.0.0/8``), a domain with or
        without its subdomains (``example.com``, ``.example.com``), each but ``*`` with an optional port.
    """
    parts = urlsplit(server)
    host = _host_of(server).lower()
    port = str(parts.port or _PORTS.get(parts.scheme, ""))
    return any(_matches(entry.strip().lower(), host, port) for entry in no_proxy.split(",") if entry.strip())


def _matches(entry: str, host: str, port: str) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, wanted_port = _split_port(entry)
    if wanted_port and wanted_port != port:
        return False
    named = _address(name)
    if named is not None or address is not None:
        return named == address
    name = _ascii(name)
    if name.startswith("*."):
        name = name[1:]
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        inside, _bracket, rest = entry[1:].partition("]")
        # Go reads brackets only before a port (net.SplitHostPort); without one they match no host.
        return (inside, rest[1:]) if rest.startswith(":") else (entry, "")
    if entry.count(":") == 1:
        name, _colon, port = entry.partition(":")
        return name, port
    return entry, ""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found  # Go's net.IP knows no difference


def _host_of(server: str) -> str:
    """The host of a URL as Go's transport sees it: as it is written, but for names beyond ASCII."""
    authority = urlsplit(server).netloc.rpartition("@")[2]
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return _ascii(authority.partition(":")[0])


def _ascii(name: str) -> str:
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return name


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def proxy_scheme(proxy: str) -> str:
    """``http``, ``https`` or ``socks5`` (as Go: ``socks5h`` is the same). The URL is never quoted.

    :raises InputError: another kind of proxy, or no host.
    """
    try:
        parts = urlsplit(proxy)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or any(char.isspace() or not char.isprintable() for char in proxy):
        raise InputError([Problem("proxy", "its URL cannot be used", "proxy")])
    scheme = parts.scheme.lower().replace("socks5h", "socks5")
    if scheme not in ("http", "https", "socks5"):
        message = f"a proxy of the kind '{scheme}' is not known (http, https, socks5)"
        raise InputError([Problem("proxy", message, "proxy")])
    return scheme


def without_login(url: str) -> str:
    """A URL without user name and password."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def raw_password(url: str) -> str:
    """The password in a URL as it is written there; ``""`` for none."""
    authority = url.partition("://")[2].partition("/")[0]
    return authority.rpartition("@")[0].partition(":")[2]


def credentials_in(proxy: str) -> tuple[str, str] | None:
    """User name and password of a proxy's URL; ``None`` when it has none.

    :returns: (user name, password), both decoded.
    """
    try:
        parts = urlsplit(proxy)
    except ValueError:
        return None
    return (unquote(parts.username), unquote(parts.password or "")) if parts.username else None


def proxy_headers(proxy: str) -> dict[str, str]:
    """What a proxy has to be sent. :returns: its login as a header, ``{}`` when its URL has none."""
    login = credentials_in(proxy)
    return {"proxy-authorization": basic(*login)} if login else {}


def login_secrets(url: str) -> set[str]:
    """What a server may quote of the login in a URL, a proxy's or another's.

    :returns: the password, as it is written and as it is meant, and the login as a header carries it.
    """
    login = credentials_in(url)
    if login is None or not login[1]:
        return set()
    return {login[1], raw_password(url)} | header_secrets([basic(*login)])
