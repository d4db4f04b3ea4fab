# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateway: credentials that are missing, do not fit, have ended, or are good for another host."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from ....fields import field, mappings_at, namespace_of
from ....model.certificates.served import (
    authority_names,
    presented,
    served_authority,
    served_pair,
    server_hosts,
)
from ....model.certificates.x509 import check_pair
from ....object_id import object_id
from ..case import Case, Obj
from ..cause import GATEWAY, SURE, Cause
from ..gateway_pods import credentials_of, pods_of
from .gateway_hosts import concerned_gateways
from .words import edit

RENEW = "ansible-playbook servicemesh.istio.certificates -i INVENTORY"


def find(case: Case) -> Iterator[Cause]:
    """The credentials of the symptom's Gateways. :returns: one cause per Secret at fault."""
    told: set[str] = set()
    for gateway in concerned_gateways(case):
        for server in mappings_at(gateway, "spec", "servers"):
            hosts = server_hosts(server)
            if not case.concerns(*hosts):
                continue
            lone = {**gateway, "spec": {**gateway["spec"], "servers": [server]}}
            for key in credentials_of(lone, case.live.of("Pod")):
                if key not in told and key in case.material.secrets:
                    told.add(key)
                    yield from _secret(case, gateway, server, key)
            for place in dict.fromkeys(namespace_of(pod) for pod in pods_of(gateway, case.live.of("Pod"))):
                for cause in _authority(case, gateway, server, place):
                    if cause.object not in told:
                        told.add(cause.object)
                        yield cause


def _secret(case: Case, gateway: Obj, server: Obj, key: str) -> Iterator[Cause]:
    subject, place = f"Secret {key}", key.partition("/")[0]
    port, hosts = field(server, "port", "number"), server_hosts(server)
    secret = case.material.secrets[key]
    if secret is None:
        said = f"does not exist; {object_id(gateway)} wants it in the namespace of its pods, {place}"
        yield Cause(GATEWAY, subject, f"{said}: no TLS connection on port {port}", RENEW, SURE)
        return
    now = datetime.datetime.fromtimestamp(case.now, tz=datetime.UTC)
    named = [host for host in hosts if host != "*" and not host.startswith("*")]
    certificate, private = served_pair(secret)
    if not certificate or not private:
        yield Cause(GATEWAY, subject, "holds no certificate with a key: the gateway serves none", RENEW, SURE)
        return
    faults = check_pair(certificate, private, hosts=named, roots=(), now=now)
    if faults:
        said = f"cannot serve {', '.join(named) or 'its hosts'}: {faults[0].message}"
        evidence = tuple(fault.message for fault in faults[1:3])
        yield Cause(GATEWAY, subject, said, RENEW, SURE, evidence)


def _authority(case: Case, gateway: Obj, server: Obj, place: str) -> Iterator[Cause]:
    """The CAs by which a server knows its clients."""
    secrets = case.material.secrets
    keys = [f"{place}/{name}" for name in authority_names(server)]
    if not keys or any(key not in secrets for key in keys):  # nobody may read it
        return
    mode, names = presented(server)
    there = [key for key in keys if secrets[key] is not None]
    if there and not served_authority(secrets[there[0]]):
        said = f"holds no ca.crt, and {object_id(gateway)} asks its clients for certificates ({mode})"
        yield Cause(GATEWAY, f"Secret {there[0]}", f"{said}: none is let in", RENEW, SURE - 5)
    elif not there and keys[-1] != f"{place}/{names[0]}":  # else the credential itself is told as missing
        said = f"does not exist; {object_id(gateway)} is to know its clients by it ({mode})"
        yield Cause(
            GATEWAY, f"Secret {keys[0]}", f"{said}: none is let in", edit(object_id(gateway)), SURE - 5
        )
