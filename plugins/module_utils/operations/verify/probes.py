# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts probe pods, sends calls through them, and always removes them again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import ApiError, WaitTimeout
from ...fields import annotations_of, mapping_at, text_at
from ...istio.probe import pods as probe
from ...istio.probe.manifests import ProbeRun
from ...istio.probe.pods import Answer, Identity, ProbeCall
from ...istio.probe.runner import runner_alive, runner_id
from ...kube.client import KubeClient
from ...kube.clock import Clock, SystemClock
from ...kube.pods import is_ended, is_ready, phase_of, trouble
from ...kube.wait import wait_until
from .options import ProbeOptions

POLL = 0.4
PROBE_KINDS = (("networking.istio.io/v1", "Sidecar"), ("v1", "Pod"))


AT_ONCE = 12
"""So many probe pods exist at the same time."""


def batches(first: Identity, identities: Sequence[Identity]) -> list[list[Identity]]:
    """The identities, as many as there may be probes at once; ``first`` is among the first ones if at all.

    :returns: at least one batch, which may be empty.
    """
    ordered = sorted(identities, key=lambda identity: (identity != first, identity))
    return [ordered[start : start + AT_ONCE] for start in range(0, len(ordered), AT_ONCE)] or [[]]


class Probes:
    """The probe pods of one run; a context manager, so that they go whatever happens."""

    def __init__(
        self,
        client: KubeClient,
        options: ProbeOptions,
        *,
        warn: Callable[[str], None],
        stop: Callable[[], bool] = lambda: False,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._options = options
        self._warn = warn
        self._stop = stop
        self._clock = clock or SystemClock()
        self._run = secrets.token_hex(4)
        self._manifests = ProbeRun(
            self._run, runner_id(), options.image, options.lifetime, options.pull_secrets
        )
        self._names: dict[Identity, str] = {}
        self._namespaces: set[str] = set()
        self.trouble: dict[Identity, str] = {}
        """Why an identity has no probe that answers."""

    def __enter__(self) -> Probes:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.remove()

    def sweep(self, namespaces: Sequence[str]) -> int:
        """Removes what runs that are over left behind; returns how many objects."""
        wanted = [(api, kind, namespace) for namespace in namespaces for api, kind in PROBE_KINDS]
        lists = self._client.in_parallel(
            lambda key: self._client.list(key[0], key[1], key[2], label_selector=probe.SELECTOR).items, wanted
        )
        left = [
            (key, item["metadata"]["name"])
            for key, items in zip(wanted, lists, strict=True)
            for item in items
            if self._is_left(item)
        ]
        self._client.in_parallel(lambda one: self._delete(*one), left)
        return len(left)

    def start(self, identities: Sequence[Identity]) -> None:
        """Creates a probe per identity, all at once, and the Sidecars that open the mesh to them.

        An identity that gets none (a quota, an admission rule, missing rights) is in ``trouble``.
        """
        for number, identity in enumerate(identities):
            self._names[identity] = f"servicemesh-verify-{self._run}-{number}"
            self._namespaces.add(identity.namespace)
        created = self._client.in_parallel(self._create_pod, identities)
        for namespace in sorted({item.namespace for item in identities if item.meshed}):
            owners = [
                pod
                for identity, pod in zip(identities, created, strict=True)
                if pod and identity.meshed and identity.namespace == namespace
            ]
            if owners:
                self._create_sidecar(namespace, owners)

    def wait(self) -> None:
        """Waits until every probe is ready or known not to become so; never longer than ``start_timeout``.

        :raises ApiError: the run was stopped meanwhile.
        """
        limit = self._options.start_timeout
        seen: dict[Identity, str] = {}

        def look() -> tuple[bool, str]:
            pods = self._own_pods()
            for identity in sorted(set(self._names) - set(self.trouble)):
                seen[identity] = _state(pods.get((identity.namespace, self._names[identity])))
                if seen[identity].startswith("ended"):
                    self.trouble[identity] = seen[identity]
            waiting = self._waiting(seen)
            return not waiting, f"{len(waiting)} are not ready"

        if not set(self._names) - set(self.trouble):
            return
        try:
            wait_until(
                look,
                awaited="the probes to start",
                timeout=limit,
                interval=POLL,
                max_interval=POLL,
                stop=self._stop,
                clock=self._clock,
            )
        except WaitTimeout:
            for identity in self._waiting(seen):
                self.trouble[identity] = f"not ready after {limit:.0f} s: {seen[identity]}"

    def _waiting(self, seen: Mapping[Identity, str]) -> list[Identity]:
        return [one for one, state in seen.items() if one not in self.trouble and state != "ready"]

    def send(
        self, identity: Identity, calls: Sequence[ProbeCall], limit: int, ca_pem: str = ""
    ) -> list[Answer]:
        """Sends ``calls`` as ``identity``, a few at a time; each may take ``limit`` seconds.

        :returns: one answer per call, in their order.
        :raises ApiError: the probe does not run or its pod cannot be entered.
        """
        if identity in self.trouble or identity not in self._names:
            raise ApiError(
                f"the probe of {identity} does not run: {self.trouble.get(identity, 'not started')}"
            )
        answers: list[Answer] = []
        for start in range(0, len(calls), probe.MAX_CALLS):
            answers += self._send(identity, calls[start : start + probe.MAX_CALLS], limit, ca_pem)
        if all(answer.exit_code == 127 for answer in answers):
            raise ApiError(f"image {self._options.image} has no curl: give verify_probe_image one that has")
        return answers

    def _send(self, identity: Identity, calls: Sequence[ProbeCall], limit: int, ca_pem: str) -> list[Answer]:
        mark = f"@@{secrets.token_hex(8)}@@"
        command = probe.command(calls, mark, limit, ca_pem)
        timeout = probe.longest(len(calls), limit) + 15.0
        result = self._client.exec(
            identity.namespace, self._names[identity], probe.CONTAINER, command, timeout=timeout
        )
        return probe.parse_answers(result.stdout, mark, len(calls))

    def remove(self) -> None:
        """Deletes the probes and their Sidecars. What cannot be deleted now ends by itself, and is
        named."""
        targets = [("v1", "Pod", identity.namespace, name) for identity, name in self._names.items()]
        targets += [
            ("networking.istio.io/v1", "Sidecar", namespace, self._sidecar_name())
            for namespace in sorted(self._namespaces)
        ]
        self._names = {}
        self._namespaces = set()
        with self._client.although_stopped():
            problems = self._client.in_parallel(self._remove, targets)
        for problem in problems:
            if problem:
                self._warn(problem)

    def _remove(self, target: tuple[str, str, str, str]) -> str:
        api_version, kind, namespace, name = target
        try:
            self._client.delete(api_version, kind, name, namespace)
        except ApiError as error:
            if "Sidecar" in kind and error.reason == "NoKind":
                return ""
            return f"{kind} {namespace}/{name} could not be deleted: {error.message}"
        return ""

    def _create_pod(self, identity: Identity) -> dict[str, Any] | None:
        manifest = self._manifests.pod(identity, self._names[identity])
        try:
            return self._client.create(manifest)
        except ApiError as error:
            self.trouble[identity] = f"its pod was refused: {error.message}"
            return None

    def _create_sidecar(self, namespace: str, owners: Sequence[Mapping[str, Any]]) -> None:
        manifest = self._manifests.sidecar(namespace, self._sidecar_name(), owners)
        try:
            self._client.create(manifest)
        except ApiError as error:
            for identity in self._names:
                if identity.meshed and identity.namespace == namespace:
                    self.trouble[identity] = f"its Sidecar was refused: {error.message}"

    def _sidecar_name(self) -> str:
        return f"servicemesh-verify-{self._run}"

    def _own_pods(self) -> dict[tuple[str, str], dict[str, Any]]:
        selector = f"{probe.RUN_LABEL}={self._run}"
        lists = self._client.in_parallel(
            lambda namespace: self._client.list("v1", "Pod", namespace, label_selector=selector).items,
            sorted(self._namespaces),
        )
        return {
            (item["metadata"]["namespace"], item["metadata"]["name"]): item
            for items in lists
            for item in items
        }

    def _is_left(self, item: Mapping[str, Any]) -> bool:
        runner = annotations_of(item).get(probe.RUNNER_ANNOTATION, "")
        return probe.is_leftover(
            mapping_at(item, "metadata"),
            text_at(item, "status", "phase"),
            lifetime=self._options.lifetime,
            alive=runner_alive(runner),
            now=self._clock.now(),
        )

    def _delete(self, key: tuple[str, str, str], name: str) -> None:
        self._client.delete(key[0], key[1], name, key[2])


def _state(pod: Mapping[str, Any] | None) -> str:
    """``ready``, ``ended: ...``, or what the pod waits for."""
    if pod is None:
        return "ended: its pod is gone"
    if is_ended(pod):
        reason = text_at(pod, "status", "reason") or phase_of(pod)
        return f"ended: {reason} {text_at(pod, 'status', 'message')}".strip()
    return "ready" if is_ready(pod) else trouble(pod)
