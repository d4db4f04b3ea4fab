# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between two states of an Istio object: the state that serves old and new callers alike.

Dropping a subset and its route in one go breaks callers, because istiod and every proxy learn of the two at
different times. So the wider object is written first, then the routes, then the narrow one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...equality import same
from ...fields import field, list_at, mappings_at, text_at
from ...model.security.peer_authentication import STRICT, mode_for_both, stated_modes

Obj = dict[str, Any]


def widened(live: Mapping[str, Any], desired: Obj) -> Obj:
    """``desired`` with what ``live`` allows on top; ``desired`` itself where no wider state exists."""
    widen = _WIDEN.get(str(desired.get("kind")))
    old, new = live.get("spec"), desired.get("spec")
    if widen is None or not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return desired
    return {**desired, "spec": widen(old, new)}


def is_default_deny(obj: Mapping[str, Any]) -> bool:
    """An ALLOW policy without rules: it denies whatever no other policy allows."""
    return (
        obj.get("kind") == "AuthorizationPolicy"
        and action_of(obj) == "ALLOW"
        and not list_at(obj, "spec", "rules")
    )


def action_of(policy: Mapping[str, Any]) -> str:
    """The action of an AuthorizationPolicy."""
    return text_at(policy, "spec", "action") or "ALLOW"


def is_delegate(obj: Mapping[str, Any]) -> bool:
    """A VirtualService that others delegate to: it has no hosts."""
    return obj.get("kind") == "VirtualService" and not list_at(obj, "spec", "hosts")


def _destination_rule(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    subsets = _added(
        mappings_at(new, "subsets"), mappings_at(old, "subsets"), lambda subset: subset.get("name")
    )
    return {**new, "subsets": subsets} if subsets else new


def _authorization_policy(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rules of an ALLOW policy add up. A DENY, another selector or another action has no wider state."""
    actions = {text_at(spec, "action") or "ALLOW" for spec in (old, new)}
    if not _agree(old, new, "selector", "targetRefs") or actions != {"ALLOW"}:
        return new
    rules = _added(list_at(new, "rules"), list_at(old, "rules"))
    return {**new, "rules": rules} if rules else new


def _sidecar(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    if not _agree(old, new, "workloadSelector"):
        return new
    result = dict(new)
    egress = [mappings_at(spec, "egress") for spec in (old, new)]
    if all(egress):
        result["egress"] = _egress(*egress)
    else:
        result.pop("egress", None)  # no egress section: every host
    modes = {text_at(spec, "outboundTrafficPolicy", "mode") for spec in (old, new)}
    if "ALLOW_ANY" in modes and modes != {"ALLOW_ANY"}:
        result["outboundTrafficPolicy"] = {"mode": "ALLOW_ANY"}
    return result


def _egress(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Listeners of both; of the same listener (port, bind) the hosts of both."""

    def listener(entry: Mapping[str, Any]) -> tuple[Any, ...]:
        return field(entry, "port", "number"), entry.get("bind")

    result = []
    before = {listener(entry): entry for entry in old}
    for entry in new:
        hosts = _added(list_at(entry, "hosts"), list_at(before.pop(listener(entry), {}), "hosts"))
        # istiod warns of a host beside the whole namespace that holds it.
        whole = {str(host).split("/", 1)[0] for host in hosts if str(host).endswith("/*")}
        kept = [host for host in hosts if str(host).endswith("/*") or str(host).split("/", 1)[0] not in whole]
        result.append({**entry, "hosts": kept})
    return [*result, *before.values()]


def _service_entry(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """Hosts, ports and endpoints of both; with another resolution or location there is no wider state."""
    if not _agree(old, new, "resolution", "location", "workloadSelector"):
        return new
    result = dict(new)
    result["hosts"] = _added(list_at(new, "hosts"), list_at(old, "hosts"))
    ports = _added(mappings_at(new, "ports"), mappings_at(old, "ports"), lambda port: port.get("number"))
    if len({port.get("name") for port in ports}) == len(ports):
        result["ports"] = ports
    for name in ("addresses", "endpoints"):
        if list_at(old, name) and list_at(new, name):
            result[name] = _added(list_at(new, name), list_at(old, name))
    return result


def _gateway(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """Servers of both, as far as the old one's host is not served by a new one on the same port."""
    if not _agree(old, new, "selector"):
        return new

    def hosts(server: Mapping[str, Any]) -> set[tuple[Any, str]]:
        return {(field(server, "port", "number"), str(host)) for host in list_at(server, "hosts")}

    servers = list(mappings_at(new, "servers"))
    taken: set[tuple[Any, str]] = set().union(*map(hosts, servers))
    names = {field(server, "port", "name") for server in servers}
    for server in mappings_at(old, "servers"):
        if not hosts(server) & taken and field(server, "port", "name") not in names:
            servers.append(server)
    return {**new, "servers": servers} if servers else new


def _peer_authentication(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """For the workload and for every port the mode that serves the callers of both."""
    if not _agree(old, new, "selector"):
        return new

    result = dict(new)
    (base_old, ports_old), (base_new, ports_new) = stated_modes(old), stated_modes(new)
    if base_old != base_new:
        result["mtls"] = {"mode": mode_for_both(base_old, base_new)}
    ports = {
        port: {"mode": mode}
        for port in sorted({*ports_old, *ports_new})
        if (mode := mode_for_both(ports_old.get(port, base_old), ports_new.get(port, base_new)))
    }
    # A port that goes keeps its mode until then: it may be a person's, and a field that was taken over from
    # somebody and is dropped afterwards leaves an empty port behind, which the server refuses.
    ports |= {
        port: {"mode": mode} for port, mode in ports_old.items() if port not in ports_new and mode != STRICT
    }
    return {**result, "portLevelMtls": ports} if ports else result


def _agree(old: Mapping[str, Any], new: Mapping[str, Any], *names: str) -> bool:
    return all(same(old.get(name), new.get(name)) for name in names)


def _added(
    new: Sequence[Any], old: Sequence[Any], identity: Callable[[Any], Any] = lambda item: item
) -> list[Any]:
    """``new``, then those of ``old`` whose identity it lacks."""
    known = [identity(item) for item in new]
    return [*new, *(item for item in old if not any(same(identity(item), other) for other in known))]


_WIDEN: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]] = {
    "DestinationRule": _destination_rule,
    "AuthorizationPolicy": _authorization_policy,
    "Sidecar": _sidecar,
    "ServiceEntry": _service_entry,
    "Gateway": _gateway,
    "PeerAuthentication": _peer_authentication,
}
