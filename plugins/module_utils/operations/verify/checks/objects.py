# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that nothing but the catalogue's objects acts on its workloads.

Every namespace is looked at. What belongs to others and touches nothing of the catalogue is told as an
inventory; what opens a door to it is a fault; what acts on it in ways that nobody can evaluate is "cannot
tell", with its name. A known object can be accepted with a reason (``verify_accepted_objects``).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence

from ....istio.proxy.running import RunningProxy
from ....verdicts import CANNOT_TELL, FAIL
from ..dumps import ProxyDumps
from ..findings import Finding, stated, unknown
from ..objects.calls import check_calls_beside
from ..objects.extensions import check_extensions
from ..objects.own import check_own_objects
from ..objects.pods import check_pods_around
from ..objects.proxies import check_proxies
from ..objects.routes import check_routes_beside
from ..objects.selectors import check_selectors
from ..objects.services import check_services
from ..objects.settings import check_settings
from ..objects.workloads import check_workloads_beside
from ..ours import Ours
from ..picture import Picture
from ..surroundings import Surroundings


def check_objects(
    picture: Picture,
    around: Surroundings,
    proxies: Sequence[RunningProxy],
    dumps: ProxyDumps,
    accepted: Mapping[str, str],
) -> list[Finding]:
    """All findings about objects, own and foreign.

    :param proxies: those that were to be read. :param accepted: pattern of ``Kind namespace/name`` -> reason.
    :returns: each once; what objects say before what proxies show.
    """
    ours = Ours(picture, around, proxies)
    found = [
        *check_own_objects(ours),
        *check_services(ours),
        *check_routes_beside(ours),
        *check_calls_beside(ours),
        *check_extensions(ours),
        *check_selectors(ours),
        *check_settings(ours),
        *check_pods_around(ours),
        *check_workloads_beside(ours),
        *_at_proxies(ours, picture, proxies, dumps),
        *_unread(around),
    ]
    return _accepted(_first_of_each(found), accepted)


def _at_proxies(
    ours: Ours, picture: Picture, proxies: Sequence[RunningProxy], dumps: ProxyDumps
) -> list[Finding]:
    why = picture.live.unread.get("Service")
    if why:  # whose addresses are a Service's own is not known
        return [unknown("objects", "what the proxies know", why)]
    return check_proxies(ours, proxies, dumps)


def _unread(around: Surroundings) -> list[Finding]:
    if not around.unread:
        return []
    kinds, reasons = list(around.unread), list(around.unread.values())
    what = f"{', '.join(kinds)} of other namespaces were not looked at: {reasons[0]}"
    return [unknown("objects", "the rest of the cluster", what)]


def _first_of_each(findings: Iterable[Finding]) -> list[Finding]:
    """What proxies show of an object that is told already says nothing new."""
    known: set[str] = set()
    found = []
    for finding in findings:
        if finding.late and finding.verdict == FAIL and finding.subject in known:
            continue
        if finding.verdict == FAIL and not finding.late:
            known.add(finding.subject)
        found.append(finding)
    return list(dict.fromkeys(found))


def _accepted(findings: Iterable[Finding], accepted: Mapping[str, str]) -> list[Finding]:
    found = []
    for finding in findings:
        reason = next(
            (why for name, why in accepted.items() if fnmatch.fnmatchcase(finding.subject, name)), ""
        )
        if reason and finding.verdict in (FAIL, CANNOT_TELL):
            found.append(stated("objects", finding.subject, f"{finding.message} (accepted: {reason})"))
        else:
            found.append(finding)
    return found
