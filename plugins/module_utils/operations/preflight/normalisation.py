# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether proxies see paths as applications do: policies compare what ``pathNormalization`` leaves of a path.

With ``BASE``, Istio's default, and with ``MERGE_SLASHES`` ``/public/..%2Fadmin`` passes a rule for
``/public/*``, and many applications decode it
(https://istio.io/latest/docs/ops/best-practices/security/#path-normalization). ``NONE``, with which dots pass
as they are, is refused with the other settings (operations/cluster_check/settings.py).
"""

from __future__ import annotations

from ...model.catalogue.mesh import Catalogue
from ...model.installation.settings import Installation, statements

_SAFE = "DECODE_AND_MERGE_SLASHES"
_PATH = ("meshConfig", "pathNormalization", "normalization")
_PLACE = "istio_mesh_config.pathNormalization.normalization"


def weak_normalisation(installation: Installation, catalogue: Catalogue, *, installs: bool) -> list[str]:
    """What the catalogue's rules about paths need and the installation does not do.

    :param installs: whether it is going to be written; of somebody else's Istio only what is stated counts.
    :returns: at most one sentence.
    """
    example = _prefix_of(catalogue)
    stated = statements(installation, *_PATH)
    place, mode = stated[-1] if stated else (_PLACE, "BASE")
    if not example or mode in (_SAFE, "NONE") or not (stated or installs):
        return []
    return [
        f"{place}: is {mode}, so {example}/..%2Fx passes the rule for {example}/*, which many applications"
        f" decode; use {_SAFE}"
    ]


def _prefix_of(catalogue: Catalogue) -> str:
    """A path that a rule opens with everything below it and nothing above; ``""`` when there is none."""
    for service in catalogue.services:
        for caller in service.callers:
            for path in caller.paths:
                if path.endswith("/*") and path != "/*":
                    return path.removesuffix("/*")
        for exposure in service.exposed:
            if not exposure.exact and exposure.path != "/":
                return exposure.path
    return ""
