# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dashboard of Grafana for one mesh, out of its catalogue. Pure: the same catalogue gives the same text.

Services and calls come from Prometheus while somebody looks; which services there are, which calls are
allowed and which rollouts there were is of the moment at which the dashboard is made.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...catalogue.mesh import Catalogue
from ...catalogue.services import Caller
from ...certificates.trust import (
    DUE,
    END_METRIC,
    LOOKED_METRIC,
    SHARE_METRIC,
    VERDICTS_METRIC,
    WORKLOAD,
    Limits,
)
from ...promql import quoted
from ..queries import SERVICE, QueryScope, error_share, plain
from .annotations import RolloutMark, annotations_of
from .panels import CALM, FAILING, Panel, Steps, counts, graph, link, placed, row, stat, table, text

_SCHEMA = 39
"""Of the dashboard model: Grafana migrates it to its own, from version 10 on."""
_TAG = "servicemesh"
_QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
_CHOSEN = f',{SERVICE}=~"$service"'
_LIMITS = Limits()
_LIFE: Steps = (("red", None), ("orange", round(_LIMITS.fail, 4)), ("green", round(_LIMITS.due, 4)))
_DAYS: Steps = (("red", None), ("orange", 7), ("green", 30))
_ENDED: Steps = (("red", None), ("text", 0.0))
_OLD: Steps = (("green", None), ("orange", 2 * 86_400))
_EDGE_COLUMNS = {
    "source_workload_namespace": "caller's namespace",
    "source_canonical_service": "caller",
    "destination_service_namespace": "namespace",
    "destination_service_name": "called",
}
_TOLD = (
    "Requests as playbook observe counts them: those that a service's own proxies saw, and those that its"
    " callers' proxies ended because they found no way to it. Retries count."
)
_FAILED = "Status 5xx, gRPC statuses of failed servers, and no answer unless the caller went away."


def dashboard(catalogue: Catalogue, scope: QueryScope, marks: Sequence[RolloutMark] = ()) -> dict[str, Any]:
    """The dashboard of a mesh, as a file that Grafana reads.

    :param scope: which series are the mesh's. :param marks: its rollouts.
    :returns: Grafana's dashboard model, without an id of a database: its ``uid`` is the mesh's.
    """
    named = ", ".join(f"{name}={value}" for name, value in sorted(scope.matchers.items()))
    uid = uid_of(catalogue.name, scope.matchers)
    return {
        "uid": uid,
        "title": f"Mesh {catalogue.name}" + (f" ({named})" if named else ""),
        "description": "Made by servicemesh.istio, playbook observe, out of the mesh's catalogue.",
        "tags": [_TAG],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "timezone": "",
        "links": [{"type": "dashboards", "title": "Meshes", "tags": [_TAG], "asDropdown": True}],
        "templating": {"list": _variables(catalogue)},
        "annotations": {"list": annotations_of(catalogue, scope, marks)},
        "panels": _numbered(_panels(catalogue, scope, uid)),
    }


def uid_of(mesh: str, matchers: Mapping[str, str]) -> str:
    """The dashboard's id: the same at each run, another one for each mesh that a Grafana may show."""
    if not matchers and re.fullmatch(r"[a-zA-Z0-9-]{1,35}", mesh, re.ASCII):
        return f"mesh-{mesh}"
    digest = hashlib.sha256(json.dumps([mesh, sorted(matchers.items())]).encode()).hexdigest()
    return f"mesh-{digest[:24]}"


def stated_calls(catalogue: Catalogue) -> list[tuple[str, str]]:
    """Who may call whom. :returns: caller and service (or host outside), each pair once, in order."""
    found = set()
    for service in catalogue.services:
        found |= {(_caller(caller), service.key) for caller in service.callers}
        found |= {(f"gateway {exposure.gateway}", service.key) for exposure in service.exposed}
        if service.open_reason is not None:
            found.add(("everybody", service.key))
    for outside in catalogue.external_services:
        for caller in outside.callers:
            found |= {(_caller(caller), host) for host in outside.hosts}
    return sorted(found)


def _caller(caller: Caller) -> str:
    if caller.service is not None:
        return f"{caller.namespace}/{caller.service}"
    if caller.gateway is not None:
        return f"gateway {caller.gateway}"
    return caller.principal or ", ".join(caller.ip_blocks) or "everybody"


def _variables(catalogue: Catalogue) -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    if not catalogue.services:
        return [source]
    options = [{"text": one.key, "value": one.fqdn, "selected": False} for one in catalogue.services]
    return [
        source,
        {
            "name": "service",
            "label": "Services below",
            "type": "custom",
            "multi": True,
            "includeAll": True,
            "query": ",".join(f"{_word(one['text'])} : {_word(one['value'])}" for one in options),
            "current": {"text": ["All"], "value": ["$__all"], "selected": True},
            "options": [{"text": "All", "value": "$__all", "selected": True}, *options],
        },
    ]


def _word(value: Any) -> str:
    """As the list of a variable has it: a comma would end it."""
    return str(value).replace(",", "\\,")


def _panels(catalogue: Catalogue, scope: QueryScope, uid: str) -> list[Panel]:
    found: list[Panel] = []
    for title, lines in (
        ("Mesh", _overview(scope, uid)),
        ("Calls", _calls(catalogue, scope)),
        ("Certificates, as playbook trust found them", _certificates(catalogue.name, scope)),
    ):
        top = _bottom(found)
        found += placed([(1, [row(title, [])]), *lines], top)
    if catalogue.services:
        top = _bottom(found)
        inside = placed(_of_service(dataclasses.replace(scope, service=_CHOSEN)), top + 1)
        found += placed([(1, [row("${service:text}", inside, repeat="service")])], top)
    return found


def _bottom(panels: Sequence[Panel]) -> int:
    return max((panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels), default=0)


def _numbered(panels: Sequence[Panel]) -> list[Panel]:
    """With the ids that panels need within their dashboard, in the order in which they stand."""
    found, number = [], 0
    for panel in panels:
        number += 1
        numbered = {"id": number, **panel}
        if panel.get("panels"):
            numbered["panels"] = [
                {"id": number + at, **inner} for at, inner in enumerate(panel["panels"], start=1)
            ]
            number += len(panel["panels"])
        found.append(numbered)
    return found


def _overview(scope: QueryScope, uid: str) -> list[tuple[int, list[Panel]]]:
    requests, failed = scope.requests(), scope.failed()
    share = error_share(f"sum({failed})", f"sum({requests})")
    values = {
        "requests": (requests, "requests", CALM),
        "errors": (error_share(failed, requests), "share", FAILING),
        **{name: (scope.quantile(part), "time", CALM) for name, part in _QUANTILES},
    }
    services = table("Services", {SERVICE: "service"}, values, ("errors", True), f"{_TOLD} {_FAILED}")
    url = f"/d/{uid}?${{datasource:queryparam}}&var-service=${{__value.raw}}&${{__url_time_range}}"
    return [
        (
            4,
            [
                stat("Requests", f"sum({requests})", "requests", about=_TOLD),
                stat("Errors", share, "share", FAILING, _FAILED),
                stat("Services with requests", f"count({requests} > 0)", "count"),
                stat("Requests without mutual TLS", f"sum({scope.without_mtls()}) or vector(0)", "requests",
                     (("green", None), ("orange", 0.000_001)),
                     "Plain text, from callers without a proxy: the servers' proxies saw it."),
            ],
        ),
        (
            8,
            [
                graph("Requests by service", {f"{{{{{SERVICE}}}}}": requests}, "requests"),
                graph("Errors by service", {f"{{{{{SERVICE}}}}}": error_share(failed, requests)}, "share"),
            ],
        ),
        (10, [link(services, SERVICE, "Only this service below", url)]),
    ]  # fmt: skip


def _calls(catalogue: Catalogue, scope: QueryScope) -> list[tuple[int, list[Panel]]]:
    requests = scope.edge_requests()
    values = {
        "requests": (requests, "requests", CALM),
        "errors": (error_share(scope.edge_failed(), requests), "share", FAILING),
        **{name: (scope.quantile(part, edges=True), "time", CALM) for name, part in _QUANTILES},
    }
    about = "As the caller's proxy saw them: with the time on the way, and retries as one."
    rows = [f"| {_cell(caller)} | {_cell(called)} |" for caller, called in stated_calls(catalogue)]
    words = "\n".join(["| caller | may call |", "|---|---|", *rows]) if rows else "It states no call."
    return [
        (10, [table("Calls", _EDGE_COLUMNS, values, ("errors", True), about)]),
        (8, [text("Calls that the catalogue allows", words)]),
    ]


def _cell(value: str) -> str:
    """Words that are no Markdown, no HTML and no variable of Grafana."""
    return re.sub(r"[^A-Za-z0-9./: -]", lambda found: f"&#{ord(found[0])};", value)


def _certificates(mesh: str, scope: QueryScope) -> list[tuple[int, list[Panel]]]:
    mine = f"mesh={plain(quoted(mesh))}{scope.only}"
    lasting = f'{mine},kind!="{WORKLOAD}"'
    days = f"({END_METRIC}{{{lasting}}} - time()) / 86400"
    labels = ("kind", "where", "part")
    by = ", ".join(labels)
    values = {
        "days left": (f"min by ({by}) ({days})", "days", _ENDED),
        "life left at the last look": (f"min by ({by}) ({SHARE_METRIC}{{{lasting}}})", "share", _LIFE),
    }
    colours = {"fail": "red", DUE: "orange", "cannot tell": "orange", "pass": "green"}
    about = "Without those of workloads, which istiod renews by itself every day."
    found = table("Certificates", {name: name for name in labels}, values, ("days left", False), about)
    return [
        (
            4,
            [
                stat("Soonest end", f"min({days})", "days", _DAYS, about),
                counts("Verdicts", f"max by (verdict) ({VERDICTS_METRIC}{{{mine}}})", "{{verdict}}", colours),
                stat("Since the last look", f"time() - max({LOOKED_METRIC}{{{mine}}})", "seconds", _OLD),
            ],
        ),
        (8, [found]),
    ]


def _of_service(scope: QueryScope) -> list[tuple[int, list[Panel]]]:
    requests, failed = scope.requests(), scope.failed()
    caller = "{{source_workload_namespace}}/{{source_canonical_service}}"
    quantiles = {name: scope.quantile(share) for name, share in _QUANTILES}
    callers = scope.edge_requests()
    return [
        (
            7,
            [
                graph("Requests", {"all": requests, "failed": failed}, "requests", _TOLD),
                graph("Errors", {"share": error_share(failed, requests)}, "share", _FAILED),
                graph("Latency", quantiles, "time", "In the service's own proxies: without the way."),
            ],
        ),
        (
            7,
            [
                graph("Requests by version", {"{{destination_version}}": scope.by_version()}, "requests",
                      stacked=True),
                graph("Requests by caller", {caller: callers}, "requests"),
                graph("Errors by caller", {caller: error_share(scope.edge_failed(), callers)}, "share"),
            ],
        ),
    ]  # fmt: skip
