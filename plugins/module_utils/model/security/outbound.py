# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pod's applications send past its own proxy, as the injector set it up, and whether a call does.

A port that is left alone is so for every address, and a range that is left alone for every port (istio
tools/istio-iptables/pkg/capture run.go).
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ...fields import annotations_of, field, list_at, mappings_at, text_at
from .pods import (
    ANNOTATION,
    CAPTURE,
    INTERFACES,
    PROXY,
    containers_of,
    environment,
    interception,
    leaves_interfaces,
    numbers_of,
    proxy_among,
)

_PROXY_ID = 1337
_GROUPS, _LEFT_GROUPS = "ISTIO_OUTBOUND_OWNER_GROUPS", "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE"
_ALL_BUT = "all but "
_Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"


def _left_groups(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Groups whose connections are left alone (istio tools/istio-iptables/pkg/constants)."""
    if (only := variables.get(_GROUPS, "*").strip()) != "*":
        return (f"everything, as any group but {only or 'none'},",)
    words = variables.get(_LEFT_GROUPS, "").replace(",", " ").split()
    return tuple(f"everything, as group {word}," for word in words)


def _proxy_ids(pod: Mapping[str, Any]) -> frozenset[int]:
    """The user and group whose connections are never captured: what istio-init is told, and else that of the
    proxy (istio tools/istio-iptables/pkg/constants DefaultProxyUID, cni/pkg/plugin ExtractPodInfo)."""
    own = containers_of(pod)
    leading = next((item for item in own if item.get("name") in CAPTURE), None)
    if leading is not None and leading["name"] == CAPTURE[0]:
        told = dict(itertools.pairwise(map(str, list_at(leading, "args")))).get("-u", "")
        return numbers_of(told) or frozenset((_PROXY_ID,))
    proxy = proxy_among(own)
    ids = {field(proxy, "securityContext", name) for name in ("runAsUser", "runAsGroup")}
    return frozenset(one for one in ids if isinstance(one, int)) or frozenset((_PROXY_ID,))


def _runs_as_proxy(pod: Mapping[str, Any]) -> int | None:
    """The proxy's own user or group, if a program runs under it: a container, one that was added to debug, or
    an init container that keeps running."""
    reserved = _proxy_ids(pod)
    outer = [field(pod, "spec", "securityContext", name) for name in ("runAsUser", "runAsGroup")]
    sections = ("containers", "ephemeralContainers", "initContainers")
    running = [(section, one) for section in sections for one in mappings_at(pod, "spec", section)]
    for section, container in running:
        if section == "initContainers" and text_at(container, "restartPolicy") != "Always":
            continue
        inner = [field(container, "securityContext", name) for name in ("runAsUser", "runAsGroup")]
        ids = [own if own is not None else other for own, other in zip(inner, outer, strict=True)]
        if container.get("name") != PROXY and (found := reserved.intersection(ids)):
            return min(found)
    return None


def uncaptured_outbound(pod: Mapping[str, Any]) -> tuple[str, ...]:
    """Where an application can connect to without its proxy, as the injector set it up.

    :returns: ``port 443``, ``10.0.0.0/8``, ``all but 10.0.0.0/8``, ``everything`` (with the reason where no
        annotation tells it); empty when the proxy takes all of it.
    """
    own = containers_of(pod)
    annotations = annotations_of(pod)
    groups: tuple[str, ...] = ()
    options = {
        "-i": annotations.get(f"{ANNOTATION}includeOutboundIPRanges", "*"),
        "-x": annotations.get(f"{ANNOTATION}excludeOutboundIPRanges", ""),
        "-o": annotations.get(f"{ANNOTATION}excludeOutboundPorts", ""),
        "-m": interception(own, annotations),
        "-c": annotations.get(INTERFACES, ""),
    }
    for container in own:
        if container.get("name") in CAPTURE:
            options.pop("-c", None)
            options |= dict(itertools.pairwise(str(word) for word in list_at(container, "args")))
            groups = _left_groups(environment(container))
    if (number := _runs_as_proxy(pod)) is not None:
        return (f"everything, as user or group {number},",)
    if options["-m"] == "NONE" or leaves_interfaces(options):
        return ("everything",)
    included = options["-i"].strip()
    left = [f"port {word}" for word in options["-o"].replace(",", " ").split()]
    left += options["-x"].replace(",", " ").split()
    left += groups
    if included != "*":
        left.append(f"{_ALL_BUT}{included}" if included else "everything")
    return tuple(left)


def way_past(left: Sequence[str], port: int, addresses: Iterable[str]) -> str:
    """By what of all that a proxy does not get a connection goes past it; ``""`` for one that it gets.

    :param left: what `uncaptured_outbound` tells of the pod. :param addresses: where the connection may go.
    """
    found = [block.network_address for block in _blocks(addresses)]
    return next((entry for entry in left if _is_left(entry, port, found)), "")


def _is_left(entry: str, port: int, addresses: Sequence[_Address]) -> bool:
    if entry.startswith("everything"):
        return True
    if entry.startswith("port "):
        return entry == f"port {port}"
    if entry.startswith(_ALL_BUT):
        taken = list(_blocks(entry.removeprefix(_ALL_BUT).replace(",", " ").split()))
        return any(not any(address in block for block in taken) for address in addresses)
    return any(address in block for block in _blocks([entry]) for address in addresses)


def _blocks(texts: Iterable[str]) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """What of the texts is an address or a block of them."""
    for text in texts:
        with contextlib.suppress(ValueError):
            yield ipaddress.ip_network(text, strict=False)
