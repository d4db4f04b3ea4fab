# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of module ``mesh_ca``: facts that may be told. No key is in it, and no PEM."""

from __future__ import annotations

from typing import Any

from ...model.certificates.mesh_ca import Bundle
from ...model.certificates.pem import UnreadablePemError
from ...model.certificates.x509 import facts_of
from .journal import RotationJournal
from .proxies import Survey

FRESH, PLUGGED_IN, PLANNED, ROTATED, ROLLED_BACK, WAITING = (
    "fresh",
    "plugged in",
    "planned",
    "rotated",
    "rolled back",
    "waiting",
)
_CHANGED = (PLUGGED_IN, PLANNED, ROTATED, ROLLED_BACK, WAITING)
_WORDS = {
    FRESH: "the mesh's CA is as it should be",
    PLUGGED_IN: "the CA is plugged in, before istiod's first start",
    PLANNED: "the mesh's CA would be rotated",
    ROTATED: "every proxy works with the new CA, and none trusts the old root",
    ROLLED_BACK: "every proxy works with the old CA again, and none trusts the new root",
    WAITING: "the rotation waits for proxies to renew their certificates; run again",
}


def build_result(
    outcome: str,
    bundle: Bundle | None,
    journal: RotationJournal | None,
    *,
    before: Bundle | None = None,
    survey: Survey | None = None,
    why: str = "",
    diff: bool = False,
) -> dict[str, Any]:
    """What a run tells.

    :param bundle: the CA after the run, as far as it is known. :param journal: of a rotation that goes on.
    :returns: ``changed``, ``outcome``, ``summary``, ``signer`` and ``roots`` (facts), ``stage``, ``stages``
        and ``begun`` of a rotation, ``proxies`` (``total``, ``late``), ``diff`` of dates and fingerprints.
    """
    summary = _WORDS[outcome]
    if why and outcome != FRESH:
        summary = f"{summary} ({why})"
    if survey is not None and not survey.done:
        summary = f"{summary}: {survey.told()}"
    result: dict[str, Any] = {
        "changed": outcome in _CHANGED,
        "outcome": outcome,
        "summary": summary,
        "stage": journal.current.name if journal else "",
        "stages": [stage.name for stage in journal.stages] if journal else [],
        "begun": journal.begun if journal else "",
        "proxies": {
            "total": len(survey.states) if survey else 0,
            "late": [str(state) for state in survey.late] if survey else [],
        },
        **_told(bundle),
    }
    if diff:
        result["diff"] = {"before": _told(before or bundle), "after": _told(bundle)}
        if outcome == PLUGGED_IN:
            result["diff"]["before"] = {}
    return result


def _told(bundle: Bundle | None) -> dict[str, Any]:
    if bundle is None:
        return {"signer": {}, "roots": []}
    try:
        return {
            "signer": facts_of(bundle.signer).as_result(),
            "roots": [facts_of(root).as_result() for root in bundle.trusted],
        }
    except UnreadablePemError:
        return {"signer": {}, "roots": []}
