# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options as istioctl and helm understand them: an environment with a kubeconfig."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...documents.read import read_document
from ...errors import InputError, Problem
from ...istio.installation.commands import kubeconfig_file
from ...kube.options import ConnectionOptions

_NAME = "servicemesh-istio"
# Given to a child, these would override the kubeconfig that we hand over.
_FOREIGN = ("HELM_KUBECONTEXT", "HELM_KUBETOKEN", "HELM_KUBEAPISERVER", "HELM_NAMESPACE", "HELM_KUBEASUSER")


@contextlib.contextmanager
def tool_environment(options: ConnectionOptions, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment in which istioctl and helm reach the cluster of ``options``.

    A kubeconfig path without further options is used as it is, so that exec plugins and relative paths keep
    working. Everything else becomes a kubeconfig of its own (directory 0700, file 0600), removed at the end.
    """
    merged = {key: value for key, value in environment.items() if key not in _FOREIGN}
    if options.no_proxy:
        merged["NO_PROXY"] = options.no_proxy
    if (
        options.in_cluster
        and not _given(options)
        and not Path(options.default_kubeconfig).expanduser().is_file()
    ):
        yield merged  # both tools find the pod's own account
        return
    path = _plain_path(options)
    if path:
        yield {**merged, "KUBECONFIG": path}
        return
    with kubeconfig_file(tool_kubeconfig(options)) as written:
        yield {**merged, "KUBECONFIG": written}


def _given(options: ConnectionOptions) -> bool:
    return bool(options.kubeconfig or options.context or options.host)


def _plain_path(options: ConnectionOptions) -> str:
    """The kubeconfig path when nothing else was given, else ""."""
    more = (
        options.context,
        options.host,
        options.api_key,
        options.username,
        options.client_cert,
        options.ca_cert,
        options.proxy,
        options.impersonate_user,
    )
    if any(more) or options.validate_certs is False or isinstance(options.kubeconfig, Mapping):
        return ""
    text = str(options.kubeconfig or options.default_kubeconfig)
    return ":".join(str(Path(part).expanduser()) for part in text.split(":") if part)


def tool_kubeconfig(options: ConnectionOptions) -> dict[str, Any]:
    """A kubeconfig with one cluster, one user and one context that says what the options say.

    :raises InputError: when the kubeconfig cannot be read or has no such context.
    """
    cluster, user = ({}, {}) if options.stands_alone else _from_kubeconfig(options)
    if options.host:
        cluster["server"] = options.host
    if options.ca_cert:
        cluster.pop("certificate-authority-data", None)
        cluster["certificate-authority"] = str(Path(options.ca_cert).expanduser())
    if options.validate_certs is False:
        for key in ("certificate-authority", "certificate-authority-data"):
            cluster.pop(key, None)
        cluster["insecure-skip-tls-verify"] = True
    if options.proxy:
        cluster["proxy-url"] = options.proxy
    if options.api_key:
        user = {"token": options.api_key}
    elif options.username and options.password:
        user = {"username": options.username, "password": options.password}
    elif options.client_cert and options.client_key:
        user = {
            "client-certificate": str(Path(options.client_cert).expanduser()),
            "client-key": str(Path(options.client_key).expanduser()),
        }
    if options.impersonate_user:
        user["as"] = options.impersonate_user
        if options.impersonate_groups:
            user["as-groups"] = list(options.impersonate_groups)
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _NAME, "cluster": cluster}],
        "users": [{"name": _NAME, "user": user}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME}}],
        "current-context": _NAME,
    }


def _from_kubeconfig(options: ConnectionOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    for where, content, directory in _contents(options):
        name = options.context or content.get("current-context")
        context = _entry(content, "contexts", "context", name)
        if context is None:
            continue
        cluster = _entry(content, "clusters", "cluster", context.get("cluster"))
        user = _entry(content, "users", "user", context.get("user"))
        if cluster is None:
            raise InputError([Problem(where, f"context {name} names an unknown cluster", "kubeconfig")])
        return _absolute(cluster, directory), _absolute(user or {}, directory)
    if options.host and not options.context:
        return {}, {}
    raise InputError(
        [
            Problem(
                "kubeconfig", f"has no context {options.context or '(none is current)'}", "kubeconfig-context"
            )
        ]
    )


def _contents(options: ConnectionOptions) -> Iterator[tuple[str, Mapping[str, Any], Path]]:
    if isinstance(options.kubeconfig, Mapping):
        yield "kubeconfig", options.kubeconfig, Path.cwd()
        return
    for part in str(options.kubeconfig or options.default_kubeconfig).split(":"):
        path = Path(part).expanduser()
        if part and path.is_file():
            content = read_document(path.read_text(encoding="utf-8"), f"kubeconfig {path}")
            if isinstance(content, Mapping):
                yield f"kubeconfig {path}", content, path.parent


def _entry(content: Mapping[str, Any], section: str, key: str, name: Any) -> dict[str, Any] | None:
    for entry in content.get(section) or ():
        if isinstance(entry, Mapping) and entry.get("name") == name:
            return dict(entry.get(key) or {})
    return None


def _absolute(entry: dict[str, Any], directory: Path) -> dict[str, Any]:
    # Paths in a kubeconfig are relative to it; ours lies elsewhere.
    for key in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
        if entry.get(key):
            entry[key] = str((directory / Path(str(entry[key])).expanduser()).resolve())
    return entry
