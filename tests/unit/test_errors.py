"""What an error says about itself."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError


@pytest.mark.parametrize("status", [0, 200, 400, 401, 402, 403, 404, 409, 410, 422, 429, 500, 503])
def test_a_right_that_lacks_is_done_without_and_an_ended_credential_is_not(status: int) -> None:
    error = ApiError("no", status=status)
    assert (error.not_allowed, error.lasting) == (status == 403, status in {401, 403})
