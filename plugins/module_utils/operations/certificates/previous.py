# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair that served before, kept in a Secret of its own until the new one is proved.

It is the journal of a rotation, too: it says which pair was to follow. So whoever runs after a run that was
killed can tell how far that one came, by what the credential holds now.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import RefusedError
from ...fields import list_at, text_at
from ...model.certificates.credentials import Credential
from ...model.certificates.pem import UnreadablePemError
from ...model.certificates.secret import PREVIOUS_OF, secret_object
from ...model.certificates.served import CERTIFICATE_KEY, PRIVATE_KEY, decode
from .companions import refuse_another
from .issue import KeyPair, fingerprint

if TYPE_CHECKING:
    from ...kube.client import KubeClient

SUFFIX = "-prev"


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Previous:
    """What a rotation began with. :param uid: of the Secret that keeps it."""

    pair: KeyPair
    uid: str

    @property
    def fingerprint(self) -> str:
        """Of its leaf; ``""`` when somebody made it unreadable."""
        try:
            return fingerprint(self.pair)
        except UnreadablePemError:
            return ""


def name_of_previous(credential: Credential) -> str:
    """The Secret that keeps it. Not in a Gateway's words, so that istiod never serves it."""
    return f"{credential.name}{SUFFIX}"


def read_previous(secret: Mapping[str, Any] | None, credential: Credential, mesh: str) -> Previous | None:
    """What an unfinished rotation left.

    :raises RefusedError: a Secret of that name is somebody else's.
    """
    if secret is None:
        return None
    told = f"Secret {credential.namespace}/{name_of_previous(credential)}"
    refuse_another(secret, credential, mesh, mark=PREVIOUS_OF, told=told, purpose="the previous pair")
    pair = KeyPair(decode(secret, CERTIFICATE_KEY), decode(secret, PRIVATE_KEY))
    return Previous(pair, text_at(secret, "metadata", "uid"))


def keep(client: KubeClient, credential: Credential, pair: KeyPair, mesh: str) -> Previous:
    """Writes down what serves now, before anything changes.

    :raises RefusedError: what is stored is not that pair: there would be no way back.
    """
    obj = secret_object(
        credential.namespace,
        name_of_previous(credential),
        {CERTIFICATE_KEY: pair.chain, PRIVATE_KEY: pair.key},
        mesh=mesh,
    )
    obj["metadata"]["annotations"] = {PREVIOUS_OF: credential.name}
    kept = client.apply(obj, force=True)
    previous = Previous(pair, text_at(kept, "metadata", "uid"))
    if any(text_at(kept, "data", key) != value for key, value in obj["data"].items()):
        drop(client, credential, previous)
        where = f"Secret {credential.namespace}/{name_of_previous(credential)}"
        raise RefusedError(f"{where}: an admission webhook changes the pair that is kept", rule="changed")
    return previous


def drop(client: KubeClient, credential: Credential, previous: Previous) -> str:
    """The rotation has ended, one way or the other. One that is gone already is no error.

    Only that very Secret goes: of a run that slept too long, the next one has dropped it, and keeps its own
    under the same name.

    :returns: why it stays for now, as a sentence; ``""`` when it has gone.
    """
    name, home = name_of_previous(credential), credential.namespace
    if not client.delete("v1", "Secret", name, home, uid=previous.uid or None):
        return ""
    live = client.get("v1", "Secret", name, home)
    finalizers = [str(one) for one in list_at(live, "metadata", "finalizers")]
    if not finalizers or text_at(live, "metadata", "uid") != previous.uid:
        return ""
    return f"Secret {home}/{name} keeps the previous key until {', '.join(finalizers)} lets it go"
