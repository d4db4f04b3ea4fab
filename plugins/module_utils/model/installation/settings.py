# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be installed: one Istio control plane and its gateways, read and checked from plain data.

Both installation methods start from an ``Installation``; ``istioctl_operator`` and ``helm_releases`` turn it
into the input of their tool. Order of precedence, weakest first: profile, the fields of this file,
``values`` (Helm values), and for istioctl ``operator_spec``.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from ...fields import mapping_at
from ..reading.problems import Problems
from ..reading.reader import Reader
from ..reading.values import TEXT
from .gateways import InstalledGateway, read_gateways, read_namespace, read_revision
from .mesh_config import as_spelled, read_mesh_config, read_parts, spelled

METHODS = ("istioctl", "helm")
ISTIOCTL_PROFILES = (
    "ambient",
    "default",
    "demo",
    "empty",
    "minimal",
    "openshift",
    "openshift-ambient",
    "preview",
    "remote",
    "stable",
)
# manifests/helm-profiles: the charts know fewer names, and `default` and `minimal` mean "no profile" there.
HELM_PROFILES = ("ambient", "default", "demo", "minimal", "preview", "remote", "stable")
# github.com/distribution/reference, reference.go: what comes before the name of an image, and its tag.
_HUB = re.compile(
    r"(?:[A-Za-z0-9]+(?:[._-]+[A-Za-z0-9]+)*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*",
    re.ASCII,
)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_VARIABLES = {"extension_providers": "mesh_extension_providers"}
# Providers that istiod knows without configuration, and what they are: pkg/config/mesh/mesh.go
# DefaultMeshConfig.
BUILT_IN_PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "prometheus": ("prometheus",),
    "stackdriver": ("stackdriver",),
    "envoy": ("envoyFileAccessLog",),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Installation:
    """One control plane.

    :param version: Istio's, such as ``1.31.1``; "" where nothing is installed and only looked at.
    :param revision: "" is the default revision.
    :param default_revision: the revision that validates configuration without a revision label.
    :param values: Helm values of the user. :param operator_spec: spec of the IstioOperator file of the user.
    """

    method: str
    version: str
    hub: str
    tag: str
    profile: str
    revision: str
    default_revision: str
    namespace: str
    mesh_config: Mapping[str, Any]
    values: Mapping[str, Any]
    operator_spec: Mapping[str, Any]
    gateways: tuple[InstalledGateway, ...]

    @property
    def istiod(self) -> str:
        """Name of istiod's Deployment and Service."""
        return f"istiod-{self.revision}" if self.revision else "istiod"

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Every namespace that must exist, the control plane's first. :returns: each once."""
        return tuple(dict.fromkeys((self.namespace, *(gateway.namespace for gateway in self.gateways))))


def deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``: mappings merge, everything else replaces. Neither argument is changed.

    :returns: a new mapping.
    """
    merged = copy.deepcopy(dict(base))
    for key, value in over.items():
        present = merged.get(key)
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            merged[key] = deep_merge(present, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def read_installation(options: Mapping[str, Any]) -> Installation:
    """The settings as a checked value.

    :param options: keys as the options of module ``control_plane``: method, version, hub, tag, profile,
        revision, default_revision, namespace, mesh_config, extension_providers, values, operator_spec,
        gateways. Those that say where tools are found are not looked at.
    :raises InputError: with every problem, each named by its role variable.
    """
    problems = Problems()
    variables = {_VARIABLES.get(name, f"istio_{name}"): value for name, value in options.items()}
    installation = _read(Reader(variables, "", problems))
    _check_method(installation, problems)
    problems.check(variables)
    return installation


def _read(reader: Reader) -> Installation:
    method = reader.choice("istio_method", METHODS, default="istioctl")
    profiles = HELM_PROFILES if method == "helm" else ISTIOCTL_PROFILES
    version, revision = _text(reader, "istio_version"), read_revision(reader)
    hub, tag = _text(reader, "istio_hub").strip("/"), _text(reader, "istio_tag")
    if not hub:
        # Istio 1.30 bakes in a registry that is being shut down, so an empty hub is never right.
        reader.fault("istio_hub", "is empty; give the image hub, such as docker.io/istio", "istio-hub")
    elif not _HUB.fullmatch(hub):
        reader.fault("istio_hub", f"{hub!r} is no image hub such as docker.io/istio", "istio-hub")
    if tag and not _TAG.fullmatch(tag):
        reader.fault("istio_tag", f"{tag!r} is no tag of an image", "istio-tag")
    return Installation(
        method=method,
        version=version,
        hub=hub,
        tag=tag or version,
        profile=reader.choice("istio_profile", profiles, default="default"),
        revision=revision,
        default_revision=_text(reader, "istio_default_revision") or revision or "default",
        namespace=read_namespace(reader),
        mesh_config=read_mesh_config(reader),
        values=_foreign(reader, "istio_values"),
        operator_spec=_foreign(reader, "istio_operator_spec"),
        gateways=read_gateways(reader),
    )


def _foreign(reader: Reader, key: str) -> dict[str, Any]:
    """Values of the tools, taken as they are; only the parts that are looked at here need their own shape."""
    content = reader.mapping(key)
    outer = Reader(content, reader.path(key), reader.problems)
    for place in (outer, outer.section("values")):
        if place is None:
            continue
        if (config := place.section("meshConfig")) is not None:
            config.sections(*as_spelled(config.raw(), "extensionProviders"))
            read_parts(config)
        for name in ("global", "sidecarInjectorWebhook"):
            if (section := place.section(name)) is not None:
                section.section("proxy")
    return content


def _text(reader: Reader, key: str) -> str:
    """A text that may be empty, as roles give what is not set."""
    return "" if reader.value(key) == "" else reader.text(key, TEXT, default="")


def _check_method(installation: Installation, problems: Problems) -> None:
    """What the chosen tool cannot do."""
    if installation.method == "helm":
        if installation.operator_spec:
            message = "has no meaning for Helm; use istio_values"
            problems.add("istio_operator_spec", message, "istio-operator-spec")
        return
    for gateway in installation.gateways:
        # manifests/charts/gateways/istio-ingress/templates/serviceaccount.yaml has no other name.
        if gateway.service_account != f"{gateway.name}-service-account":
            message = f"istioctl always names it {gateway.name}-service-account; use Helm"
            problems.add(f"{gateway.where}.service_account", message, "service-account")
    ingress = [gateway for gateway in installation.gateways if not gateway.egress]
    if len({bool(gateway.replicas) for gateway in ingress}) > 1:
        message = "istioctl gives all gateways one autoscaling switch: set replicas for all or none"
        problems.add("istio_gateways", message, "replicas")


def statements(installation: Installation, *path: str) -> tuple[tuple[str, Any], ...]:
    """Where a Helm value is set, weakest first.

    :param path: of the value, such as ``meshConfig``, ``trustDomain``. MeshConfig may be spelled as in the
        .proto files of Istio, too (``trust_domain``).
    :returns: (place in the variables, value) of each.
    """
    config: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("istio_mesh_config", {"meshConfig": installation.mesh_config}),
        ("istio_operator_spec", {"meshConfig": mapping_at(installation.operator_spec, "meshConfig")}),
    )
    values = (
        ("istio_values", installation.values),
        ("istio_operator_spec.values", mapping_at(installation.operator_spec, "values")),
    )
    found = []
    for place, holder in (config[0], values[0], config[1], values[1]):
        names, value = spelled(holder, *path)
        if value is not None:
            inner = names[1:] if place == "istio_mesh_config" else names
            found.append((".".join((place, *inner)), value))
    return tuple(found)


def setting(installation: Installation, *path: str, default: Any) -> Any:
    """The value that wins among ``statements``, or ``default``."""
    found = statements(installation, *path)
    return found[-1][1] if found else default


def provider_names(installation: Installation) -> tuple[str, ...]:
    """Names of the extension providers that istiod will know.

    :returns: each once: the configured ones, then those that Istio brings along.
    """
    providers = setting(installation, "meshConfig", "extensionProviders", default=())
    configured = [str(provider.get("name")) for provider in providers]
    if installation.profile == "demo":
        configured.append("jaeger")  # manifests/helm-profiles/demo.yaml
    return tuple(dict.fromkeys((*configured, *BUILT_IN_PROVIDERS)))
