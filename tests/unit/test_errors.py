"""What an error says about itself."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError


@pytest.mark.parametrize("status", [0, 200, 400, 401, 402, 403, 404, 409, 410, 422, 429, 500, 503])
def test_a_user_is_refused_who_is_unknown_or_has_no_right(status: int) -> None:
    assert ApiError("no", status=status).not_allowed is (status in {401, 403})
