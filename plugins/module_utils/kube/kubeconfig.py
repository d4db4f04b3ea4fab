# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads kubeconfigs as kubectl does, for the client and for the tools that it stands beside.

Source: client-go ``tools/clientcmd/loader.go`` (``ClientConfigLoadingRules.Load``) and ``validation.go``. The
first file that names an entry gives the whole entry, the first that sets ``current-context`` sets it, missing
files of a list are skipped, and relative paths count from the file that names them. Stricter than client-go
where it would guess: the current context and what it names must exist.
No message quotes a value of a user entry: it may be a secret.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..documents.read import read_document
from ..errors import InputError, MalformedError, Problem
from ..fields import field, list_at, mapping_at, mappings_at, text_at
from ..files import at_home
from ..words import told_path

Entries = Mapping[str, Mapping[str, Any]]
RULE = "kubeconfig"
_SECTIONS = {"clusters": "cluster", "contexts": "context", "users": "user"}
_CLUSTER_FILES = ("certificate-authority",)
_USER_FILES = ("client-certificate", "client-key", "tokenFile")
_TEXTS = {
    "clusters": (
        "server",
        "certificate-authority",
        "certificate-authority-data",
        "tls-server-name",
        "proxy-url",
    ),
    "contexts": ("cluster", "user", "namespace"),
    "users": (
        *_USER_FILES,
        "client-certificate-data",
        "client-key-data",
        "token",
        "username",
        "password",
        "as",
        "as-uid",
    ),
}
_PLUGIN_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
"""Of the first one client-go wants ``interactiveMode`` to be set (``validateAuthInfo``)."""
_GONE = {"gcp": "exec with gke-gcloud-auth-plugin", "azure": "exec with kubelogin"}
"""Removed from client-go with Kubernetes 1.26 (``plugin/pkg/client/auth``)."""
_FLAGS = {"clusters": ("insecure-skip-tls-verify", "disable-compression"), "contexts": (), "users": ()}


@dataclasses.dataclass(frozen=True, slots=True)
class Kubeconfig:
    """Several files as one. Entries by name, their paths absolute.

    :param where: what was read, for messages.
    """

    where: str
    clusters: Entries
    contexts: Entries
    users: Entries
    current_context: str = ""

    def select(self, context: str = "") -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The cluster and the user of a context, by default of the current one.

        :returns: cluster entry and user entry; the latter is empty when the context names no user.
        :raises InputError: the context, or what it names, does not exist; a kubeconfig without a current
            context leaves open which cluster is meant.
        """
        name = context or self.current_context
        known = ", ".join(self.contexts) or "none"
        if not name:
            raise self._refused(f"names no current-context and no context was given (it has: {known})")
        found = self.contexts.get(name)
        if found is None:
            raise self._refused(f"has no context '{name}' (it has: {known})")
        cluster_name, user_name = text_at(found, "cluster"), text_at(found, "user")
        cluster = self.clusters.get(cluster_name)
        if cluster is None:
            raise self._refused(f"context '{name}' names the unknown cluster '{cluster_name}'")
        user = self.users.get(user_name) if user_name else {}
        if user is None:
            raise self._refused(f"context '{name}' names the unknown user '{user_name}'")
        return cluster, user

    def _refused(self, message: str) -> InputError:
        return InputError([Problem(self.where, message, "kubeconfig-context")])


def read_kubeconfig(paths: Sequence[str], where: str) -> Kubeconfig | None:
    """The kubeconfig that these files are together.

    :param paths: in the order of precedence; missing ones are skipped, ``~`` is the home directory.
    :returns: ``None`` when none of the files exists. :raises InputError: one of them cannot be read.
    """
    found = []
    for path in dict.fromkeys(paths):
        content = _content(at_home(path)) if path else None
        if content is not None:
            found.append(content)
    return merged(found, where) if found else None


def merged(sources: Iterable[tuple[str, Path, Any]], where: str) -> Kubeconfig:
    """One kubeconfig of several contents.

    :param sources: per content what it is for messages, the directory that its paths count from, and itself.
    :raises InputError: a content has not the shape of a kubeconfig.
    """
    entries: dict[str, dict[str, Mapping[str, Any]]] = {section: {} for section in _SECTIONS}
    current = ""
    for about, directory, content in sources:
        try:
            for section in _SECTIONS:
                for name, entry in _entries(content, section, directory):
                    entries[section].setdefault(name, entry)
            current = current or text_at(content, "current-context")
        except MalformedError as error:
            raise InputError([Problem(about, _shape(error), RULE)]) from error
        except _ShapeError as error:
            raise InputError([Problem(about, str(error), RULE)]) from error
    return Kubeconfig(where, entries["clusters"], entries["contexts"], entries["users"], current)


class _ShapeError(Exception):
    """A content is no kubeconfig. Its text is ours and quotes no value but names."""


def _content(path: Path) -> tuple[str, Path, Any] | None:
    about = f"kubeconfig {told_path(str(path))}"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, OSError) as error:
        cause = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError([Problem(about, f"cannot be read: {cause}", RULE)]) from error
    # Links stay as they are: the directory is the one that the person named, as in client-go.
    return about, Path(os.path.abspath(path)).parent, read_document(text, about)  # noqa: PTH100 - keeps links


def _entries(content: Any, section: str, directory: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if content is None:  # an empty file
        return
    if not isinstance(content, Mapping):
        raise _ShapeError("is not a kubeconfig")
    if text_at(content, "kind") not in ("", "Config"):
        raise _ShapeError(f"is a {text_at(content, 'kind')}, not a kubeconfig")
    if text_at(content, "apiVersion") not in ("", "v1"):
        raise _ShapeError(f"is of version {text_at(content, 'apiVersion')}, kubeconfigs are of v1")
    seen: set[str] = set()
    for item in mappings_at(content, section):
        name = text_at(item, "name")
        if name in seen:
            raise _ShapeError(f"has two {section} of the name '{name}'")
        seen.add(name)
        entry = mapping_at(item, _SECTIONS[section])
        yield name, _checked(entry, section, name, directory)


def _checked(entry: Mapping[str, Any], section: str, name: str, directory: Path) -> Mapping[str, Any]:
    """The entry with fields of the right types, and its paths absolute."""
    result = dict(entry)
    try:
        for key in _TEXTS[section]:
            text_at(entry, key)
        for key in _FLAGS[section]:
            if not isinstance(field(entry, key), bool | None):
                raise _ShapeError(f"{section}[{name}]: {key} is not true or false")
        if section == "clusters":
            _resolve(result, _CLUSTER_FILES, directory)
        elif section == "users":
            _resolve(result, _USER_FILES, directory)
            _check_user(entry)
            plugin = dict(mapping_at(entry, "exec"))
            if os.sep in text_at(plugin, "command"):  # otherwise it is looked up in PATH
                _resolve(plugin, ("command",), directory)
            if plugin:
                result["exec"] = plugin
    except MalformedError as error:
        raise _ShapeError(f"{section}[{name}]: {_shape(error)}") from error
    return result


def _check_user(user: Mapping[str, Any]) -> None:
    groups, extra = list_at(user, "as-groups"), mapping_at(user, "as-user-extra")
    texts = [*groups, *(value for key in extra for value in list_at(extra, key))]
    if not all(isinstance(text, str) for text in texts):
        raise MalformedError("as-groups or as-user-extra holds something else than text")
    for variable in mappings_at(user, "exec", "env"):
        if not all(isinstance(variable.get(key), str | None) for key in ("name", "value")):
            raise MalformedError("exec.env holds something else than text")
    for argument in list_at(user, "exec", "args"):
        if not isinstance(argument, str):
            raise MalformedError("exec.args holds something else than text")


def _resolve(entry: dict[str, Any], keys: Sequence[str], directory: Path) -> None:
    for key in keys:
        path = entry.get(key)
        if path and not path.startswith(os.sep):
            # As filepath.Join: ".." is taken back by its text, links are not followed.
            entry[key] = os.path.normpath(directory / path)


def _shape(error: MalformedError) -> str:
    return error.message.removeprefix("an object: ")


def problems_of(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> list[str]:
    """What kubectl refuses in a cluster and its user (``validateClusterInfo``, ``validateAuthInfo``).

    :returns: sentences; no value of the user is quoted.
    """
    found = []
    if not text_at(cluster, "server"):
        found.append("the cluster has no server")
    for entry, keys in ((cluster, _CLUSTER_FILES), (user, ("client-certificate", "client-key"))):
        for key in keys:
            if not entry.get(key):
                continue
            if entry.get(f"{key}-data"):
                found.append(f"{key} and {key}-data exclude each other")
            elif not Path(entry[key]).is_file():
                found.append(f"{key}: no such file: {told_path(entry[key])}")
    certificate = user.get("client-certificate") or user.get("client-certificate-data")
    if certificate and not (user.get("client-key") or user.get("client-key-data")):
        found.append("client-certificate needs a client-key")
    if (user.get("token") or user.get("tokenFile")) and (user.get("username") or user.get("password")):
        found.append("token and username exclude each other")
    if not user.get("as") and any(user.get(key) for key in ("as-uid", "as-groups", "as-user-extra")):
        found.append("as-uid, as-groups and as-user-extra need as")
    if cluster.get("insecure-skip-tls-verify") and any(
        cluster.get(key) for key in ("certificate-authority", "certificate-authority-data")
    ):
        found.append("insecure-skip-tls-verify and certificate-authority exclude each other")
    provider = text_at(mapping_at(user, "auth-provider"), "name")
    if provider in _GONE:
        found.append(
            f"auth-provider {provider} is gone from kubectl, istioctl and helm; use {_GONE[provider]}"
        )
    found += _plugin_problems(user)
    return found


def _plugin_problems(user: Mapping[str, Any]) -> list[str]:
    plugin = mapping_at(user, "exec")
    if not plugin:
        return []
    found = [f"exec needs {key}" for key in ("command", "apiVersion") if not text_at(plugin, key)]
    if any(not text_at(variable, "name") for variable in mappings_at(plugin, "env")):
        found.append("exec: an environment variable has no name")
    if user.get("auth-provider"):
        found.append("exec and auth-provider exclude each other")
    version, mode = text_at(plugin, "apiVersion"), text_at(plugin, "interactiveMode")
    if version and version not in _PLUGIN_VERSIONS:
        found.append(f"exec: apiVersion is none of {', '.join(_PLUGIN_VERSIONS)}")
    if mode == "Always":
        found.append("exec: its plugin asks questions (interactiveMode Always), which nobody can answer here")
    elif mode not in (
        ("Never", "IfAvailable") if version == _PLUGIN_VERSIONS[0] else ("", "Never", "IfAvailable")
    ):
        found.append("exec: interactiveMode is none of Never, IfAvailable, Always")
    return found
