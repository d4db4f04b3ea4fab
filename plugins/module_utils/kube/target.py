# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server and the identity that connection options mean, for the client and the tools alike.

Everything that speaks to a cluster starts here: the client's requests, and the kubeconfig that istioctl and
helm are given. So both always mean the same server, the same user and the same trust.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..documents.read import read_document
from ..errors import InputError, Problem
from ..fields import list_at, mapping_at, text_at
from ..files import at_home
from ..words import told_path
from .headers import refuse_header, refuse_token
from .keydir import KeyDirectory
from .kubeconfig import Kubeconfig, merged, problems_of, read_kubeconfig
from .options import ConnectionOptions, is_content, is_encoded
from .proxies import environment_proxy, is_excluded, login_secrets
from .secret_fields import secret_values

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_NAME = "servicemesh-istio"
_SLASHES = re.compile("//+")
_IMPERSONATION = ("as", "as-uid", "as-groups", "as-user-extra")
# Given to a child, these would override the kubeconfig that we hand over.
_FOREIGN = frozenset(
    {
        "HELM_KUBECONTEXT",
        "HELM_KUBETOKEN",
        "HELM_KUBEAPISERVER",
        "HELM_NAMESPACE",
        "HELM_KUBEASUSER",
        "HELM_KUBEASGROUPS",
        "HELM_KUBECAFILE",
        "HELM_KUBEINSECURE_SKIP_TLS_VERIFY",
        "HELM_KUBETLS_SERVER_NAME",
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One API server and one identity, in the words of a kubeconfig.

    :param where: where they were read, for messages. :param cluster: a kubeconfig's ``cluster`` entry.
    :param user: a kubeconfig's ``user`` entry. :param proxy: URL of the proxy to use, ``""`` for none.
    :param environment: of the run; for credential plugins.
    """

    where: str
    cluster: Mapping[str, Any] = dataclasses.field(repr=False)
    user: Mapping[str, Any] = dataclasses.field(repr=False)
    proxy: str = dataclasses.field(default="", repr=False)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """URL of the API server, without a slash at its end."""
        return server_url(text_at(self.cluster, "server"))

    @property
    def verifies(self) -> bool:
        """Whether the server's certificate is verified."""
        return not self.cluster.get("insecure-skip-tls-verify")

    @property
    def compresses(self) -> bool:
        """Whether answers may come compressed."""
        return not self.cluster.get("disable-compression")

    def impersonation(self) -> list[tuple[str, str]]:
        """Headers of the user to act as (client-go ``transport.NewImpersonatingRoundTripper``).

        :returns: pairs of name and value; names repeat. :raises InputError: a value that no header can hold.
        """
        name = text_at(self.user, "as")
        if not name:
            return []
        found = [("Impersonate-User", name)]
        if text_at(self.user, "as-uid"):
            found.append(("Impersonate-Uid", text_at(self.user, "as-uid")))
        found += [("Impersonate-Group", str(group)) for group in list_at(self.user, "as-groups")]
        extra = mapping_at(self.user, "as-user-extra")
        found += [
            (f"Impersonate-Extra-{_escaped(key)}", str(value))
            for key in extra
            for value in list_at(extra, key)
        ]
        for header, value in found:
            refuse_header(value, self.where, f"the value for {header}")
        return found

    def secrets(self) -> set[str]:
        """What a server or a program may quote of it. :returns: texts that nobody may read."""
        return secret_values(self.user) | login_secrets(self.proxy) | login_secrets(self.host)

    def kubeconfig(self) -> dict[str, Any]:
        """A kubeconfig that says exactly this. :returns: its content, with one context, the current one."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": _NAME, "cluster": dict(self.cluster)}],
            "users": [{"name": _NAME, "user": dict(self.user)}],
            "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME}}],
            "current-context": _NAME,
        }


def server_url(server: str) -> str:
    """An API server's URL, without a slash at its end or two in a row; without a scheme it is HTTPS."""
    scheme, _mark, rest = server.rpartition("://")
    return f"{scheme or 'https'}://{_SLASHES.sub('/', rest).rstrip('/')}"


def _server_problems(server: str) -> list[str]:
    """What is wrong with an API server's URL, which may hold a password and so is not quoted."""
    try:
        parts = urlsplit(server)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not server.isprintable() or any(char.isspace() for char in server):
        return ["the server is no http or https URL"]
    if "@" in parts.netloc:
        return ["the server's URL holds a login: give it as username and password"]
    return ["the server's URL has a query or a fragment"] if parts.query or parts.fragment else []


def target_of(options: ConnectionOptions) -> Target:
    """What the options mean: a kubeconfig's context, and over it what they say explicitly.

    :raises InputError: the kubeconfig is missing, broken, or leaves open which cluster is meant, or kubectl
        would refuse what results.
    """
    where, cluster, user = _from_kubeconfig(options)
    cluster, user = dict(cluster), _identity(options, user)
    _check_given(options)
    _overlay(options, cluster)
    problems = problems_of(cluster, user)
    if server := text_at(cluster, "server"):
        problems += _server_problems(server_url(server))
        if "://" not in server and not options.host:
            problems.append(
                "the server has no scheme, so kubectl would not use TLS: write https:// before it"
            )
        cluster["server"] = server_url(server)  # what the tools get is what the client asks
    if problems:
        raise InputError([Problem(where, message, "connection") for message in problems])
    proxy = text_at(cluster, "proxy-url")
    if proxy and is_excluded(server_url(cluster["server"]), options.no_proxy or ""):
        del cluster["proxy-url"]
    elif not proxy:
        names = {"NO_PROXY": options.no_proxy} if options.no_proxy else {}
        proxy = environment_proxy(server_url(cluster["server"]), {**options.environment, **names})
        return Target(where, cluster, user, proxy, options.environment)
    return Target(where, cluster, user, text_at(cluster, "proxy-url"), options.environment)


def _from_kubeconfig(options: ConnectionOptions) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    if options.host and options.kubeconfig is None and options.context is None:
        return "connection", {}, {}
    found: Kubeconfig | None
    if isinstance(options.kubeconfig, str) and is_encoded(options.kubeconfig):
        message = 'is base64: give what it stands for, such as "{{ kubeconfig | b64decode }}"'
        raise InputError([Problem("kubeconfig", message, "kubeconfig")])
    if isinstance(options.kubeconfig, Mapping):
        where = "kubeconfig"
        found = merged([(where, Path.cwd(), options.kubeconfig)], where)
    elif isinstance(options.kubeconfig, str) and is_content(options.kubeconfig):
        where = "kubeconfig"
        found = merged([(where, Path.cwd(), read_document(options.kubeconfig, where))], where)
    elif not isinstance(options.kubeconfig, str | None):
        message = "is neither a path nor the content of a kubeconfig"
        raise InputError([Problem("kubeconfig", message, "kubeconfig")])
    else:
        text = str(options.kubeconfig or options.default_kubeconfig)
        where = f"kubeconfig {told_path(text)}"
        found = read_kubeconfig(text.split(os.pathsep), where)
    if found is not None:
        return (where, *found.select(options.context or ""))
    if options.kubeconfig is None and options.context is None and options.in_cluster:
        return _in_cluster(options, where)
    raise InputError([Problem(where, "no such file", "kubeconfig")])


def _in_cluster(options: ConnectionOptions, where: str) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """The service account of the pod (client-go ``rest.InClusterConfig``)."""
    host, port = (options.environment.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
    token, authority = SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"
    if not (host and port and token.is_file() and authority.is_file()):
        message = "no such file, and the pod that this runs in has no service account"
        raise InputError([Problem(where, message, "kubeconfig")])
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    cluster = {"server": server, "certificate-authority": str(authority)}
    return "the pod's service account", cluster, {"tokenFile": str(token)}


def _identity(options: ConnectionOptions, user: Mapping[str, Any]) -> dict[str, Any]:
    """Who we are. A credential in the options replaces the kubeconfig's, but not whom it acts as."""
    given: dict[str, Any] = {}
    if options.api_key:
        given["token"] = options.api_key.strip()
        refuse_token(given["token"], "api_key", "it")
    elif options.username and options.password:
        given.update(username=options.username, password=options.password)
    if options.client_cert:
        given["client-certificate"] = _path(options.client_cert)
        given["client-key"] = _path(options.client_key or options.client_cert)
    result = {key: user[key] for key in _IMPERSONATION if key in user} | given if given else dict(user)
    if text_at(result, "token"):
        result["token"] = text_at(
            result, "token"
        ).strip()  # client-go sends it as it is, which no server takes
    if options.client_key and not options.client_cert:
        result.pop("client-key-data", None)
        result["client-key"] = _path(options.client_key)
    if options.impersonate_user:
        result = {key: value for key, value in result.items() if key not in _IMPERSONATION}
        result["as"] = options.impersonate_user
    if options.impersonate_groups:
        result["as-groups"] = list(options.impersonate_groups)
    return result


def _overlay(options: ConnectionOptions, cluster: dict[str, Any]) -> None:
    if options.host:
        cluster["server"] = options.host
    if options.ca_cert:
        cluster.pop("certificate-authority-data", None)
        cluster["certificate-authority"] = _path(options.ca_cert)
    if options.validate_certs:
        cluster.pop("insecure-skip-tls-verify", None)
    elif options.validate_certs is False:
        cluster.pop("certificate-authority", None)
        cluster.pop("certificate-authority-data", None)
        cluster["insecure-skip-tls-verify"] = True
    if options.proxy:
        cluster["proxy-url"] = options.proxy


def _check_given(options: ConnectionOptions) -> None:
    """:raises InputError: files that are not there, or credentials of which one would not count."""
    problems = [
        Problem(option, f"no such file: {told_path(path)}", "connection")
        for option in ("ca_cert", "client_cert", "client_key")
        if (path := getattr(options, option)) and not at_home(path).is_file()
    ]
    if bool(options.username) != bool(options.password):
        problems.append(Problem("username", "and password belong together", "connection"))
    elif options.username and options.api_key:
        problems.append(Problem("username", "and api_key exclude each other", "connection"))
    if problems:
        raise InputError(problems)


def _path(text: str) -> str:
    return str(at_home(text).absolute())


def _escaped(key: str) -> str:
    """An extra key as part of a header's name (client-go ``headerKeyEscape``)."""
    legal = frozenset(b"!#$&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return "".join(chr(byte) if byte in legal else f"%{byte:02X}" for byte in key.encode())


@contextlib.contextmanager
def tool_environment(
    options: ConnectionOptions, environment: Mapping[str, str]
) -> Iterator[tuple[dict[str, str], set[str]]]:
    """The environment in which istioctl and helm reach the cluster of ``options``, as the client does.

    Gives it with what the programs may quote of it and nobody may read.

    Their kubeconfig is written for them (directory 0700, file 0600) and removed at the end; what a killed run
    left is removed by the next one. :raises InputError: see :func:`target_of`.
    """
    target = target_of(options)
    kept = {
        key: value
        for key, value in environment.items()
        if key not in _FOREIGN and not key.startswith("K8S_AUTH_")
    }
    if options.no_proxy:
        kept["NO_PROXY"] = options.no_proxy
    keys = KeyDirectory()
    try:
        file = keys.path / "kubeconfig"
        file.touch(mode=0o600)
        file.write_text(json.dumps(target.kubeconfig()), encoding="utf-8")
        yield {**kept, "KUBECONFIG": str(file)}, target.secrets()
    finally:
        keys.remove()
