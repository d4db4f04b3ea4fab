"""A schedule over many services on a cluster that does not answer waits once, not once per service."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.resume import resume_all


def maker(error: MeshError, asked: list[str], key: str) -> tuple[str, Any]:
    def make() -> Any:
        asked.append(key)
        raise error

    return key, make


def test_an_api_server_that_is_away_is_trouble_with_all_services() -> None:
    asked: list[str] = []
    odd, away = MeshError("odd"), ApiError("cannot be reached", reason="Unreachable")
    services = [maker(odd, asked, "a/a"), maker(away, asked, "a/b"), maker(away, asked, "a/c")]
    with pytest.raises(ApiError) as raised:
        resume_all(services)
    assert asked == ["a/a", "a/b"]
    assert raised.value.details["reason"] == "Unreachable"
    assert raised.value.details["counts"] == {"looked_at": 2, "resumed": 1}
    assert raised.value.details["services"]["a/a"]["reason"] == "odd"


@pytest.mark.parametrize("reason", ["Forbidden", "Interrupted", ""])
def test_another_refusal_keeps_nobody_from_the_next_service(reason: str) -> None:
    asked: list[str] = []
    error = ApiError("no", status=403, reason=reason)
    result = resume_all([maker(error, asked, "a/a"), maker(error, asked, "a/b")])
    assert asked == ["a/a", "a/b"]
    assert result["status"] == "fail"
