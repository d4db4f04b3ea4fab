"""Calls that fail, and the errors of a client for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.failures import from_answer


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of the client, by the name of its method."""

    verb: str
    kind: str = ""
    namespace: str | None = None
    name: str = ""
    selector: str = ""
    dry_run: bool = False


@dataclasses.dataclass
class Failure:
    """What goes wrong with calls that match."""

    verb: str
    kind: str
    how: int | str
    times: int
    when: Callable[[Call], bool]

    def concerns(self, call: Call) -> bool:
        """Whether this call fails."""
        return (
            self.times > 0
            and self.verb in ("*", call.verb)
            and self.kind in ("*", call.kind)
            and self.when(call)
        )


def failed(how: int | str, call: Call) -> ApiError:
    subject = f"{call.verb} {call.kind}".strip()
    if isinstance(how, int):
        return from_answer(how, None, subject)
    outcome = {"outcome": "unknown"} if how == "lost answer" else {}
    return ApiError(
        "the API server cannot be reached: the connection broke",
        reason="Unreachable",
        subject=subject,
        **outcome,
    )


def no_kind(kind: str) -> ApiError:
    return ApiError(f"the API server does not serve kind {kind}", status=404, reason="NoKind", subject=kind)


def status(reason: str, message: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "reason": reason, "message": message}
