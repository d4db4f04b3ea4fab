# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach an API server: the options every module shares, and their fallbacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

# kubernetes.core's names and aliases (its plugins/module_utils/args_common.py), so that one set of
# `module_defaults` serves both collections. `persist_config` is accepted there only for the same reason.
CONNECTION_SPEC: dict[str, dict[str, Any]] = {
    "kubeconfig": {"type": "raw"},
    "context": {"type": "str"},
    "host": {"type": "str"},
    "api_key": {"type": "str", "no_log": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "validate_certs": {"type": "bool", "aliases": ["verify_ssl"]},
    "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"]},
    "client_cert": {"type": "path", "aliases": ["cert_file"]},
    "client_key": {"type": "path", "aliases": ["key_file"], "no_log": False},
    "proxy": {"type": "str"},
    "no_proxy": {"type": "str"},
    "impersonate_user": {"type": "str"},
    "impersonate_groups": {"type": "list", "elements": "str"},
}

# kubernetes.core's environment variables, by option.
ENVIRONMENT = {
    "kubeconfig": "K8S_AUTH_KUBECONFIG",
    "context": "K8S_AUTH_CONTEXT",
    "host": "K8S_AUTH_HOST",
    "api_key": "K8S_AUTH_API_KEY",
    "username": "K8S_AUTH_USERNAME",
    "password": "K8S_AUTH_PASSWORD",
    "validate_certs": "K8S_AUTH_VERIFY_SSL",
    "ca_cert": "K8S_AUTH_SSL_CA_CERT",
    "client_cert": "K8S_AUTH_CERT_FILE",
    "client_key": "K8S_AUTH_KEY_FILE",
    "proxy": "K8S_AUTH_PROXY",
    "no_proxy": "K8S_AUTH_NO_PROXY",
    "impersonate_user": "K8S_AUTH_IMPERSONATE_USER",
    "impersonate_groups": "K8S_AUTH_IMPERSONATE_GROUPS",
}

_FALSE_WORDS = frozenset({"0", "false", "no", "off", "n", "f"})
_SECRET_KEYS = frozenset(
    {
        "token",
        "password",
        "client-key-data",
        "client-secret",
        "id-token",
        "access-token",
        "refresh-token",
        "secret",
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """One way to reach one API server. Fields have the names of the options; ``None`` means not given.

    :param kubeconfig: path (several joined by ``:``) or the parsed content as a mapping.
    :param default_kubeconfig: path that counts when nothing else was given (``KUBECONFIG`` or the home's).
    :param in_cluster: whether the process runs in a pod whose service account may be used as last resort.
    """

    kubeconfig: str | Mapping[str, Any] | None = None
    context: str | None = None
    host: str | None = None
    api_key: str | None = dataclasses.field(default=None, repr=False)
    username: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    validate_certs: bool | None = None
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    proxy: str | None = None
    no_proxy: str | None = None
    impersonate_user: str | None = None
    impersonate_groups: tuple[str, ...] = ()
    default_kubeconfig: str = "~/.kube/config"
    in_cluster: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, Any], environment: Mapping[str, str]) -> ConnectionOptions:
        """Options from a module's parameters; what they leave open comes from ``K8S_AUTH_*``.

        An empty string counts as not given, as it does in kubernetes.core.
        """
        values: dict[str, Any] = {}
        for option, variable in ENVIRONMENT.items():
            value = params.get(option)
            if value in (None, "", []):
                value = _from_environment(option, environment.get(variable, ""))
            if value is not None:
                values[option] = tuple(value) if option == "impersonate_groups" else value
        return cls(
            **values,
            default_kubeconfig=environment.get("KUBECONFIG") or "~/.kube/config",
            in_cluster=bool(environment.get("KUBERNETES_SERVICE_HOST")),
        )

    @property
    def stands_alone(self) -> bool:
        """Whether host and credential were given, so that no kubeconfig may interfere."""
        credential = self.api_key or self.client_cert or (self.username and self.password)
        return bool(self.host and credential and self.kubeconfig is None and self.context is None)


def _from_environment(option: str, text: str) -> Any:
    if not text:
        return None
    if option == "validate_certs":
        return text.strip().lower() not in _FALSE_WORDS
    if option == "impersonate_groups":
        return [group.strip() for group in text.split(",") if group.strip()]
    return text


def secrets_in(kubeconfig: Any) -> set[str]:
    """Secret strings inside an inline kubeconfig, which must never appear in a result."""
    return set(_secret_strings(kubeconfig))


def _secret_strings(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in _SECRET_KEYS and isinstance(item, str) and item:
                yield item
            else:
                yield from _secret_strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _secret_strings(item)
