"""The ledger: what was stated, what was called, and nothing counted that got no answer."""

from __future__ import annotations

import dataclasses

from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import Identity
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import service_edges
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.call_plan import plan_calls
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.cells import (
    AT_THE_PROXIES,
    BY_THE_OBJECTS,
    CALLED,
    ProvedCell,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.findings import (
    failed,
    not_tested,
    passed,
    unknown,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.ledger import draw_up
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.planned_calls import (
    ALLOWED,
    PlannedCall,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.verdicts import CANNOT_TELL, FAIL, PASS

from .builders import GATEWAY, catalogue, service

MESH = catalogue(
    service(
        "web",
        exposed=[{"gateway": "public", "host": "api.example.com", "path": "/"}],
        open_paths=["/health"],
    ),
    service("pay", callers=[{"service": "web", "methods": ["GET"], "paths": ["/a"]}]),
    mesh_gateways=[GATEWAY],
)
ACCOUNTS = frozenset(Identity("shop", name) for name in ("web", "pay", "default"))


def calls() -> tuple[PlannedCall, ...]:
    return plan_calls(MESH, ACCOUNTS, unsafe_methods=False).calls


def test_every_rule_counts_once_it_got_an_answer() -> None:
    web = MESH.services[0]
    outcomes = [(call, passed("authorization", "x", "y")) for call in calls()]
    ledger = draw_up(MESH, [], outcomes, [(web, web.exposed[0])])
    assert ledger.callers == (1, 1)
    stated = sum(len(service_edges(MESH, one)) for one in MESH.services)
    assert ledger.rules == (stated, stated) == (3, 3)
    assert ledger.uncalled == ()
    assert ledger.as_dict()["strangers"] == {
        "the account default, which no policy names": 2,
        "another account of its namespace": 1,
        "an account of another namespace": 0,
        "plaintext, without any identity": 2,
    }
    assert ledger.calls == {
        "shop/pay": {"let_in": 1, "refused": 1, "cut_off": 1},
        "shop/web": {"let_in": 2, "refused": 2, "cut_off": 1},
    }
    assert str(ledger).startswith(
        "1 of 1 callers and 3 of 3 rules were called, 8 calls; of 0 cells 0 called,"
    )


def test_a_call_without_an_answer_called_nothing() -> None:
    outcomes = [(call, unknown("authorization", "x", "y")) for call in calls()]
    ledger = draw_up(MESH, [not_tested("authorization", "x", "why"), unknown("a", "b", "c")], outcomes, [])
    assert (ledger.callers, ledger.rules, ledger.calls) == ((1, 0), (3, 0), {})
    assert ledger.uncalled == (
        "shop/web: gateway public",
        "shop/web: any peer GET /health",
        "shop/pay: shop/web GET /a",
    )
    assert ledger.not_tested == {"why": 1}


def test_what_came_otherwise_is_counted_as_it_came() -> None:
    outcomes = [(call, failed("authorization", "x", "y")) for call in calls()]
    ledger = draw_up(MESH, [], outcomes, [])
    assert ledger.calls["shop/pay"] == {"let_in": 2, "refused": 1, "cut_off": 0}
    assert ledger.as_dict()["rules"] == {"stated": 3, "called": 2}


def test_a_cell_counts_once_at_its_highest_level() -> None:
    def cell(verdict: str, level: str, why: str) -> ProvedCell:
        return ProvedCell("shop/web", "x", "GET /", stated=True, verdict=verdict, level=level, why=why)

    found = [
        cell(PASS, CALLED, ""),
        cell(PASS, AT_THE_PROXIES, "a"),
        cell(PASS, AT_THE_PROXIES, "b"),
        cell(PASS, BY_THE_OBJECTS, "a"),
        cell(FAIL, AT_THE_PROXIES, "a"),
        cell(CANNOT_TELL, BY_THE_OBJECTS, "a"),
    ]
    told = draw_up(MESH, [], [], [], found).as_dict()
    assert told["cells"] == {
        "all": 6,
        "called": 1,
        "at_the_proxies": 2,
        "by_the_objects": 1,
        "not_proved": 2,
    }
    assert told["not_called"] == {"a": 4, "b": 1}


def test_a_call_names_its_rule() -> None:
    allowed = [call for call in calls() if call.expect == ALLOWED]
    assert all(call.edge is not None for call in allowed)
    bare = [(dataclasses.replace(call, edge=None), passed("authorization", "x", "y")) for call in allowed]
    assert draw_up(MESH, [], bare, []).rules == (3, 0)
