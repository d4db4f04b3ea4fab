# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a control plane to its described state, or says what would change.

istioctl installs from here; with Helm the role runs ``helm_release`` for the releases that this
operation names, and only drifted objects are repaired from here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ... import inventory
from ...context import Context
from ...errors import RefusedError
from ...fields import labels_of
from ...istio.images import parse_image
from ...istio.installation.commands import Runner
from ...istio.installation.installed import images_of, installer_of
from ...istio.installation.platforms import Kept, platform_notes
from ...kube.client import KubeClient
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...kube.secret_fields import secret_values
from ...kube.target import tool_environment
from ...model.installation.settings import Installation
from ...model.reading.typed import variables_of
from ...model.versions import parse_istio_version
from . import helm, istioctl
from .drift import HELM_MANAGER, DriftedObject, await_leaving, repair, take_out_additions
from .installer import find_installer
from .options import INSTALLATION_SPEC, INSTALLATION_VARIABLES, ToolOptions, installation_of, tools_of
from .owner import Asker, refuse_second_of_a_revision

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    **INSTALLATION_SPEC,
    **inventory.SPEC,
    "allow_version_skew": {"type": "bool", "default": False},
    "timeout": {"type": "raw", "default": 300},
    "unlock_after": {"type": "raw", "default": 30},
}
VARIABLES = {
    **INSTALLATION_VARIABLES,
    **variables_of(("allow_version_skew", "owner", "take_over", "timeout"), "istio_"),
    "unlock_after": "istio_helm_unlock_after",
}


@dataclasses.dataclass(frozen=True, slots=True)
class ControlPlaneOptions:
    """What a run shall achieve.

    :param timeout: seconds that istioctl may wait for each component.
    :param unlock_after: seconds without a write after which an unfinished helm run counts as dead.
    :param owner: whose the control plane is.
    """

    installation: Installation
    tools: ToolOptions
    allow_version_skew: bool
    timeout: int
    unlock_after: int
    owner: Asker

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> ControlPlaneOptions:
        """The options of module ``control_plane``.

        :param params: as its argument spec leaves them: every option is there.
        :raises InputError: with every problem, each named by its role variable.
        """
        return cls(
            installation_of(params),
            tools_of(params),
            allow_version_skew=params["allow_version_skew"],
            timeout=params["timeout"],
            unlock_after=params["unlock_after"],
            owner=Asker(inventory.Inventory.from_params(params)),
        )


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Plan, then install or repair unless in check mode.

    :returns: ``changed``, ``counts``, ``objects`` (id and action), ``releases`` (Helm), ``notes`` (what
        platforms changed and what is left as it is), ``diff`` if asked.
    :raises InputError: for bad settings, or a tool that is missing or of another version.
    :raises RefusedError: for a second installer, somebody else's control plane, or a change in place that
        Istio does not support.
    """
    options = ControlPlaneOptions.from_params(params)
    connection = ConnectionOptions.from_params(params, context.environment)
    with (
        context.client(connection) as client,
        tool_environment(connection, context.environment) as (environment, secrets),
    ):
        # Both tools quote settings that they cannot use.
        installation = options.installation
        given = [installation.mesh_config, installation.operator_spec, installation.values]
        runner = Runner(environment, context.stop, secrets | secret_values({"given": given}))
        return settle(client, options, runner, context)


def settle(
    client: KubeClient, options: ControlPlaneOptions, runner: Runner, context: Context
) -> dict[str, Any]:
    """The work of ``run`` with a client and a runner of commands. :returns: and raises as ``run``."""
    installation = options.installation
    tool = find_installer(installation, runner, options.tools)
    _refuse_mixture(client, options, context)
    refuse_second_of_a_revision(client, installation)
    if installation.method == "helm":

        def plan() -> helm.HelmPlan:
            return helm.plan(client, installation, runner, tool, options.tools)

        return _settle_helm(client, plan, context, options)
    kept: dict[str, tuple[Kept, ...]] = {}
    differences = istioctl.plan(client, installation, runner, tool, kept=kept)
    options.owner.refuse_foreign(client, installation, _told(differences))
    if differences and not context.check_mode:
        istioctl.install(
            client,
            installation,
            runner,
            tool,
            differences=differences,
            timeout=options.timeout,
            context=context,
        )
    claimed = _claimed(client, options, differences, context)
    return _result([*differences, *claimed], context, changed=bool(differences or claimed), kept=kept)


def _told(differences: Sequence[DriftedObject]) -> list[str]:
    return [f"{difference.action} {difference.id}" for difference in differences]


def _claimed(
    client: KubeClient, options: ControlPlaneOptions, told: Sequence[DriftedObject], context: Context
) -> list[DriftedObject]:
    """The mark of the owner, where it is the only change of istiod's Deployment."""
    claimed = options.owner.claim(client, options.installation, check_mode=context.check_mode)
    known = {difference.id for difference in told}
    return [difference for difference in claimed if difference.id not in known]


def _settle_helm(
    client: KubeClient,
    plan: Callable[[], helm.HelmPlan],
    context: Context,
    options: ControlPlaneOptions,
) -> dict[str, Any]:
    planned = plan()
    locked = planned.locked
    releases = [
        f"{release.action} Helm release {release.namespace}/{release.name}"
        for release in planned.releases
        if release.action != "keep"
    ]
    options.owner.refuse_foreign(client, options.installation, [*releases, *_told(planned.differences)])
    if context.check_mode:
        claimed = _claimed(client, options, planned.differences, context)
        changed = bool(planned.differences or locked or claimed) or planned.pending
        result = _result([*planned.differences, *claimed], context, changed=changed, kept=planned.kept)
        return {**result, "releases": [release.as_result() for release in planned.releases]}
    if locked:
        helm.unlock(client, locked, grace=options.unlock_after, context=context)
        planned = plan()  # the run that was waited for may have ended by itself
    drift = planned.drift
    await_leaving(client, planned.differences, timeout=options.timeout, context=context)
    # An upgrade merges three states and so keeps what a person added, too.
    take_out_additions(client, planned.differences, field_manager=HELM_MANAGER)
    if drift:
        context.progress(f"repairs {len(drift)} drifted objects: {', '.join(item.id for item in drift[:5])}")
        repair(client, drift, field_manager=HELM_MANAGER)
    claimed = _claimed(client, options, drift, context)
    changed = bool(drift or locked or claimed)
    result = _result([*drift, *claimed], context, changed=changed, kept=planned.kept)
    return {**result, "releases": [release.as_result() for release in planned.releases]}


def _result(
    differences: Sequence[DriftedObject],
    context: Context,
    *,
    changed: bool,
    kept: Mapping[str, tuple[Kept, ...]],
) -> dict[str, Any]:
    counts = dict.fromkeys(("create", "update", "delete"), 0)
    for difference in differences:
        counts[difference.action] += 1
    result: dict[str, Any] = {
        "changed": changed,
        "counts": counts,
        "objects": [difference.summary() for difference in differences],
        "releases": [],
        "notes": platform_notes(kept),
    }
    for note in result["notes"]:
        context.progress(note)
    if context.diff_mode:
        result["diff"] = [difference.diff() for difference in differences]
    return result


def _refuse_mixture(client: KubeClient, options: ControlPlaneOptions, context: Context) -> None:
    """Two installers must not share a control plane, and an in-place change moves one minor up at most.

    Source of the second rule: istio.io, supported-releases and setup/upgrade/in-place.
    """
    installation = options.installation
    live = client.get("apps/v1", "Deployment", installation.istiod, installation.namespace)
    if live is None:
        return
    installer = installer_of(live)
    if installer and installer != installation.method:
        options.owner.refuse_foreign(
            client, installation, [f"istio_method {installer} to {installation.method}"]
        )
        raise RefusedError(
            f"{installation.istiod} in {installation.namespace} was installed by {installer}, "
            f"istio_method is {installation.method}: two installers would undo each other's work",
            rule="one-installer",
        )
    image = next(iter(images_of(live)), "")
    # A policy may have pinned the image to a digest; the chart's label says the version all the same.
    running = parse_image(image).tag or labels_of(live).get("app.kubernetes.io/version", "") or image
    now = parse_istio_version(running.partition("-")[0])
    then = parse_istio_version(installation.version)
    if options.allow_version_skew:
        return
    if now is None or then is None:
        if running != installation.tag:
            context.warn(
                f"cannot tell whether a change in place of {installation.istiod} from {running!r} to "
                f"{installation.version} is supported"
            )
        return
    if now[0] == then[0] and 0 <= then[1] - now[1] <= 1:
        return
    options.owner.refuse_foreign(client, installation, [f"version {running} to {installation.version}"])
    raise RefusedError(
        f"{installation.istiod} runs {running}; a change in place to {installation.version} is not supported "
        "(one minor up at a time, never down): install a new revision instead",
        rule="version-skew",
    )
