# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any one call of the look fails: what it would have told is named as not seen, and nothing else changes."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError

from .trusted_mesh import TrustedMesh


@pytest.mark.parametrize("how", [403, 500])
def test_a_failure_at_any_call_is_one_hole_that_is_named(how: int) -> None:
    mesh = TrustedMesh()
    assert mesh.run()["status"] == "pass"
    calls = list(mesh.cluster.calls)
    assert len(calls) > 20
    for number, call in enumerate(calls):
        mesh.cluster.calls.clear()
        mesh.cluster.fail(how=how, when=lambda _call, last=number + 1: len(mesh.cluster.calls) == last)
        if call.verb == "request":  # without the server's time nothing can be judged
            with pytest.raises(ApiError):
                mesh.run()
            continue
        result = mesh.run()
        (entry,) = result["findings"]
        assert (result["status"], entry["verdict"]) == ("cannot tell", "cannot tell"), call
        (reason,) = entry["reasons"]
        assert reason["rule"] == "not-seen"
        assert reason["message"].startswith(f"{call.verb} {call.kind}: "), call
