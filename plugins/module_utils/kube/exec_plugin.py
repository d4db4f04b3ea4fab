# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credential plugins: a kubeconfig's ``exec``, run without a terminal and with a limit.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..documents.json_text import from_json
from ..errors import ApiError, MalformedError
from ..fields import list_at, mapping_at, mappings_at, text_at
from .clock import Clock, seconds_of
from .headers import refuse_token
from .secret_fields import HIDDEN, without_secrets
from .target import Target

# A plugin may ask an identity provider on the way; more than this, and it waits for somebody.
PLUGIN_SECONDS = 60.0
_LEAST_SECONDS = 0.5
# Words that nobody speaks: long, with digits in them, and no path or address.
_OPAQUE = re.compile(r"(?<![\w./:-])(?=[\w+=.~-]*[0-9])(?=[\w+=.~-]*[A-Za-z])[\w+=.~-]{12,}(?![\w/:])")
_CLUSTER_KEYS = (
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
)
_CONFIGURATION = "client.authentication.k8s.io/exec"
"""The extension of a cluster that is meant for its users' plugins."""


def _shown(line: str) -> str:
    """What a program says about its failure; it may quote what it was given, or what it got."""
    return _OPAQUE.sub(HIDDEN, without_secrets(line))[:300]


class ExecPlugin:
    """A program that prints an ``ExecCredential``: a token, a client certificate, or both."""

    def __init__(
        self, target: Target, directory: Path, clock: Clock, *, limit: float = PLUGIN_SECONDS
    ) -> None:
        self._target = target
        self._plugin = mapping_at(target.user, "exec")
        self._directory = directory
        self._clock = clock
        self._limit = limit
        self._value: str | None = None
        self._expires: float | None = None
        self.certificate: tuple[str, str] | None = None

    def header(self, limit: float | None = None) -> str:
        """The value of ``Authorization``; runs the program when there is none, or it has expired."""
        if self._value is None or (self._expires is not None and self._clock.now() >= self._expires):
            seconds = self._limit if limit is None else max(_LEAST_SECONDS, min(self._limit, limit))
            self._take(self._answer(self._run(seconds)))
        return self._value or ""

    def renew(self) -> bool:
        """Let the program run again."""
        again, self._value = self._value is not None, None
        return again

    def _run(self, seconds: float) -> str:
        command = text_at(self._plugin, "command")
        words = [command, *(str(word) for word in list_at(self._plugin, "args"))]
        try:
            # Not run_command: this runs in the controller, too, and the program must end in time.
            child = subprocess.Popen(  # pylint: disable=ansible-bad-function
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment(),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            hint = text_at(self._plugin, "installHint").strip()
            cause = getattr(error, "strerror", None) or "it cannot be started"
            raise self._failed(f"{cause}. {hint}" if hint else cause) from error
        try:
            out, err = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise self._failed(f"it did not end within {seconds:.3g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if child.returncode != 0:
            lines = err.decode("utf-8", "replace").strip().splitlines()
            raise self._failed(_shown(lines[-1]) if lines else f"exit code {child.returncode}")
        return out.decode("utf-8", "replace")

    def _environment(self) -> dict[str, str]:
        spec: dict[str, Any] = {"interactive": False}
        if self._plugin.get("provideClusterInfo"):
            spec["cluster"] = self._cluster_info()
        info = {"apiVersion": self._api_version, "kind": "ExecCredential", "spec": spec}
        variables = mappings_at(self._plugin, "env")
        return {
            **(self._target.environment or os.environ),
            **{text_at(entry, "name"): text_at(entry, "value") for entry in variables},
            "KUBERNETES_EXEC_INFO": json.dumps(info, separators=(",", ":")),
        }

    def _cluster_info(self) -> dict[str, Any]:
        cluster = dict(self._target.cluster)
        file = text_at(cluster, "certificate-authority")
        if file:
            cluster["certificate-authority-data"] = base64.b64encode(Path(file).read_bytes()).decode()
        found = {key: cluster[key] for key in _CLUSTER_KEYS if cluster.get(key)}
        for extension in mappings_at(cluster, "extensions"):
            if extension.get("name") == _CONFIGURATION:
                found["config"] = extension.get("extension")
        return found

    @property
    def _api_version(self) -> str:
        return text_at(self._plugin, "apiVersion")

    def _answer(self, text: str) -> Mapping[str, Any]:
        try:
            body = from_json(text)
        except ValueError:
            raise self._failed("what it prints is not JSON") from None
        if not isinstance(body, Mapping) or body.get("kind") != "ExecCredential":
            raise self._failed("what it prints is not an ExecCredential")
        if body.get("apiVersion") != self._api_version:
            raise self._failed(f"it does not speak {self._api_version}")
        try:
            return mapping_at(body, "status")
        except MalformedError as error:
            raise self._failed("its status is not an object") from error

    def _take(self, status: Mapping[str, Any]) -> None:
        try:
            token = text_at(status, "token").strip()
            pair = text_at(status, "clientCertificateData"), text_at(status, "clientKeyData")
            expires = text_at(status, "expirationTimestamp")
        except MalformedError as error:
            raise self._failed("its answer has fields of the wrong type") from error
        if bool(pair[0]) != bool(pair[1]):
            raise self._failed("it returned a certificate without a key, or a key without a certificate")
        if not token and not pair[0]:
            raise self._failed("it returned no token and no certificate")
        refuse_token(token, f"credential plugin '{text_at(self._plugin, 'command')}'", "its token")
        self._value = f"Bearer {token}" if token else ""
        self._expires = seconds_of(expires)
        self.certificate = self._written(*pair) if pair[0] else None

    def _written(self, certificate: str, key: str) -> tuple[str, str]:
        """Paths of both; other contents get other names, so that the connections notice."""
        number = len(list(self._directory.glob("plugin-*.key")))
        paths = self._directory / f"plugin-{number}.crt", self._directory / f"plugin-{number}.key"
        for path, text in zip(paths, (certificate, key), strict=True):
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-8")
        return str(paths[0]), str(paths[1])

    def _failed(self, cause: str) -> ApiError:
        command = text_at(self._plugin, "command")
        message = f"the kubeconfig's credential plugin '{command}' failed: {cause}"
        return ApiError(message, reason="Credentials", subject=command)
