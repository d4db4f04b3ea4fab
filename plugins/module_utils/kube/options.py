# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach an API server: the options every module shares, and their fallbacks."""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from ..documents.read import read_document
from ..errors import InputError
from .proxies import login_secrets
from .secret_fields import secret_values

HANDOVER = "_handover"
"""Option by which an action plugin hands file contents and secrets over to the module on another host."""

# kubernetes.core's names and aliases (its plugins/module_utils/args_common.py), so that one set of
# `module_defaults` serves both collections.
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
    # What must not be seen in the target's log; filled in by the action plugin, see run_module.
    HANDOVER: {"type": "str", "no_log": True},
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

_CLUSTER = frozenset({"kubeconfig", "context", "host"})
_IDENTITY = frozenset({"api_key", "username", "password", "client_cert", "client_key"})
# Shorter lines of a kubeconfig hold no secret, and would blank ordinary words.
_LEAST_LINE = 20
_LEAST_SECRET = 4
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
    :param environment: of the run: proxies, and what credential plugins get.
    :param in_cluster: whether the process runs in a pod whose service account may be used as last resort.
    :param unused: names of ``K8S_AUTH_*`` variables that do not count, because the task says it itself.
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
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    unused: tuple[str, ...] = ()

    @classmethod
    def from_params(cls, params: Mapping[str, Any], environment: Mapping[str, str]) -> ConnectionOptions:
        """Options from a module's parameters, or from ``K8S_AUTH_*``: what names a cluster counts whole.

        Host and token of one cluster must not meet certificate, proxy or trust of another. So parameters that
        name a cluster count alone beside an environment that names one, too. A context alone chooses one of
        the environment's kubeconfig. Who we are comes from one source as well. An empty string counts as not
        given, as in kubernetes.core.
        """
        given = {option: params.get(option) for option in ENVIRONMENT}
        given = {option: value for option, value in given.items() if value not in (None, "", [])}
        fallback: dict[str, Any] = {
            option: _from_environment(option, environment.get(variable, ""))
            for option, variable in ENVIRONMENT.items()
        }
        fallback = {option: value for option, value in fallback.items() if value is not None}
        kept = _beside(given, fallback)
        values: dict[str, Any] = {**kept, **given}
        groups = values.pop("impersonate_groups", None) or ()
        return cls(
            **values,
            impersonate_groups=tuple(groups),
            default_kubeconfig=environment.get("KUBECONFIG") or "~/.kube/config",
            in_cluster=bool(environment.get("KUBERNETES_SERVICE_HOST")),
            environment=environment,
            unused=tuple(
                ENVIRONMENT[option] for option in fallback if option not in kept and option not in given
            ),
        )


def _beside(given: Mapping[str, Any], fallback: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of the environment's options may stand beside the given ones.

    A kubeconfig says everything itself. A host is completed by an environment that names no cluster.
    """
    kept = set(fallback)
    whole = "kubeconfig" in given or ("host" in given and fallback.keys() & _CLUSTER)
    if whole or ("context" in given and "host" in fallback):
        kept = set()
    elif "context" in given and fallback.get("context") not in (None, given["context"]):
        kept &= {"kubeconfig"}
    if given.keys() & _IDENTITY:
        kept -= _IDENTITY
    return {option: value for option, value in fallback.items() if option in kept}


def _from_environment(option: str, text: str) -> Any:
    if not text:
        return None
    if option == "validate_certs":
        return text.strip().lower() not in _FALSE_WORDS
    if option == "impersonate_groups":
        return [group.strip() for group in text.split(",") if group.strip()]
    return text


def secrets_in(params: Mapping[str, Any]) -> set[str]:
    """Secret strings among a module's options that no ``no_log`` covers.

    :returns: those of an inline kubeconfig, and the logins of URLs: the proxy's, a mirror's, Prometheus's.
    """
    content = params.get("kubeconfig")
    found: set[str] = set()
    if isinstance(content, str) and is_content(content):
        # It may be broken: then each of its longer lines is a secret.
        lines = {line.strip() for line in content.splitlines() if len(line.strip()) > _LEAST_LINE}
        found |= lines | {line.partition(":")[2].strip(" \t\"'") for line in lines}
        with contextlib.suppress(InputError):
            content = read_document(content, "kubeconfig")
    found |= set(_secret_strings(content))
    found |= {text for text in secret_values(content) if len(text) >= _LEAST_SECRET}
    for value in params.values():
        for url in value.values() if isinstance(value, Mapping) else (value,):
            found |= login_secrets(url) if isinstance(url, str) and "://" in url else set()
    return {text for text in found if text}


def is_content(kubeconfig: str) -> bool:
    """Whether an option holds the text of a kubeconfig, and not paths: no path has line breaks or braces."""
    text = kubeconfig.strip()
    return "\n" in text or text.startswith("{") or is_encoded(text)


def is_encoded(kubeconfig: str) -> bool:
    """Whether an option holds a kubeconfig in base64, as CI systems keep it."""
    try:
        return b"clusters" in base64.b64decode("".join(kubeconfig.split()), validate=True)
    except (binascii.Error, ValueError):
        return False


def _secret_strings(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        variables = isinstance(value.get("name"), str) and isinstance(value.get("value"), str)
        for key, item in value.items():
            secret = key in _SECRET_KEYS or (variables and key == "value")  # of a credential plugin
            if secret and isinstance(item, str) and item:
                yield item
            else:
                yield from _secret_strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _secret_strings(item)
