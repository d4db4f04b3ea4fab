# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs helm for one release, on the cluster that every other task of the run reaches.

helm gets a kubeconfig that says what the connection says, and nothing else of the environment that could name
another cluster. The values go through its standard input, neither logged nor on a disk; those
of an installation are computed here, because what one task hands to another is shown in its result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..context import Context
from ..documents.json_text import json_text
from ..errors import InputError, Problem
from ..istio.installation.commands import Runner, find_tool, helm_version
from ..istio.installation.helm_releases import desired_releases
from ..kube.options import CONNECTION_SPEC, ConnectionOptions
from ..kube.secret_fields import secret_values
from ..kube.target import tool_environment
from .control_plane.options import INSTALLATION_SPEC, installation_of, typed_installation

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    "name": {"type": "str", "required": True},
    "release_namespace": {"type": "str", "required": True},
    "chart": {"type": "str"},
    "values": {"type": "dict", "default": {}},
    "installation": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "history_max": {"type": "int", "default": 10},
    "wait": {"type": "bool", "default": True},
    "timeout": {"type": "raw", "default": 300},
    "binary": {"type": "str", "default": "helm"},
}
VARIABLES = {"timeout": "istio_timeout", "binary": "istio_helm_binary", "history_max": "istio_helm_history"}
CONSTRAINTS: dict[str, Any] = {"required_if": [("state", "present", ["chart"])]}

# helm itself gives up after its timeout, and says for what it waited.
_GRACE = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class HelmReleaseOptions:
    """One release. ``timeout`` in seconds, for each operation of helm."""

    name: str
    namespace: str
    chart: str
    values: Mapping[str, Any]
    absent: bool
    history_max: int
    wait: bool
    timeout: int
    binary: str

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> HelmReleaseOptions:
        """The options of module ``helm_release``, as its argument spec leaves them."""
        return cls(
            name=params["name"],
            namespace=params["release_namespace"],
            chart=params["chart"] or "",
            values=_values_of(params),
            absent=params["state"] == "absent",
            history_max=params["history_max"],
            wait=params["wait"],
            timeout=max(1, round(float(params["timeout"]))),
            binary=params["binary"],
        )

    def words(self, version: str = "") -> list[str]:
        """The command line. Helm 4 merges as Helm 3 does, which is what check mode predicts: its server-side
        apply ends with a conflict where a platform owns a field (AKS, selectors of webhooks).

        :param version: of helm. :returns: words behind the name of the program; no secret is among them.
        """
        waiting = [*(["--wait"] if self.wait else []), "--timeout", f"{self.timeout}s"]
        place = ["--namespace", self.namespace]
        if self.absent:
            return ["uninstall", self.name, *place, "--ignore-not-found", *waiting]
        history = ["--history-max", str(self.history_max)]
        return [
            "upgrade",
            self.name,
            self.chart,
            *place,
            "--install",
            "--create-namespace",
            "--reset-values",
            *history,
            *waiting,
            *(["--server-side=false"] if version.startswith("4.") else []),
            "--values",
            "-",
        ]


def _values_of(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """All values of the release: as they were given, or as they follow from an installation.

    :raises InputError: both were given, or the installation has no such release.
    """
    given = params["installation"]
    if given is None or params["state"] == "absent":
        return dict(params["values"])
    if params["values"]:
        raise InputError([Problem("values", "and installation exclude each other", "helm-values")])
    typed, problems = typed_installation(given)
    if problems:
        raise InputError(problems)
    texts = {name for name, entry in INSTALLATION_SPEC.items() if entry["type"] == "str"}
    options = {name: str(value) if name in texts else value for name, value in typed.items()}
    wanted = params["name"], params["release_namespace"]
    for release in desired_releases(installation_of({**options, "method": "helm"})):
        if (release.name, release.namespace) == wanted:
            return release.values
    raise InputError([Problem("installation", f"has no release {'/'.join(reversed(wanted))}", "helm-values")])


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Install or upgrade a release, or remove it. It always runs helm: what differs was found before.

    :returns: ``changed`` and ``release``. :raises InputError: helm is not there.
    :raises MeshError: helm fails, or does not end in time.
    """
    options = HelmReleaseOptions.from_params(params)
    release = f"{options.namespace}/{options.name}"
    result = {"changed": True, "release": release}
    if context.check_mode:
        return result
    connection = ConnectionOptions.from_params(params, context.environment)
    with tool_environment(connection, context.environment) as (environment, secrets):
        # helm quotes values that a chart cannot use
        runner = Runner(environment, context.stop, secrets | secret_values(options.values))
        tool = find_tool(options.binary, where="istio_helm_binary", environment=environment)
        version = "" if options.absent else helm_version(runner, tool).version
        action = "remove" if options.absent else "apply"
        context.progress(f"helm: {action} release {release}")
        runner.run(
            [tool, *options.words(version)],
            stdin="" if options.absent else json_text(options.values),
            timeout=2 * options.timeout + _GRACE,
            about=f"{action} Helm release {release}",
        )
    return result
