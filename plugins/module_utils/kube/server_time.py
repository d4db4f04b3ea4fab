# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What time it is for the API server: the date of an answer (RFC 9110 6.6.1), to the second."""

from __future__ import annotations

import datetime
import email.utils
from typing import Any, Protocol


class Requester(Protocol):
    """The part of the client that is needed."""

    def request(self, method: str, path: str) -> Any:
        """One answer, with ``headers``."""


def server_time(client: Requester) -> datetime.datetime | None:
    """The server's time, aware; None where it does not tell.

    :raises ApiError: the server does not answer.
    """
    headers = {str(key).lower(): value for key, value in client.request("GET", "/version").headers.items()}
    try:
        return email.utils.parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError):
        return None
