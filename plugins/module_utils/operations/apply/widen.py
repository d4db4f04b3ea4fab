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

Obj = dict[str, Any]
# PeerAuthentication modes from loose to tight; UNSET inherits and is taken as the loosest.
_MODES = {"UNSET": 0, "DISABLE": 1, "PERMISSIVE": 2, "STRICT": 3}


def widened(live: Mapping[str, Any], desired: Obj) -> Obj:
    """``desired`` with what ``live`` allows on top; ``desired`` itself where no wider state exists."""
    widen = _WIDEN.get(str(desired.get("kind")))
    old, new = live.get("spec"), desired.get("spec")
    if widen is None or not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return desired
    return {**desired, "spec": widen(old, new)}


def is_default_deny(obj: Mapping[str, Any]) -> bool:
    """An ALLOW policy without rules: it denies whatever no other policy allows."""
    spec = obj.get("spec") or {}
    return (
        obj.get("kind") == "AuthorizationPolicy"
        and spec.get("action", "ALLOW") == "ALLOW"
        and not spec.get("rules")
    )


def is_delegate(obj: Mapping[str, Any]) -> bool:
    """A VirtualService that others delegate to: it has no hosts."""
    return obj.get("kind") == "VirtualService" and not (obj.get("spec") or {}).get("hosts")


def _destination_rule(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    subsets = _added(new.get("subsets"), old.get("subsets"), lambda subset: subset.get("name"))
    return {**new, "subsets": subsets} if subsets else new


def _authorization_policy(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rules of an ALLOW policy add up. A DENY, another selector or another action has no wider state."""
    same_target = old.get("selector") == new.get("selector") and old.get("targetRefs") == new.get(
        "targetRefs"
    )
    if not same_target or (old.get("action", "ALLOW"), new.get("action", "ALLOW")) != ("ALLOW", "ALLOW"):
        return new
    rules = [
        *(new.get("rules") or ()),
        *(rule for rule in old.get("rules") or () if rule not in (new.get("rules") or ())),
    ]
    return {**new, "rules": rules} if rules else new


def _sidecar(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    if old.get("workloadSelector") != new.get("workloadSelector"):
        return new
    result = dict(new)
    if not old.get("egress") or not new.get("egress"):
        result.pop("egress", None)  # no egress section: every host
    else:
        result["egress"] = _egress(old["egress"], new["egress"])
    modes = {((spec.get("outboundTrafficPolicy") or {}).get("mode")) for spec in (old, new)}
    if "ALLOW_ANY" in modes and modes != {"ALLOW_ANY"}:
        result["outboundTrafficPolicy"] = {"mode": "ALLOW_ANY"}
    return result


def _egress(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Listeners of both; of the same listener (port, bind) the hosts of both."""

    def listener(entry: Mapping[str, Any]) -> tuple[Any, ...]:
        port = entry.get("port") or {}
        return port.get("number"), entry.get("bind")

    result = []
    before = {listener(entry): entry for entry in old}
    for entry in new:
        hosts = list(entry.get("hosts") or ())
        earlier = before.pop(listener(entry), {})
        hosts += [host for host in earlier.get("hosts") or () if host not in hosts]
        result.append({**entry, "hosts": hosts})
    return [*result, *before.values()]


def _service_entry(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """Hosts, ports and endpoints of both; with another resolution or location there is no wider state."""
    if any(old.get(field) != new.get(field) for field in ("resolution", "location", "workloadSelector")):
        return new
    result = dict(new)
    result["hosts"] = _added(new.get("hosts"), old.get("hosts"), lambda host: host)
    ports = _added(new.get("ports"), old.get("ports"), lambda port: port.get("number"))
    if len({port.get("name") for port in ports}) == len(ports):
        result["ports"] = ports
    for field in ("addresses", "endpoints"):
        if old.get(field) and new.get(field):
            result[field] = _added(new[field], old[field], lambda entry: entry)
    return result


def _gateway(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """Servers of both, as far as the old one's host is not served by a new one on the same port."""
    if old.get("selector") != new.get("selector"):
        return new

    def hosts(server: Mapping[str, Any]) -> set[tuple[Any, str]]:
        number = (server.get("port") or {}).get("number")
        return {(number, str(host)) for host in server.get("hosts") or ()}

    servers = list(new.get("servers") or ())
    taken = set().union(*(hosts(server) for server in servers)) if servers else set()
    names = {(server.get("port") or {}).get("name") for server in servers}
    for server in old.get("servers") or ():
        if not hosts(server) & taken and (server.get("port") or {}).get("name") not in names:
            servers.append(server)
    return {**new, "servers": servers} if servers else new


def _peer_authentication(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """The looser mode of both, for the workload and for every port."""
    if old.get("selector") != new.get("selector"):
        return new

    def mode(entry: Any) -> str:
        return str((entry or {}).get("mode") or "UNSET")

    def looser(one: str, other: str) -> dict[str, str]:
        return {"mode": min(one, other, key=lambda name: _MODES.get(name, 0))}

    result = dict(new)
    base_old, base_new = mode(old.get("mtls")), mode(new.get("mtls"))
    if base_old != base_new:
        result["mtls"] = looser(base_old, base_new)
    ports_old, ports_new = old.get("portLevelMtls") or {}, new.get("portLevelMtls") or {}
    ports = {
        port: looser(mode(ports_old.get(port, old.get("mtls"))), mode(ports_new.get(port, new.get("mtls"))))
        for port in sorted({*ports_old, *ports_new})
    }
    return {**result, "portLevelMtls": ports} if ports else result


def _added(new: Any, old: Any, identity: Callable[[Any], Any]) -> list[Any]:
    """``new``, then those of ``old`` whose identity it lacks."""
    result = list(new or ())
    known = [identity(item) for item in result]
    return result + [item for item in old or () if identity(item) not in known]


_WIDEN: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]] = {
    "DestinationRule": _destination_rule,
    "AuthorizationPolicy": _authorization_policy,
    "Sidecar": _sidecar,
    "ServiceEntry": _service_entry,
    "Gateway": _gateway,
    "PeerAuthentication": _peer_authentication,
}
