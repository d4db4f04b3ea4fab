# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time in which the log of a workload is on: switched on, waited, read, and always switched off."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MeshError, RefusedError, nearest
from ...fields import list_at, mapping_at, name_of
from ...istio.proxy.log_levels import LogLevels, read_levels, set_levels
from ...istio.proxy.running import RunningProxy, running_proxies
from ...istio.workloads import PROXY_CONTAINER
from ...kube.lease import Lease
from ...labels import is_selected, ownership_labels
from .journal import JOURNAL, PART_OF, TELEMETRY_API, SwitchedOn, take_back
from .options import LoggedWorkload, LogOptions
from .redaction import without_secrets

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient

_MOST = 16 * 1024 * 1024
_MARGIN = 5  # seconds: kubelet and API server need not agree on the time
_TURN = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Logs:
    """What the proxies wrote.

    :param texts: pod -> its log while it was on. :param unread: pod -> why there is none.
    :param began: seconds since the epoch, by the API server's clock. :param seconds: how long it was on.
    """

    texts: Mapping[str, str]
    unread: Mapping[str, str]
    began: float
    seconds: float


def proxies_of(client: KubeClient, workload: LoggedWorkload) -> list[RunningProxy]:
    """The ready proxies of a workload. :returns: at least one. :raises RefusedError: there is none."""
    pods = client.list("v1", "Pod", workload.namespace).items
    found = [proxy for proxy in running_proxies(pods) if proxy.selected_by(workload.labels)]
    if not found:
        raise RefusedError(f"no proxy of {workload} runs and is ready, so nothing logs", rule="no-proxy")
    return found


def telemetry_needed(client: KubeClient, options: LogOptions, workload: LoggedWorkload) -> bool:
    """Whether a Telemetry of our own has to switch the access log on.

    For one workload Istio takes a single Telemetry that selects it, the oldest
    (pilot/pkg/model/telemetry.go, applicableTelemetries): beside one, ours would do nothing.

    :raises RefusedError: there is one, and its access log is off or filtered.
    """
    if not options.access_log:
        return False
    for live in client.list(TELEMETRY_API, "Telemetry", workload.namespace).items:
        selector = mapping_at(live, "spec", "selector", "matchLabels")
        if not selector or not is_selected(workload.labels, selector) or _is_ours(live):
            continue
        logging = list_at(live, "spec", "accessLogging")
        if not logging:
            continue
        if any(entry.get("disabled") for entry in logging):
            raise RefusedError(
                f"Telemetry {workload.namespace}/{name_of(live)} selects {workload}, and switches its access"
                " log off; Istio takes the oldest of several, so none can be put beside it",
                rule="other-telemetry",
            )
        return False
    return True


def _is_ours(live: Mapping[str, Any]) -> bool:
    return is_selected(mapping_at(live, "metadata", "labels"), ownership_labels(PART_OF))


def telemetry_of(workload: LoggedWorkload, provider: str) -> dict[str, Any]:
    """The Telemetry that logs every request of a workload. :returns: the object."""
    return {
        "apiVersion": TELEMETRY_API,
        "kind": "Telemetry",
        "metadata": {
            "name": f"proxy-log-{workload.name}"[:253],
            "namespace": workload.namespace,
            "labels": ownership_labels(PART_OF),
        },
        "spec": {
            "selector": {"matchLabels": dict(workload.labels)},
            "accessLogging": [{"providers": [{"name": provider}]}],
        },
    }


@contextlib.contextmanager
def switched_on(
    client: KubeClient, lease: Lease, options: LogOptions, proxies: Sequence[RunningProxy]
) -> Iterator[None]:
    """Inside, access log and levels are as asked for; behind it they are as before, whatever happened.

    :raises MeshError: it could not be switched on, or not be taken back: then the next run does it.
    """
    workload = options.workload
    if workload is None:
        raise ValueError("nothing to log")
    telemetry = None
    if telemetry_needed(client, options, workload):
        provider = options.catalogue.telemetry.access_log_provider if options.catalogue.telemetry else "envoy"
        telemetry = telemetry_of(workload, provider)
    levels = {proxy.pod: read_levels(client, proxy) for proxy in proxies} if options.levels else {}
    for pod, found in levels.items():
        _check_loggers(pod, found, options.levels)
    journal = SwitchedOn(str(workload), name_of(telemetry) if telemetry else "", levels)
    lease.note({JOURNAL: journal.as_text()})
    try:
        if telemetry:
            _create(client, telemetry)
        for proxy in proxies if options.levels else ():
            if options.levels:
                set_levels(client, proxy, options.levels)
        yield
    finally:
        _switch_off(client, lease, workload, journal)


def _check_loggers(pod: str, found: LogLevels, wanted: LogLevels | None) -> None:
    """:raises RefusedError: the proxy has no logger of that name."""
    for name in sorted(set(wanted.others if wanted else ()) - found.names):
        known = sorted(found.names)
        raise RefusedError(
            f"the proxy of pod {pod} has no logger {name!r}{nearest(name, known)}"
            f" (it has {', '.join(known)})",
            rule="unknown-logger",
        )


def _create(client: KubeClient, telemetry: Mapping[str, Any]) -> None:
    try:
        client.create(telemetry)
    except ApiError as error:
        if error.status != 409:  # our own, whose answer was lost
            raise


def _switch_off(client: KubeClient, lease: Lease, workload: LoggedWorkload, journal: SwitchedOn) -> None:
    try:
        take_back(client, workload.namespace, journal)
        lease.note({JOURNAL: ""})
    except MeshError as error:
        raise MeshError(
            f"the log of {workload} could not be switched off: {error.message}; the next run of playbook"
            " observe does it"
        ) from error


def wait(context: Context, lease: Lease, seconds: float) -> float:
    """Lets the time pass, holding the Lease, until it is over or the run is to end. :returns: seconds."""
    begun = context.clock.monotonic()
    while (passed := context.clock.monotonic() - begun) < seconds and not context.stop():
        lease.renew_if_due()
        context.clock.sleep(min(_TURN, seconds - passed))
    return context.clock.monotonic() - begun


def read_logs(
    client: KubeClient, proxies: Sequence[RunningProxy], began: float, seconds: float, age: float
) -> Logs:
    """What the proxies have written. :param age: seconds since ``began``."""
    back = math.ceil(age) + _MARGIN

    def read(proxy: RunningProxy) -> tuple[str, str]:
        try:
            text = client.logs(
                proxy.namespace, proxy.pod, PROXY_CONTAINER, since_seconds=back, limit_bytes=_MOST
            )
        except ApiError as error:
            return "", error.message
        return without_secrets(text), "its log is longer than 16 MiB and was cut" if len(
            text
        ) >= _MOST else ""

    answers = dict(zip((proxy.pod for proxy in proxies), client.in_parallel(read, proxies), strict=True))
    return Logs(
        {pod: text for pod, (text, _why) in answers.items()},
        {pod: why for pod, (_text, why) in answers.items() if why},
        began,
        seconds,
    )
