# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs beside the cluster: the catalogue, the mesh configuration, revisions and tags."""

from __future__ import annotations

from ...errors import ApiError, InputError, Problem, nearest
from ...istio.injection.read import read_injectors
from ...kube.client import KubeClient
from ...model.catalogue.mesh import Catalogue
from ...model.installation.settings import Installation, setting
from ..cluster_check.compare import compare
from ..cluster_check.mesh_config import DEFAULT, read_namespaces
from ..cluster_check.read import places_of
from ..cluster_check.settings import unread_labels
from .agreement import DISCOVERY, unseen_namespaces
from .inputs import Inputs

OFF, REFUSE = "off", "refuse"


def check_catalogue(
    client: KubeClient, inputs: Inputs, catalogue: Catalogue, *, check_mode: bool
) -> list[str]:
    """The catalogue beside the Services, pods, gateways and configuration of the cluster.

    :returns: a sentence for what is probably not meant, or could not be looked at.
    :raises InputError: what would cut calls off, unless ``mesh_cluster_check`` is ``warn`` or ``off``.
    """
    if inputs.cluster_check == OFF:
        return []
    installation, installs = inputs.installation, "istio" in inputs.parts
    problems: list[Problem] = []
    unread: list[str] = []
    if setting(installation, "meshConfig", DISCOVERY, default=()):
        facts = read_namespaces(client, places_of(catalogue))
        problems += unseen_namespaces(installation, catalogue, facts.namespaces)
        if facts.unread:
            unread.append(f"{DISCOVERY}: {unread_labels(facts)}")
    identities = [(gateway.namespace, gateway.service_account) for gateway in installation.gateways]
    found = compare(
        client,
        catalogue,
        not_deployed=inputs.not_deployed,
        unread_files=inputs.has_files,
        gateways_to_come=identities if installs else (),
        gateways_may_come=check_mode,
        to_be_installed=(installation.revision or DEFAULT,) if installs else (),
    )
    problems += found.cuts
    if problems and inputs.cluster_check == REFUSE:
        raise InputError(problems)
    return [*map(str, problems), *unread, *found.notes]


def check_revisions(client: KubeClient, inputs: Inputs, *, check_mode: bool) -> list[str]:
    """Namespaces that ask for a revision or tag which nobody answers to.

    :returns: in check mode, a sentence each: whoever makes a tag may do so before the real run.
    :raises InputError: their pods would get no sidecar, or could not be created at all.
    """
    asked = [
        (index, request.revision)
        for index, request in enumerate(inputs.requests)
        if request.mode == "revision"
    ]
    if not asked:
        return []
    try:
        live = read_injectors(client)
    except ApiError as error:
        if not error.not_allowed:
            raise
        return [f"injection_namespaces: cannot tell whether their revisions exist: {error.message}"]
    known = {name for injector in live for name in (injector.revision, injector.tag) if name}
    if "istio" in inputs.parts:
        known |= _to_be_installed(inputs.installation)
    problems = [
        Problem(
            f"injection_namespaces[{index}].revision",
            f"no revision or tag is called {name!r}{nearest(name, sorted(known))} "
            f"(known: {', '.join(sorted(known)) or 'none'})",
            "unknown-revision",
        )
        for index, name in asked
        if name not in known
    ]
    if problems and not check_mode:
        raise InputError(problems)
    return [str(problem) for problem in problems]


def _to_be_installed(installation: Installation) -> set[str]:
    """The revision of this installation, its tags, and the ``default`` tag that a first install makes."""
    tags = setting(installation, "revisionTags", default=())
    named = {str(tag) for tag in tags} if isinstance(tags, (list, tuple)) else set()
    return {installation.revision or DEFAULT, DEFAULT, *named}
