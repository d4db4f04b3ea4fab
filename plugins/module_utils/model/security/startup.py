# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pod says of its own about how its proxy begins, and about what is led to it.

Injected pods are all alike, and so their annotations and the arguments of istio-init tell what a proxy stands
before. A pod can override every part of that: where it does, none of it says what really happens. Sources:
manifests/charts/istio-control/istio-discovery/files/injection-template.yaml, pkg/kube/inject/webhook.go
(reapplyOverwrittenContainers), tools/istio-iptables/pkg/cmd/root.go (bindCmdlineFlags).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...documents.read import read_document
from ...errors import MeshError
from ...fields import annotations_of, list_at, mappings_at, text_at
from ..reading.values import is_number
from .pods import CAPTURE, PROXY, containers_of, environment, lacks_capture, proxy_among
from .truth import GO_TRUE

BOOTSTRAP = "sidecar.istio.io/bootstrapOverride"
IMAGE = "sidecar.istio.io/proxyImage"
CONFIG = "proxy.istio.io/config"
ISTIOD = "sidecar.istio.io/discoveryAddress"

_FLAGS = frozenset(["-p", "-z", "-u", "-m", "-i", "-x", "-b", "-d", "-q", "-o", "-k", "-c"])
"""What the injector gives istio-init, each with a value behind it."""
_SWITCHES = frozenset(("istio-iptables", "--log_as_json", "--force-apply", "--native-nftables"))
_OF_VALIDATION = frozenset(("--run-validation", "--skip-rule-apply"))
"""The network plugin has set up the rules, and istio-validation only looks."""
_LOG_LEVEL = "--log_output_level="
_LISTENING = {"-p": "15001", "-z": "15006"}
"""Where the proxy takes what goes out and what comes in: at other ports somebody else does."""
_OF_THE_AGENT = ("--templateFile", "--meshConfig", "--tokenManagerPlugin")
"""Arguments of the proxy's container that the injector does not give, and that decide how Envoy begins (istio
pilot/cmd/pilot-agent/app/cmd.go)."""
_BEGINNING = frozenset(("DISABLE_ENVOY", "ISTIO_BOOTSTRAP", "ISTIO_BOOTSTRAP_OVERRIDE"))
"""The same as variables (istio pkg/bootstrap/instance.go, pkg/envoy/proxy.go)."""
_DECIDING = frozenset(
    (
        "CLEANUP_ONLY",
        "CNI_MODE",
        "DRY_RUN",
        "ISTIO_EXCLUDE_INTERFACES",
        "ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE",
        "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR",
        "ISTIO_OUTBOUND_PORTS",
        "INBOUND_TUNNEL_PORT",
        "KUBE_VIRT_INTERFACES",
        "NETWORK_NAMESPACE",
        "PROXY_GID",
        "SKIP_RULE_APPLY",
    )
)
"""Flags of istio-iptables that the injector leaves out of the arguments, by the variables that set them.
Groups that are left alone: `uncaptured_outbound`."""
_PLAIN_SETTINGS = frozenset(
    (
        "concurrency",
        "drainDuration",
        "extraStatTags",
        "holdApplicationUntilProxyStarts",
        "image",
        "interceptionMode",  # `read_pod` counts it
        "parentShutdownDuration",
        "proxyStatsMatcher",
        "readinessProbe",
        "statNameLength",
        "terminationDrainDuration",
        "tracing",
    )
)
"""Fields of a ProxyConfig that change no decision about a request."""
_PLAIN_VARIABLES = frozenset(
    (
        "BOOTSTRAP_XDS_AGENT",
        "EXIT_ON_ZERO_ACTIVE_CONNECTIONS",
        "ISTIO_META_DNS_AUTO_ALLOCATE",
        "ISTIO_META_DNS_CAPTURE",
        "ISTIO_META_IDLE_TIMEOUT",
        "METRICS_LOCALHOST_ACCESS_ONLY",
        "MINIMUM_DRAIN_DURATION",
    )
)


_DUAL_STACK = ("ISTIO_DUAL_STACK", "DUAL_STACK")
"""Without one of them istio-init sets up rules for the family of the first address alone, and that is IPv4
where there is one (istio tools/common/config getLocalIP; the network plugin: cni/pkg/plugin NewRedirect)."""
_PORTS, _REROUTED = ("-b", "-d"), "-k"
_OF_VIRTUAL_MACHINES = "k6t-"
"""The bridges of KubeVirt, by which comes what its virtual machine sends and nothing else."""


def past_addresses(pod: Mapping[str, Any]) -> tuple[str, ...]:
    """The addresses of a pod with a sidecar at which no proxy stands: those of IPv6, where it has one of IPv4
    as well and its proxy was not set up for both.

    :returns: sorted.
    """
    own = containers_of(pod)
    if not any(container.get("name") in CAPTURE for container in own):
        return ()
    for container in own:
        variables = environment(container) if container.get("name") in (*CAPTURE, PROXY) else {}
        if any(variables.get(name) in GO_TRUE for name in _DUAL_STACK):
            return ()
    known = {text_at(entry, "ip") for entry in mappings_at(pod, "status", "podIPs")}
    wide = {address for address in known if ":" in address}
    return tuple(sorted(wide)) if known - wide else ()


def own_ways(pod: Mapping[str, Any]) -> tuple[str, ...]:
    """How a pod with a proxy begins it, or leads traffic to it, in ways that nobody can judge from outside.

    :returns: half sentences about the pod; empty for one that is as the injector makes them.
    """
    annotations = annotations_of(pod)
    own = containers_of(pod)
    found = []
    if told := annotations.get(BOOTSTRAP):
        found.append(f"starts its proxy with the configuration of ConfigMap {told} ({BOOTSTRAP})")
    if told := annotations.get(IMAGE):
        found.append(f"runs a proxy of its own, {told} ({IMAGE})")
    if told := annotations.get(ISTIOD):
        found.append(f"takes the configuration of its proxy from {told} ({ISTIOD})")
    found += _settings(annotations.get(CONFIG, ""))
    proxy = proxy_among(own)
    for word in map(str, list_at(proxy, "args")):
        if word.startswith(_OF_THE_AGENT):
            found.append(f"gives its {PROXY} an argument of its own: {word}")
    if BOOTSTRAP not in annotations:
        found += [f"sets {name} for its {PROXY}" for name in sorted(_BEGINNING & environment(proxy).keys())]
    for container in own:
        if container.get("name") in (*CAPTURE, PROXY) and list_at(container, "command"):
            words = " ".join(map(str, list_at(container, "command")))
            found.append(f"runs another program in its container {container['name']}: {words}")
    leading = next((item for item in own if item.get("name") in CAPTURE), None)
    if leading is not None:
        found += _arguments(leading)
        names = sorted(_DECIDING & environment(leading).keys())
        found += [f"sets {name} for its {leading['name']}" for name in names]
    elif lacks_capture(pod):
        found.append(f"has a proxy, and nothing in it that leads traffic there (no {' or '.join(CAPTURE)})")
    return tuple(found)


def _arguments(container: Mapping[str, Any]) -> Iterator[str]:
    name = text_at(container, "name")
    known = _SWITCHES | (_OF_VALIDATION if name != CAPTURE[0] else frozenset())
    flag = ""
    for word in map(str, list_at(container, "args")):
        if flag:
            yield from _value(name, flag, word)
            flag = ""
        elif word in _FLAGS:
            flag = word
        elif word not in known and not word.startswith(_LOG_LEVEL):
            yield f"gives its {name} an argument of its own: {word}"


def _value(name: str, flag: str, value: str) -> Iterator[str]:
    words = value.replace(",", " ").split()
    if flag == _REROUTED and not all(word.startswith(_OF_VIRTUAL_MACHINES) for word in words):
        yield f"takes what comes in by {value} for what it sends itself (argument {flag} of its {name})"
    if value != _LISTENING.get(flag, value):
        yield f"leads traffic to port {value} instead of its proxy's (argument {flag} of its {name})"
    if flag in _PORTS and words != ["*"] and not all(map(is_number, words)):
        yield f"names ports that are none in argument {flag} of its {name}: {value}"


def _settings(text: str) -> Iterator[str]:
    if not text.strip():
        return
    try:
        told = read_document(text, CONFIG)
    except MeshError:
        told = None
    if not isinstance(told, Mapping):
        yield f"has settings of its proxy that cannot be read ({CONFIG})"
        return
    metadata = told.get("proxyMetadata")
    names = [str(name) for name in told if name not in (*_PLAIN_SETTINGS, "proxyMetadata")]
    names += [
        f"proxyMetadata.{name}"
        for name in (metadata if isinstance(metadata, Mapping) else {})
        if name not in _PLAIN_VARIABLES
    ]
    if names:
        yield f"sets {', '.join(sorted(names))} of its proxy ({CONFIG})"
