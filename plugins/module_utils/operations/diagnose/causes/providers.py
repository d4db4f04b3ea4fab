# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security: policies that ask a server which the mesh does not know, and tokens that nobody can check."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import labels_of, mappings_at, namespace_of, text_at
from ....model.installation.mesh_config import as_spelled
from ....model.security.attachment import selects
from ....model.security.authorization import action_of, decides
from ....object_id import object_id
from ....words import few
from ..case import Case, Obj
from ..cause import LIKELY, SECURITY, SEEN, SURE, Cause
from .words import edit


def find(case: Case) -> Iterator[Cause]:
    """CUSTOM policies and RequestAuthentications about the symptom's callees. :returns: one cause each."""
    if "ConfigMap" not in case.material.unread:
        yield from _custom(case)
    yield from _tokens(case)


def _concerned(case: Case, item: Obj) -> bool:
    pods = case.callees or case.subjects
    return any(selects(item, namespace_of(pod), labels_of(pod), case.root) for pod in pods)


def _custom(case: Case) -> Iterator[Cause]:
    config = case.material.config
    known = {text_at(item, "name") for item in mappings_at(config, *as_spelled(config, "extensionProviders"))}
    for item in case.of("AuthorizationPolicy"):
        if action_of(item) != "CUSTOM" or not decides(item) or not _concerned(case, item):
            continue
        wanted = text_at(item, "spec", "provider", "name")
        if wanted not in known:
            names = few(sorted(known)) or "none"
            said = (
                f"asks provider {wanted!r}, which the mesh does not know ({names}): what it matches gets 403"
            )
            remedy = f"istio_mesh_config: extensionProviders, or {edit(object_id(item))}"
            yield Cause(SECURITY, object_id(item), said, remedy, SURE)


def _tokens(case: Case) -> Iterator[Cause]:
    """What the callees' proxies say of tokens (source/extensions/filters/http/jwt_authn)."""
    bad = [seen for seen in case.material.lines if seen.line.details.startswith("jwt_authn_access_denied")]
    for item in case.of("RequestAuthentication"):
        if not _concerned(case, item):
            continue
        for rule in mappings_at(item, "spec", "jwtRules"):
            host = text_at(rule, "jwksUri").partition("://")[2].partition("/")[0].partition(":")[0]
            inside = (
                case.is_local(host) and case.service(host) is None and "Service" not in case.material.unread
            )
            if inside:
                said = f"fetches its keys from {host}, a Service that does not exist: every token gets 401"
                yield Cause(SECURITY, object_id(item), said, edit(object_id(item)), SURE)
        if bad:
            line = bad[-1].line
            said = f"refused {len(bad)} requests with 401, the last {line.method} {line.path}: {line.details}"
            remedy = "send a token of its issuer, or change issuer, jwksUri or audiences"
            yield Cause(SECURITY, object_id(item), said, remedy, LIKELY + SEEN)
