# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue as a survey or a command line hands it over: text."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import Problem
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.variables import (
    typed_catalogue,
)


@pytest.mark.parametrize(
    ("name", "given", "found"),
    [
        ("mesh_trust_domain_aliases", "a, b", ["a", "b"]),
        ("mesh_sidecar_hosts", '["a/*"]', ["a/*"]),
        ("mesh_default_deny", "no", False),
        ("mesh_default_deny", True, True),
        *((name, '{"a": 1}', {"a": 1}) for name in ("mesh_open", "mesh_egress_gateway", "mesh_telemetry")),
        ("mesh_rate_limit_service", "a: 1", {"a": 1}),
        *(
            (name, '[{"name": "a"}]', [{"name": "a"}])
            for name in ("mesh_gateways", "mesh_services", "mesh_external_services", "istio_gateways")
        ),
        ("mesh_services", [{"name": "a"}], [{"name": "a"}]),
        ("mesh_services", " ", None),
        ("mesh_name", "a, b", "a, b"),
        ("mesh_mtls_mode", "STRICT", "STRICT"),
    ],
)
def test_text_becomes_what_it_stands_for(name: str, given: Any, found: Any) -> None:
    problems: list[Problem] = []
    raw = {name: given}
    assert typed_catalogue(raw, problems) == {name: found}
    assert (raw, problems) == ({name: given}, [])


@pytest.mark.parametrize("name", ["mesh_services", "mesh_open", "mesh_default_deny", "mesh_gateways"])
def test_text_that_stands_for_nothing_is_told(name: str) -> None:
    problems: list[Problem] = []
    typed_catalogue({name: "nonsense"}, problems)
    assert [problem.where for problem in problems] == [name]
