# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that are made once: whoever comes second is told, and overwrites nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ApiError, RefusedError
from .client import KubeClient


def create_once(
    client: KubeClient, obj: Mapping[str, Any], told: str, made: str, *, dry_run: bool = False
) -> None:
    """Creates an object that was not there when it was decided on.

    :param told: what the object is called in the error. :param made: what it is, such as ``a CA``.
    :raises RefusedError: another run made it meanwhile.
    """
    try:
        client.create(obj, dry_run=dry_run)
    except ApiError as error:
        if error.status != 409:
            raise
        raise RefusedError(
            f"{told}: another run made {made} at the same moment; run again", rule="race"
        ) from error
