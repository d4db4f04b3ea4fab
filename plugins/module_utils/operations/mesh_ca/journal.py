# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a rotation: where it is, and both CAs, so that whoever comes next goes on or goes back.

One Secret in istiod's namespace, beside ``cacerts``, which holds the same kind of key. Every step is written
down before it is taken. The root's key is never in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import MeshError, RefusedError
from ...fields import annotations_of, labels_of, mapping_at, text_at
from ...labels import COLLECTION, FENCE_ANNOTATION, MANAGED_BY_LABEL, PART_OF_LABEL
from ...model.certificates.mesh_ca import Bundle, Stage, bundle_of, secret_data, stages_of
from ...model.certificates.pem import UnreadablePemError

if TYPE_CHECKING:
    from ...kube.client import KubeClient

JOURNAL = "servicemesh-mesh-ca-rotation"
STAGE, BACK, BEGUN, MARK = (f"servicemesh.istio/{name}" for name in ("stage", "back", "begun", "mark"))
SELF_SIGNED_BEFORE, LIVE_ROOTS = "servicemesh.istio/self-signed", "servicemesh.istio/live-roots"
_OLD, _NEW = "old.", "new."


@dataclasses.dataclass(slots=True, repr=False)
class RotationJournal:
    """A rotation that has begun. No ``repr``: keys are in it.

    :param stage: position in :attr:`stages` of what istiod is given, or is about to be.
    :param back: whether it goes back. :param begun: RFC 3339.
    :param mark: when the Secret was given last; an istiod that was restarted with it has read it.
    :param before: data of ``cacerts`` before it all; empty when there was none. :param old: the CA in it.
    """

    namespace: str
    mesh: str
    old: Bundle
    new: Bundle
    before: Mapping[str, str]
    tls: bool
    live: bool
    begun: str
    stage: int = 1
    back: bool = False
    mark: str = ""
    fence: int = 0
    version: str = ""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The whole way. :returns: what was there first, what is wanted last."""
        return stages_of(self.old, self.new, live=self.live)

    @property
    def current(self) -> Stage:
        """What istiod is given."""
        return self.stages[self.stage]

    @property
    def self_signed(self) -> bool:
        """Whether istiod kept a CA of its own before."""
        return not self.before

    def data_of(self, stage: int) -> dict[str, str]:
        """The data of ``cacerts`` at a stage. :returns: key -> base64; empty: there is no such Secret."""
        if stage == 0:
            return dict(self.before)
        return secret_data(self.stages[stage].bundle, tls=self.tls)

    def as_object(self) -> dict[str, Any]:
        """The Secret. :returns: an object to write."""
        labels = {MANAGED_BY_LABEL: COLLECTION, **({PART_OF_LABEL: self.mesh} if self.mesh else {})}
        annotations = {
            STAGE: str(self.stage),
            BACK: str(self.back).lower(),
            BEGUN: self.begun,
            MARK: self.mark,
            SELF_SIGNED_BEFORE: str(self.self_signed).lower(),
            LIVE_ROOTS: str(self.live).lower(),
            FENCE_ANNOTATION: str(self.fence),
        }
        before = self.before or secret_data(self.old, tls=False)
        data = {
            **{f"{_OLD}{key}": value for key, value in before.items()},
            **{f"{_NEW}{key}": value for key, value in secret_data(self.new, tls=self.tls).items()},
        }
        metadata = {
            "name": JOURNAL,
            "namespace": self.namespace,
            "labels": labels,
            "annotations": annotations,
        }
        return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}

    def write(self, client: KubeClient) -> None:
        """Writes it down, if nobody else has meanwhile.

        :raises ApiError: 409 when somebody has.
        """
        obj = self.as_object()
        if self.version:
            obj["metadata"]["resourceVersion"] = self.version
            written = client.replace(obj)
        else:
            written = client.create(obj)
        self.version = text_at(written, "metadata", "resourceVersion")


def read_journal(client: KubeClient, namespace: str) -> RotationJournal | None:
    """The rotation that is under way. :raises MeshError: its journal cannot be read."""
    found = client.get("v1", "Secret", JOURNAL, namespace)
    return None if found is None else parse_journal(found, namespace)


def parse_journal(secret: Mapping[str, Any], namespace: str) -> RotationJournal:
    """A journal out of its Secret.

    :raises RefusedError: the Secret is somebody else's. :raises MeshError: it is damaged.
    """
    where, labels, notes = f"Secret {namespace}/{JOURNAL}", labels_of(secret), annotations_of(secret)
    if labels.get(MANAGED_BY_LABEL) != COLLECTION:
        raise RefusedError(
            f"{where} is needed for a rotation and is somebody else's: rename it", rule="journal"
        )
    data = mapping_at(secret, "data")
    before, after = (
        {key.removeprefix(part): str(value) for key, value in data.items() if key.startswith(part)}
        for part in (_OLD, _NEW)
    )
    old, new = bundle_of({"data": before}), bundle_of({"data": after})
    try:
        if old is None or new is None:
            raise ValueError
        journal = RotationJournal(
            namespace=namespace,
            mesh=labels.get(PART_OF_LABEL, ""),
            old=old,
            new=new,
            before={} if notes[SELF_SIGNED_BEFORE] == "true" else before,
            tls="tls.crt" in after,
            live=notes[LIVE_ROOTS] == "true",
            begun=notes[BEGUN],
            stage=int(notes[STAGE]),
            back=notes[BACK] == "true",
            mark=notes[MARK],
            fence=int(notes.get(FENCE_ANNOTATION, "0")),
            version=text_at(secret, "metadata", "resourceVersion"),
        )
        known = 0 <= journal.stage < len(journal.stages)
    except (KeyError, ValueError, UnreadablePemError) as error:
        raise MeshError(_damaged(where)) from error
    if not known:
        raise MeshError(_damaged(where))
    return journal


def _damaged(where: str) -> str:
    return (
        f"the journal of the rotation in {where} is damaged: see docs/guides/mesh_ca.md for what to look at "
        "before it is deleted"
    )
