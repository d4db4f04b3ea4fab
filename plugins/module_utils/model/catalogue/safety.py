# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Safety rules within one service: settings that Istio would accept and that would hurt in production."""

from __future__ import annotations

from ..reading.durations import limit_of, seconds
from ..reading.problems import Problems
from .exposures import exposed_port, leads_to_delegate
from .mesh import Catalogue, all_callers
from .readers.traffic import SAFE_CONDITIONS
from .services import MTLS_MODES, Port, Retries, Service, Version


def check_service(service: Service, catalogue: Catalogue, problems: Problems) -> None:
    """Notes every unsafe setting of one service."""
    _check_versions(service, problems)
    _check_http_only(service, problems)
    _check_retries(service, problems)
    _check_routes(service, catalogue, problems)
    _check_mtls(service, catalogue, problems)
    _check_anonymous(service, catalogue, problems)
    _check_ports(service, problems)
    _check_rate_limit(service, catalogue, problems)
    _check_passthrough(service, problems)
    locality = service.load_balancing.locality if service.load_balancing else None
    if locality and locality.get("enabled") and not service.circuit_breaker:
        message = "locality failover works only with a circuit_breaker, which finds the sick endpoints"
        if "failover" in locality or "failoverPriority" in locality:
            problems.add(f"{service.where}.load_balancing.locality", message, "locality")


def _check_versions(service: Service, problems: Problems) -> None:
    where = f"{service.where}.versions"
    seen_labels: dict[object, str] = {}
    seen_workloads: dict[str, str] = {}
    for name, version in service.versions.items():
        labels = tuple(sorted(version.labels.items()))
        if problems.within(f"{where}.{name}"):
            continue
        wider = next((other for other in service.versions if _holds_pods_of(service, name, other)), None)
        if labels in seen_labels:
            problems.add(f"{where}.{name}", f"has the labels of version {seen_labels[labels]}", "duplicate")
        elif wider is not None and labels not in map(_items, _others(service, name)):
            message = f"its labels are those of version {wider} as well, so its share would go there, too"
            problems.add(f"{where}.{name}", message, "duplicate")
        if version.workload in seen_workloads:
            message = f"has the workload of version {seen_workloads[version.workload]}"
            problems.add(f"{where}.{name}", message, "duplicate")
        seen_labels.setdefault(labels, name)
        seen_workloads.setdefault(version.workload, name)
        for key, value in version.labels.items():
            if service.labels.get(key, value) != value:
                message = f"the label {key}={value} contradicts the service's own {key}={service.labels[key]}"
                problems.add(f"{where}.{name}.labels", message, "empty-subset")
    targets = [(f"variants[{index}].to", item.to) for index, item in enumerate(service.variants)]
    targets += [(f"routes[{index}].to", item.to) for index, item in enumerate(service.routes) if item.to]
    if service.mirror:
        targets.append(("mirror.to", service.mirror.to))
    if problems.at(where, *(f"{where}.{name}" for name in service.versions)):
        return
    for key, target in targets:
        if target and target not in service.versions:
            known = ", ".join(service.versions) or "none"
            problems.add(
                f"{service.where}.{key}", f"no version {target!r}; there is {known}", "unknown-version"
            )


def _items(version: Version) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(version.labels.items()))


def _others(service: Service, name: str) -> list[Version]:
    return [version for other, version in service.versions.items() if other != name]


def _holds_pods_of(service: Service, name: str, other: str) -> bool:
    """Whether the subset of a version takes the pods of another one: its labels are a part of theirs."""
    pods = {**service.labels, **service.versions[other].labels}
    return name != other and service.versions[name].labels.items() <= pods.items()


def _check_http_only(service: Service, problems: Problems) -> None:
    if not service.ports or service.http_port or problems.within(f"{service.where}.ports"):
        return
    settings = {
        "timeout": service.timeout,
        "retries": service.retries,
        "open_paths": service.open_paths,
        "rate_limit": service.rate_limit,
        "routes": service.routes,
        "variants": service.variants,
        "mirror": service.mirror,
        "fault": service.fault,
        "cors": service.cors,
    }
    for key, value in settings.items():
        if value:
            problems.add(f"{service.where}.{key}", "needs a port that speaks HTTP", "http-only")
    hash_on = service.load_balancing.hash_on if service.load_balancing else None
    if hash_on and "source_ip" not in hash_on:
        problems.add(f"{service.where}.load_balancing.hash", "needs a port that speaks HTTP", "http-only")


def _check_retries(service: Service, problems: Problems) -> None:
    _check_budget(f"{service.where}.retries", service.retries, service.timeout, service, problems)
    for index, route in enumerate(service.routes):
        where = f"{service.where}.routes[{index}]"
        timeout, retries = service.timeout_of(route), service.retries_of(route)
        _check_budget(f"{where}.retries" if route.retries else where, retries, timeout, service, problems)


def _check_budget(
    where: str, retries: Retries | None, timeout: str | None, service: Service, problems: Problems
) -> None:
    if retries is None or not retries.attempts:
        return
    timeout = limit_of(timeout)
    if timeout and retries.per_try_timeout:
        tries = 1 + retries.attempts
        needed = tries * seconds(retries.per_try_timeout)
        if needed > seconds(timeout) + 1e-9:
            budget = f"{needed:g}s, more than the timeout {timeout}"
            message = f"{tries} tries of {retries.per_try_timeout} take {budget}"
            problems.add(where, message, "timeout-budget")
    port = service.http_port
    risky = [item for item in retries.conditions if item not in SAFE_CONDITIONS]
    once = not retries.non_idempotent and not problems.within(where, f"{service.where}.retries")
    if port and port.is_grpc and risky and once:
        message = (
            f"every gRPC call is a POST, so {', '.join(risky)} would never be retried; "
            "set non_idempotent: true if the calls may run twice"
        )
        problems.add(where, message, "retry-idempotence")


def _check_routes(service: Service, catalogue: Catalogue, problems: Problems) -> None:
    port = service.http_port
    if service.mirror and port and port.is_grpc and not service.mirror.writes:
        message = (
            "every gRPC call is a POST, so nothing would be mirrored; set writes: true if it may run twice"
        )
        if not problems.within(f"{service.where}.mirror"):
            problems.add(f"{service.where}.mirror", message, "mirror-writes")
    _check_reached(service, problems)
    names = [route.name for route in service.routes]
    for index, variant in enumerate(service.variants):
        if variant.name and variant.name in names:
            problems.add(
                f"{service.where}.variants[{index}].name", "is also the name of a route", "duplicate"
            )
    for index, route in enumerate(service.routes):
        path = route.when.path
        if path is None:
            continue
        where = f"{service.where}.routes[{index}].when.path"
        for exposure in service.exposed:
            if not leads_to_delegate(catalogue, service, exposure):
                continue
            # Routes are matched before the rewrite, so behind a rewriting gateway the path never matches.
            if exposure.rewrite and exposure.rewrite != exposure.path:
                message = f"cannot match behind {exposure.where}, which rewrites the path"
                problems.add(where, message, "route-rewrite")
            # A delegate's match must lie inside its root's, else istiod drops the route
            # (pilot/pkg/model/virtualservice.go, stringMatchConflict).
            elif (
                exposure.path.startswith(path.rstrip("/") + "/")
                and exposure.path != path
                and not route.when.path_exact
            ):
                message = f"{path!r} is wider than {exposure.where}, which exposes {exposure.path!r} only"
                problems.add(where, message, "route-nesting")


def _check_passthrough(service: Service, problems: Problems) -> None:
    """A connection that goes where its caller sent it asks nobody for an endpoint (Envoy's ORIGINAL_DST)."""
    where = f"{service.where}.load_balancing.policy"
    if service.load_balancing is None or service.load_balancing.policy != "PASSTHROUGH":
        return
    if len(service.versions) > 1 and not problems.within(f"{service.where}.versions"):
        message = "PASSTHROUGH keeps the address that the caller chose, so no split reaches a version"
        problems.add(where, message, "passthrough")
    elif service.exposed:
        message = "PASSTHROUGH keeps the address that the caller chose, and through a gateway nobody does"
        problems.add(where, message, "passthrough")


def _check_reached(service: Service, problems: Problems) -> None:
    """The first condition that a request meets decides: what an earlier one takes whole is never reached."""
    conditions = [(f"routes[{service.routes.index(item)}]", item.when) for item in service.ordered_routes]
    conditions += [(f"variants[{index}]", item.when) for index, item in enumerate(service.variants)]
    for index, (key, when) in enumerate(conditions):
        first, wins = next(found for found in conditions[: index + 1] if found[1].covers(when))
        if first == key or problems.within(*(f"{service.where}.{item}.when" for item in (first, key))):
            continue
        same = f"is the condition of {first}, which wins"
        message = same if wins == when else f"is never reached: {first} takes all of its requests before"
        problems.add(f"{service.where}.{key}.when", message, "unreachable")


def _check_mtls(service: Service, catalogue: Catalogue, problems: Problems) -> None:
    mtls, mesh_mode = service.mtls, catalogue.mtls_mode
    where = f"{service.where}.mtls"
    known = set(service.target_ports()) | ({service.scrape.port} if service.scrape else set())
    ports_known = not problems.within(f"{service.where}.ports", f"{service.where}.scrape")
    for port in mtls.ports:
        if port not in known and ports_known:
            message = f"{port} is not a target port of {service.name} ({', '.join(map(str, sorted(known)))})"
            problems.add(f"{where}.ports", message, "unknown-port")
    if problems.within("mesh_mtls_mode", where):
        return
    modes = [mtls.mode or mesh_mode, *mtls.ports.values()]
    weakest = max(MTLS_MODES.index(mode) for mode in modes)
    if weakest > MTLS_MODES.index(mesh_mode) and not mtls.reason:
        problems.add(where, f"is weaker than the mesh's {mesh_mode} and needs a reason", "mtls-reason")
    if mesh_mode == "DISABLE" and any(mode == "STRICT" for mode in modes):
        # pilot BestEffortInferServiceMTLSMode: clients look at the namespace only and would send plaintext.
        problems.add(
            where,
            "STRICT under mesh_mtls_mode DISABLE fails every call: clients send plaintext",
            "mtls-clients",
        )
    asked = _ports_that_ask_who(service, catalogue) if ports_known else set()
    plain = {port for port in asked if mtls.mode_of(port, mesh_mode) == "DISABLE"}
    if plain and catalogue.open_reason_of(service) is None:
        ports = ", ".join(map(str, sorted(plain)))
        message = f"port {ports} without mTLS shows no caller identity, so callers cannot be told apart"
        problems.add(where, message, "identity-needs-mtls")


def _ports_that_ask_who(service: Service, catalogue: Catalogue) -> set[int]:
    """The target ports that a rule opens to somebody with an identity: callers, gateways, open paths."""
    asked: set[int] = set()
    for caller in service.callers:
        if caller.has_identity:
            asked |= set(service.target_ports(caller.ports))
    for exposure in service.exposed:
        if port := exposed_port(catalogue, service, exposure):
            asked.add(port.target_port)
    if service.open_paths and service.http_port:
        asked.add(service.http_port.target_port)
    return asked


def _check_ports(service: Service, problems: Problems) -> None:
    """What the proxy of a workload reads in one way only, and rules that would never match."""
    where = f"{service.where}.ports"
    if problems.within(where):
        return
    first: dict[int, Port] = {}
    companion = service.headless
    more = companion.ports if companion and not problems.within(f"{service.where}.headless") else ()
    for port in (*service.ports, *(port for port in more if port not in service.ports)):
        other = first.setdefault(port.target_port, port)
        if other.family != port.family:
            message = (
                f"{other.name} ({other.protocol}) and {port.name} ({port.protocol}) have the target port"
                f" {port.target_port}, which a proxy reads in one way only"
            )
            problems.add(where, message, "one-protocol")
    scrape = service.scrape
    if scrape and not problems.within(f"{service.where}.scrape"):
        streams = [port for port in service.all_ports if port.target_port == scrape.port and not port.is_http]
        if streams:
            message = (
                f"{scrape.port} is the port {streams[0].name} ({streams[0].protocol}): a rule for"
                f" GET {scrape.path} never matches there"
            )
            problems.add(f"{service.where}.scrape.port", message, "http-only")


def _check_anonymous(service: Service, catalogue: Catalogue, problems: Problems) -> None:
    """A port that is STRICT ends every connection without a certificate, whatever the policy says."""
    if problems.within("mesh_mtls_mode", f"{service.where}.mtls", f"{service.where}.ports"):
        return
    scrapers = service.scrape.callers if service.scrape else ()
    for caller in (item for item in all_callers(service) if item.anonymous):
        scraped = service.scrape and caller in scrapers
        ports = (service.scrape.port,) if service.scrape and scraped else service.target_ports(caller.ports)
        modes = {service.mtls.mode_of(port, catalogue.mtls_mode) for port in ports}
        if modes == {"STRICT"}:
            listed = ", ".join(map(str, ports))
            message = (
                f"port {listed} is STRICT, so nobody without a certificate gets as far: give mtls.ports "
                f'{{"{ports[0]}": PERMISSIVE}}, or the service open, which lets everybody of the mesh in'
            )
            problems.add(caller.where, message, "anonymous-strict")


def _check_rate_limit(service: Service, catalogue: Catalogue, problems: Problems) -> None:
    limit = service.rate_limit
    if limit is None:
        return
    if limit.scope == "global" and catalogue.rate_limit_service is None:
        problems.add(
            f"{service.where}.rate_limit.scope", "global needs mesh_rate_limit_service", "rate-limit-service"
        )
    if limit.at != "gateway" or problems.within(f"{service.where}.exposed", f"{service.where}.ports"):
        return
    ports = [exposed_port(catalogue, service, exposure) for exposure in service.exposed]
    if not any(port and port.is_http for port in ports):
        # Streams have no requests that could be counted.
        message = "gateway needs an entry in exposed" + (" that leads to HTTP" if ports else "")
        problems.add(f"{service.where}.rate_limit.at", message, "rate-limit-gateway")
