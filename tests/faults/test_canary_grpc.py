"""gRPC on the lab: every call ends with HTTP 200, and only its trailers say how.

``CANARY_LAB=NAME pytest tests/faults/test_canary_grpc.py -v -s`` (see canary_lab.py)
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .canary_lab import Lab
from .fake_prometheus import fake_prometheus
from .own_mesh import OwnMesh, own_mesh


@pytest.fixture
def mesh(lab: Lab) -> Iterator[OwnMesh]:
    with own_mesh(lab, protocol="grpc") as found:
        yield found


@pytest.mark.sample
def test_a_version_whose_calls_all_end_in_internal_is_withdrawn(lab: Lab, mesh: OwnMesh) -> None:
    """Status 13 on every call. Before, metrics of the same calls without the label cannot be measured."""
    address = lab.get("service", "prometheus", "istio-system")["spec"]["clusterIP"]
    with mesh.callers("calls", 40) as seen, fake_prometheus(f"http://{address}:9090") as prometheus:
        prometheus.hidden = "grpc_response_status"
        refused, _lines = mesh.canary(prometheus={"url": prometheus.url})
        assert "gRPC requests without grpc_response_status" in refused["reason"], refused
        assert mesh.get("configmap", "servicemesh-canary-calls") == {}, "nothing was written"
        mesh.tell("v2", "grpc", "13")
        result, lines = mesh.canary()
    assert result["outcome"] == "rolled_back", "\n".join(lines)
    assert result["reason"].startswith("errors: ")
    assert mesh.share() == 0
    assert result["counts"]["canary_failed"] == result["counts"]["canary_requests"] > 0
    assert seen["ended"] >= 0.95 * seen["sent"]


def test_a_healthy_version_is_promoted(mesh: OwnMesh) -> None:
    with mesh.callers("calls", 40):
        result, lines = mesh.canary(duration=5)
    assert result["outcome"] == "promoted", "\n".join(lines)
    assert result["counts"]["canary_requests"] > 0
