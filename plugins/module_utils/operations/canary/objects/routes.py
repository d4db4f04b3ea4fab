# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects that a rollout writes: the service's routes and its release record.

Each write reads the object, refuses if its fence is newer, and sends the object's resourceVersion, so that a
runner that lost its Lease can never write over its successor.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ....errors import ApiError, ConflictError, FencedError, RefusedError
from ....fields import annotations_of, field, integer_at, mappings_at, name_of, text_at
from ....kube.hand_edits import changed_by_hand
from ....labels import FENCE_ANNOTATION, FIELD_MANAGER
from ....model.rollout.phases import TrafficState
from ....model.rollout.split import Split, gitops_owner, split_patch
from ....model.virtual_services import full_host
from ..protocols import Objects, too_fast

ISTIO_API = "networking.istio.io/v1"
ATTEMPTS = 8
FOREIGN_MANAGER = f"{FIELD_MANAGER}-canary"
"""Field manager in objects that are not ours: role mesh must not take their fields for its own."""


def fence_of(obj: Mapping[str, Any] | None, annotation: str = FENCE_ANNOTATION) -> int:
    """The fence that an object bears, 0 for none."""
    text = str(annotations_of(obj).get(annotation, ""))
    return int(text) if text.isdecimal() else 0


def _foreign_annotation(service: str, namespace: str) -> str:
    """The annotation of the fence in an object of somebody else: it may route several services, and the
    rollouts of each have fences of their own."""
    return f"{service}.{namespace}.{FENCE_ANNOTATION}"


class OwnRoutes:
    """The service's delegate VirtualService, written whole by server-side apply.

    :param render: computes the whole object of a traffic state (from the catalogue).
    :param stable: the version that gets everything back, whoever has written the routes meanwhile.
    """

    annotation = FENCE_ANNOTATION

    def __init__(
        self,
        client: Objects,
        name: str,
        namespace: str,
        render: Callable[[TrafficState], dict[str, Any]],
        stable: str,
    ) -> None:
        self._client = client
        self._render = render
        self._stable = stable
        self.name = name
        self.namespace = namespace

    def read(self) -> dict[str, Any] | None:
        """The live object. :returns: the object, None when it does not exist."""
        return self._client.get(ISTIO_API, "VirtualService", self.name, self.namespace)

    def desired(self, traffic: TrafficState) -> dict[str, Any]:
        """The object without resourceVersion and fence, for diffs. :returns: a VirtualService."""
        return self._render(traffic)

    def write(self, traffic: TrafficState, fence: int) -> bool:
        """Writes the routes of a traffic state. :returns: whether anything was written.

        Routes that somebody deleted in mid-run are made again: without them every version gets requests. The
        way back to the stable version argues with nobody about ownership: another controller that has taken
        the routes would else keep a version its requests that nobody watches.
        """
        desired = self._render(traffic)
        check_sums(desired)
        back = traffic.weights.get(self._stable) == 100
        return self._put(lambda _live: desired, fence, back=back)

    def snapshot(self) -> tuple[Any, ...] | None:
        """Nothing to keep: the catalogue renders the object at any time. :returns: always None."""
        return None

    def restore(self, snapshot: Sequence[Any] | None) -> None:
        """Nothing to restore."""

    def claim(self, fence: int) -> None:
        """Marks the live object with a newer fence and changes nothing else: from now on writes of an older
        runner fail."""

        def same(live: dict[str, Any] | None) -> dict[str, Any] | None:
            ours = self._render(TrafficState({}, kind="claim"))
            return {**ours, "spec": copy.deepcopy(live["spec"])} if live else None

        self._put(same, fence)

    def _put(
        self,
        body: Callable[[dict[str, Any] | None], dict[str, Any] | None],
        fence: int,
        *,
        back: bool = False,
    ) -> bool:
        """Writes what ``body`` makes of the live object, which may be absent; None is to write nothing.

        What a person changed in mid-run is taken back, as role mesh does it: nobody's edit may keep a sick
        version's share.
        """
        force = False
        for _turn in range(ATTEMPTS):
            live = self.read()
            if live:
                refuse_newer_fence(live, fence)
            desired = body(live)
            if desired is None or (live and live["spec"] == desired["spec"] and fence_of(live) == fence):
                return False
            metadata = dict(desired["metadata"])
            if live:
                metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
            try:
                self._client.apply(_fenced({**desired, "metadata": metadata}, fence), force=force)
            except ApiError as error:
                takes = isinstance(error, ConflictError) and (
                    back or changed_by_hand(live, error, FIELD_MANAGER)
                )
                if _is_stale(error) or (takes and not force):
                    force = force or takes
                    continue
                raise
            return True
        raise too_fast(f"VirtualService {self.namespace}/{self.name}")


class ForeignRoutes:
    """A VirtualService of somebody else: only the weights of the split change, by JSON Patch with tests.

    :param split: which of its destinations are meant. :param gitops: ``refuse`` when a controller would put
        the object back, or ``ignore``.
    """

    def __init__(
        self, client: Objects, name: str, namespace: str, split: Split, *, gitops: str = "refuse"
    ) -> None:
        self._client = client
        self._split = split
        self._gitops = gitops
        self.annotation = _foreign_annotation(split.service, split.namespace)
        self.original: Sequence[Any] | None = None  # routes before the run, from the journal
        self.name = name
        self.namespace = namespace

    def read(self) -> dict[str, Any] | None:
        """The live object. :returns: the object, None when it does not exist."""
        return self._client.get(ISTIO_API, "VirtualService", self.name, self.namespace)

    def desired(self, traffic: TrafficState) -> dict[str, Any]:
        """The live object with the split of a traffic state, for diffs.

        :returns: a VirtualService; a copy.
        """
        live = self.read()
        if live is None:
            raise RefusedError(
                f"VirtualService {self.namespace}/{self.name} does not exist", rule="no-routes"
            )
        return self._with(live, traffic)

    def write(self, traffic: TrafficState, fence: int) -> bool:
        """Writes the split of a traffic state. :returns: whether anything was written.

        A rollback of an object that was deleted meanwhile has nothing to write.
        :raises RefusedError: the canary shall get requests, and there is no such object.
        """
        return self._put(
            lambda live: self._with(live, traffic),
            fence,
            needed=bool(traffic.weights.get(self._split.canary)),
        )

    def restore(self, snapshot: Sequence[Any] | None) -> None:
        """The routes before the run, from its journal."""
        self.original = snapshot

    def claim(self, fence: int) -> None:
        """Marks the object with a newer fence."""
        self._put(lambda live: live, fence, needed=False)

    def _with(self, live: Mapping[str, Any], traffic: TrafficState) -> dict[str, Any]:
        if traffic.kind in ("mirror", "testers"):
            raise RefusedError(
                f"a {traffic.kind} phase adds routes, and VirtualService {self.name} is not ours",
                rule="foreign-routes",
            )
        share = traffic.weights.get(self._split.canary, 0)
        base, before = copy.deepcopy(dict(live)), copy.deepcopy(dict(live))
        left = [item for item in self.original or () if isinstance(item, Mapping)]
        for index, route in enumerate(mappings_at(base, "spec", "http")):
            same = next((item for item in left if self._identity(item) == self._identity(route)), None)
            if same is not None:
                left.remove(same)
                before["spec"]["http"][index]["route"] = copy.deepcopy(same["route"])
        others = zip(self._split.others(before), self._split.others(base), strict=True)
        for index, (then, now) in enumerate(others):
            if then == now:  # whoever splits the rest of the route has not moved it meanwhile
                base["spec"]["http"][index] = before["spec"]["http"][index]
        # at the share it had before the run, the object is again what its owner wrote
        return base if self._split.canary_share(base) == share else self._split.with_share(base, share)

    def _identity(self, route: Mapping[str, Any]) -> tuple[Any, Any, set[str]]:
        """What a rollout never changes of a route, wherever its owner moves it: name, matches, and hosts.

        :returns: what tells it from the others of its object.
        """
        return field(route, "name"), field(route, "match"), self._hosts(mappings_at(route, "route"))

    def _hosts(self, destinations: Sequence[Mapping[str, Any]]) -> set[str]:
        """Where destinations lead, however their hosts are written."""
        hosts = {text_at(item, "destination", "host") for item in destinations}
        return {full_host(host, self.namespace, self._split.domain) for host in hosts}

    def refuse_gitops(self, live: Mapping[str, Any]) -> None:
        """:raises RefusedError: a controller would put the object back, and a run is to leave that alone."""
        owner = gitops_owner(live)
        if owner and self._gitops == "refuse":
            raise RefusedError(
                f"VirtualService {self.name} is kept in sync by {owner}, which would undo the rollout",
                rule="gitops",
            )

    def snapshot(self) -> tuple[Any, ...] | None:
        """The routes of the service as they are now, for the journal.

        :returns: ``name``, ``match`` and ``route`` of each, as far as it has them; those of other services
            are not this run's to restore.
        """
        live = self.read()
        if live is None:
            return ()
        routes = zip(mappings_at(live, "spec", "http"), self._split.concerned(live), strict=True)
        return tuple(
            {key: route[key] for key in ("name", "match", "route") if key in route}
            for route, concerned in routes
            if concerned
        )

    def _put(self, body: Callable[[dict[str, Any]], dict[str, Any]], fence: int, *, needed: bool) -> bool:
        for _turn in range(ATTEMPTS):
            live = self.read()
            if live is None and not needed:
                return False
            if live is None:
                raise RefusedError(
                    f"VirtualService {self.namespace}/{self.name} does not exist", rule="no-routes"
                )
            refuse_newer_fence(live, fence, self.annotation)
            desired = body(live)
            patch = split_patch(live, desired)
            # what a run has given to the canary it may always take back
            if patch and self._split.canary_share(desired) > self._split.canary_share(live):
                self.refuse_gitops(live)
            if fence_of(live, self.annotation) != fence:
                patch = patch or at_this_version(live)
                patch.append(_fence_operation(live, self.annotation, fence))
            if not patch:
                return False
            try:
                self._client.patch(
                    ISTIO_API,
                    "VirtualService",
                    self.name,
                    self.namespace,
                    patch,
                    patch_type="json",
                    field_manager=FOREIGN_MANAGER,
                )
            except ApiError as error:
                # a failed JSON Patch test is 422 Invalid at the API server, a lost race 409
                if error.status in (409, 422) and self.read() != live:
                    continue
                raise
            return True
        raise too_fast(f"VirtualService {self.namespace}/{self.name}")


def at_this_version(live: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The test that a JSON Patch of this object begins with.

    :returns: one JSON Patch operation, ``test`` of the resourceVersion.
    """
    return [{"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]}]


def _fence_operation(live: Mapping[str, Any], annotation: str, fence: int) -> dict[str, Any]:
    if field(live, "metadata", "annotations") is None:
        return {"op": "add", "path": "/metadata/annotations", "value": {annotation: str(fence)}}
    key = annotation.replace("~", "~0").replace("/", "~1")
    return {"op": "add", "path": f"/metadata/annotations/{key}", "value": str(fence)}


def _fenced(obj: Mapping[str, Any], fence: int) -> dict[str, Any]:
    annotations = {**annotations_of(obj), FENCE_ANNOTATION: str(fence)}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def check_sums(virtual_service: Mapping[str, Any]) -> None:
    """Refuses an object of ours with a route whose weights do not sum to 100. Istio itself would accept it;
    a route's only destination takes everything, whatever its weight says.
    """
    for index, route in enumerate(mappings_at(virtual_service, "spec", "http")):
        weights = [integer_at(item, "weight") for item in mappings_at(route, "route")]
        if len(weights) > 1 and sum(weights) != 100:
            raise RefusedError(
                f"route {index} of VirtualService {name_of(virtual_service)} would have weights"
                f" {weights}, which do not sum to 100",
                rule="weights-sum",
            )


def refuse_newer_fence(live: Mapping[str, Any], fence: int, annotation: str = FENCE_ANNOTATION) -> None:
    """:raises FencedError: the object bears a newer fence than the writer's."""
    there = fence_of(live, annotation)
    if there > fence:
        name = live["metadata"]["name"]
        raise FencedError(f"{live['kind']} {name} bears fence {there}, this run has {fence}: it stops")


def _is_stale(error: ApiError) -> bool:
    """Whether a 409 says "the object has been modified", not "somebody else owns these fields"."""
    return error.status == 409 and not (isinstance(error, ConflictError) and error.manager)
