# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The value of ``Authorization``: fixed, out of a file that is renewed, or given by a program.

Source: client-go ``transport/round_trippers.go`` (what comes first), ``transport/token_source.go`` (files).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from ..errors import ApiError
from ..fields import mapping_at, text_at
from ..words import told_path
from .clock import Clock
from .exec_plugin import ExecPlugin
from .headers import basic, refuse_token
from .target import Target

# client-go reads a token's file once a minute.
FILE_SECONDS = 60.0


class ApiCredential(Protocol):
    """What identifies the caller. Its methods are called by one thread at a time."""

    certificate: tuple[str, str] | None
    """Paths of a client certificate and its key, when a program gave one."""

    def header(self, limit: float | None = None) -> str:
        """The value of ``Authorization``, ``""`` for none.

        :param limit: seconds that it may take. :raises ApiError: ``reason="Credentials"``.
        """

    def renew(self) -> bool:
        """Forget what the server refused. ``False``: there is nothing else to offer."""


class Fixed:
    """A token or a password."""

    certificate: tuple[str, str] | None = None

    def __init__(self, value: str) -> None:
        self._value = value

    def header(self, limit: float | None = None) -> str:
        del limit
        return self._value

    def renew(self) -> bool:
        return False


class TokenFile:
    """A file that somebody keeps up to date, such as a service account's; its last good content counts."""

    certificate: tuple[str, str] | None = None

    def __init__(self, path: str, token: str, clock: Clock) -> None:
        self._path = path
        self._token = token
        self._clock = clock
        self._read_at: float | None = None

    def header(self, limit: float | None = None) -> str:
        del limit
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at >= FILE_SECONDS:
            self._token = self._read() or self._token
            self._read_at = now
        return f"Bearer {self._token}"

    def renew(self) -> bool:
        """Read the file again; what it says may be another token now."""
        before, self._read_at = self._token, None
        return self.header() != f"Bearer {before}"

    def _read(self) -> str:
        try:
            token = Path(self._path).read_text(encoding="utf-8").strip()
            cause = "it is empty"
        except UnicodeDecodeError:
            token, cause = "", "it is not text"
        except OSError as error:
            token, cause = "", error.strerror or "it cannot be read"
        if not token and not self._token:
            message = f"the kubeconfig's tokenFile {told_path(self._path)} gives no token: {cause}"
            raise ApiError(message, reason="Credentials", subject=told_path(self._path))
        refuse_token(token, f"tokenFile {told_path(self._path)}", "it")
        return token


class AuthProvider:
    """A kubeconfig's ``auth-provider``, which the kubernetes package knows how to refresh."""

    certificate: tuple[str, str] | None = None

    def __init__(self, target: Target) -> None:
        self._target = target
        self._configuration: Any = None

    def header(self, limit: float | None = None) -> str:
        del limit
        if self._configuration is None:
            self._configuration = self._load()
        for identifier in ("BearerToken", "authorization"):  # the second is what packages before 32 use
            value = self._configuration.get_api_key_with_prefix(identifier)
            if value:
                refuse_token(
                    str(value).removeprefix("Bearer "), self._target.where, "the token of its auth-provider"
                )
                return str(value)
        raise self._failed("it gave no token")

    def renew(self) -> bool:
        again, self._configuration = self._configuration is not None, None
        return again

    def _load(self) -> Any:
        try:
            from kubernetes.client import Configuration
            from kubernetes.config import kube_config
        except ImportError as error:
            raise self._failed("it needs the Python package 'kubernetes'") from error
        configuration = Configuration()
        content = kube_config.ConfigNode("kubeconfig", self._target.kubeconfig())
        try:
            loader = kube_config.KubeConfigLoader(config_dict=content, config_base_path=None)
            loader._load_auth_provider_token()
            loader._set_config(configuration)
        except Exception as error:  # whatever its HTTP and OAuth libraries raise, secrets included
            raise self._failed(type(error).__name__) from error
        return configuration

    def _failed(self, cause: str) -> ApiError:
        name = text_at(mapping_at(self._target.user, "auth-provider"), "name") or "?"
        message = f"the kubeconfig's auth-provider '{name}' failed: {cause}"
        return ApiError(message, reason="Credentials", subject=name)


def credential_of(target: Target, directory: Path, clock: Clock) -> ApiCredential:
    """The credential of a target's user. Nothing is read or run yet.

    :param directory: private; for the keys that a program gives.
    :raises InputError: a token that no header can hold.
    """
    user = target.user
    token = text_at(user, "token").strip()
    refuse_token(token, target.where, "the token")
    if user.get("tokenFile"):
        return TokenFile(user["tokenFile"], token, clock)
    if token:
        return Fixed(f"Bearer {token}")
    if user.get("username") or user.get("password"):
        return Fixed(basic(text_at(user, "username"), text_at(user, "password")))
    if user.get("exec"):
        return ExecPlugin(target, directory, clock)
    if user.get("auth-provider"):
        return AuthProvider(target)
    return Fixed("")
