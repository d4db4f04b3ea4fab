# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that stand beside a credential for a while: its previous pair, its request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import RefusedError
from ...fields import annotations_of
from ...model.certificates.credentials import Credential
from ...model.certificates.secret import foreign_owner


def refuse_another(
    secret: Mapping[str, Any], credential: Credential, mesh: str, *, mark: str, told: str, purpose: str
) -> None:
    """Whether a Secret of such a name is the credential's own.

    :param mark: annotation that says of which credential it is. :param told: what the Secret is called in the
        error. :param purpose: what it is needed for, such as ``the request``.
    :raises RefusedError: it is somebody else's.
    """
    owner = foreign_owner(secret, mesh)
    if owner or annotations_of(secret).get(mark) != credential.name:
        raise RefusedError(
            f"{told} is needed for {purpose} of {credential.name}, and"
            f" {owner or 'it is something else'}: rename one of them",
            rule="name-taken",
        )
