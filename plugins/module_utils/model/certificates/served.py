# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Gateway's server presents and asks for, and what istiod takes for it out of Secrets.

Source: istio, pilot/pkg/credentials/kube/secrets.go (ExtractCertInfo, ExtractRoot, GetCaCert) and
pilot/pkg/security/model/authentication.go (ApplyCredentialSDSToServerCommonTLSContext).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ...fields import list_at, text_at
from ..reading.values import CA_SUFFIX

CERTIFICATE_KEY, PRIVATE_KEY, AUTHORITY_KEY = "tls.crt", "tls.key", "ca.crt"
# istiod prefers these: with them in the Secret, a new tls.crt would never be served.
SHADOW_KEYS = ("cert", "key", "cacert")
ASKING_MODES = ("MUTUAL", "OPTIONAL_MUTUAL")
"""TLS modes in which a server asks its clients for a certificate: without a CA for them, nobody gets in."""
SERVING_MODES = ("SIMPLE", *ASKING_MODES)
"""TLS modes in which a server presents the certificate of its credentialName."""


def decode(secret: Mapping[str, Any] | None, key: str) -> bytes:
    """The bytes under ``data[key]``; empty when missing or not base64."""
    try:
        return base64.b64decode(text_at(secret, "data", key), validate=True)
    except ValueError:
        return b""


def served_pair(secret: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Certificate and key as istiod reads them: the generic keys win, in a foreign Secret they are served.

    :returns: both in PEM; empty when the Secret holds no pair.
    """
    pairs = [("cert", "key"), (CERTIFICATE_KEY, PRIVATE_KEY)]
    return next(
        ((decode(secret, a), decode(secret, b)) for a, b in pairs if decode(secret, a) and decode(secret, b)),
        (b"", b""),
    )


def served_authority(secret: Mapping[str, Any] | None) -> bytes:
    """The CAs in a Secret by which a proxy knows its peers; empty when there are none."""
    return decode(secret, "cacert") or decode(secret, AUTHORITY_KEY)


def presented(server: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The mode of a Gateway's server, and the Secrets whose certificates it presents.

    :returns: names, each once; none in other modes, and none of what is no Secret (``configmap://``).
    """
    mode = text_at(server, "tls", "mode") or "SIMPLE"
    if mode not in SERVING_MODES:
        return mode, []
    names = [text_at(server, "tls", "credentialName"), *map(str, list_at(server, "tls", "credentialNames"))]
    return mode, [name for name in dict.fromkeys(names) if name and "://" not in name]


def authority_names(server: Mapping[str, Any]) -> list[str]:
    """The Secrets of which the first that is there holds the CAs of a server's clients.

    :returns: names; none for a server that asks for no certificate, or whose CAs are in no Secret.
    """
    mode, names = presented(server)
    own = text_at(server, "tls", "caCertCredentialName")
    if mode not in ASKING_MODES or not names or "://" in own:
        return []
    first = own or f"{names[0]}{CA_SUFFIX}"  # of several credentials the first one's
    return list(dict.fromkeys((first, first.removesuffix(CA_SUFFIX))))


def server_hosts(server: Mapping[str, Any]) -> list[str]:
    """The hosts of a Gateway's server. :returns: without the namespaces of VirtualServices before them."""
    return [str(host).rpartition("/")[2] for host in list_at(server, "hosts")]
