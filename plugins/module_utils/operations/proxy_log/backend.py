# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switches the access log or the log level of one workload on for a while, and always off again.

Backend of module ``proxy_log``. What a run that was killed has left switched on, the next run takes back: it
stands in a Lease of the workload's namespace before anything is switched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MalformedError, RefusedError
from ...files import write_report
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...kube.server_time import server_time
from ...model.reading.typed import variables_of
from .journal import JOURNAL, lease_of, read_journal, take_back
from .options import LoggedWorkload, LogOptions
from .result import summary, text_lines
from .switched import proxies_of, read_logs, switched_on, telemetry_needed, wait

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "catalogue": {"type": "dict", "required": True},
    "workload": {"type": "str", "default": ""},
    "seconds": {"type": "raw", "default": 30},
    "access_log": {"type": "bool", "default": True},
    "level": {"type": "str", "default": ""},
    "lines": {"type": "int", "default": 20},
    "path": {"type": "str", "default": ""},
}
VARIABLES = variables_of(
    ARGUMENT_SPEC,
    "observe_",
    seconds="observe_log_time",
    level="observe_log_level",
    lines="observe_log_lines",
    path="observe_log_path",
)


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Takes back what earlier runs have left, then logs the workload that is named.

    :returns: ``changed`` (whether something was left and is taken back), ``restored`` and ``untold``
        (sentences), ``log`` (see :func:`result.summary`; only with a workload, and not in check mode),
        ``lines`` for people.
    :raises InputError: the input is refused. :raises RefusedError: another run logs there, or nothing can be
        logged. :raises MeshError: the log could not be switched on or off.
    """
    options = LogOptions.from_params(params)
    restored: list[str] = []
    untold: list[str] = []
    found: dict[str, Any] | None = None
    connection = ConnectionOptions.from_params(params, context.environment)
    # A run that is asked to end still switches off: only its requests say when it is done.
    with context.client(connection, stoppable=False) as client:
        for namespace in options.namespaces:
            try:
                restored += _restore(client, context, namespace, options)
            except (ApiError, MalformedError, RefusedError) as error:
                if options.workload is not None and options.workload.namespace == namespace:
                    raise
                untold.append(error.message)
        workload = options.workload
        if workload is not None and context.check_mode:
            proxies_of(client, workload)
            telemetry_needed(client, options, workload)
        elif workload is not None:
            found = _logged(client, context, options, workload)
    lines = [*restored, *(f"cannot tell: {why}" for why in untold), *(text_lines(found) if found else [])]
    return {
        "changed": bool(restored),
        "restored": restored,
        "untold": untold,
        "lines": lines,
        **({"log": found} if found is not None else {}),
    }


def _restore(client: KubeClient, context: Context, namespace: str, options: LogOptions) -> list[str]:
    """What a run that died has left there is taken back, once it is sure that it is dead.

    :returns: what was done; in check mode what would be. :raises RefusedError: that run is alive.
    """
    lease = lease_of(client, context.clock, namespace, options.catalogue.name)
    journal = read_journal(lease.read())
    if journal is None:
        return []
    said = f"{journal.workload} was left logging"
    if context.check_mode:
        return [f"{said}: it would be switched off"]
    lease.acquire(observe=True)
    try:
        journal = read_journal(lease.read())  # the other run may have ended well meanwhile
        if journal is None:
            return []
        done = take_back(client, namespace, journal)
        lease.note({JOURNAL: ""})
    finally:
        lease.give_back(context.warn)
    return [f"{said} by a run that did not end: {'; '.join(done) or 'nothing of it was left'}"]


def _logged(
    client: KubeClient, context: Context, options: LogOptions, workload: LoggedWorkload
) -> dict[str, Any]:
    lease = lease_of(client, context.clock, workload.namespace, options.catalogue.name)
    lease.acquire()
    try:
        proxies = proxies_of(client, workload)
        now = server_time(client)
        began = now.timestamp() if now else context.clock.now()
        begun = context.clock.monotonic()
        with switched_on(client, lease, options, proxies):
            context.progress(f"logging {workload} for {options.seconds:g} s")
            seconds = wait(context, lease, options.seconds)
            # Before it is switched off: pods may go away with what they wrote.
            logs = read_logs(client, proxies, began, seconds, context.clock.monotonic() - begun)
    finally:
        lease.give_back(context.warn)
    if options.path:
        parts = (f"==> {workload.namespace}/{pod} <==\n{text}" for pod, text in sorted(logs.texts.items()))
        # Paths of requests may hold what is nobody else's.
        write_report(options.path, "\n".join(parts), 0o600)
    return summary(logs, str(workload), options.lines)
