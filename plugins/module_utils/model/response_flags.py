# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Envoy's response flags: what each says of a request, in Envoy's names, and what to do about it.

Source: Envoy's docs/root/configuration/observability/access_log/usage.rst (%RESPONSE_FLAGS%) and
source/common/stream_info/utility.h (CORE_RESPONSE_FLAGS).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

CALLER, ROUTE, SERVER, LIMIT, TEST = "caller", "route", "server", "limit", "test"
"""Where to look: whoever called, the routes, the server and the way to it, a limit, a fault on purpose."""
NONE = frozenset(("", "-"))
"""What stands where no flag is set."""


@dataclasses.dataclass(frozen=True, slots=True)
class ResponseFlag:
    """One flag.

    :param name: Envoy's long name. :param place: where to look (CALLER, ROUTE, ...).
    :param reached: whether the request may have reached the server that it was for.
    :param means: what happened, as a sentence without full stop.
    """

    short: str
    name: str
    place: str
    reached: bool
    means: str


_TABLE = (
    ResponseFlag("UH", "NoHealthyUpstream", SERVER, False,
                 "no healthy endpoint: no ready pod, or all were ejected by outlier detection"),
    ResponseFlag("UF", "UpstreamConnectionFailure", SERVER, False,
                 "no connection to the server: it does not listen, or the TLS of both ends differs"),
    ResponseFlag("UO", "UpstreamOverflow", LIMIT, False,
                 "the circuit breaker is open: the limits of connection_pool are reached"),
    ResponseFlag("NR", "NoRouteFound", ROUTE, False,
                 "no route for this host and path, or no listener took the connection"),
    ResponseFlag("NC", "NoClusterFound", ROUTE, False,
                 "the route leads to a host or subset that the proxy does not know"),
    ResponseFlag("URX", "UpstreamRetryLimitExceeded", SERVER, True,
                 "every retry that is allowed has failed"),
    ResponseFlag("UT", "UpstreamRequestTimeout", SERVER, True,
                 "the server did not answer within the timeout of the route"),
    ResponseFlag("UC", "UpstreamConnectionTermination", SERVER, True,
                 "the server closed the connection before its answer ended, often an idle one"),
    ResponseFlag("UR", "UpstreamRemoteReset", SERVER, True, "the server reset the stream"),
    ResponseFlag("UPE", "UpstreamProtocolError", SERVER, True,
                 "the server's answer broke the protocol: check the name and appProtocol of its port"),
    ResponseFlag("UMSDR", "UpstreamMaxStreamDurationReached", LIMIT, True,
                 "the longest time that a stream may take was reached"),
    ResponseFlag("LR", "LocalReset", SERVER, True, "the proxy itself reset the stream"),
    ResponseFlag("LH", "FailedLocalHealthCheck", SERVER, True, "the server failed the proxy's health check"),
    ResponseFlag("DC", "DownstreamConnectionTermination", CALLER, True,
                 "the caller went away before the answer, often because of its own timeout"),
    ResponseFlag("DR", "DownstreamRemoteReset", CALLER, True,
                 "the caller reset the stream before the answer"),
    ResponseFlag("DPE", "DownstreamProtocolError", CALLER, False, "the caller's request broke the protocol"),
    ResponseFlag("IH", "InvalidEnvoyRequestHeaders", CALLER, False,
                 "the caller sent an x-envoy header that is not valid"),
    ResponseFlag("SI", "StreamIdleTimeout", LIMIT, True, "nothing moved on the stream for the idle timeout"),
    ResponseFlag("DT", "DurationTimeout", LIMIT, True, "the connection reached its longest duration"),
    ResponseFlag("RL", "RateLimited", LIMIT, False, "a rate limit refused the request"),
    ResponseFlag("RLSE", "RateLimitServiceError", LIMIT, False, "the rate limit service did not answer"),
    ResponseFlag("UAEX", "UnauthorizedExternalService", CALLER, False,
                 "the external authorization service refused the request"),
    ResponseFlag("DI", "DelayInjected", TEST, True,
                 "a fault of the catalogue delayed the request on purpose"),
    ResponseFlag("FI", "FaultInjected", TEST, False, "a fault of the catalogue ended the request on purpose"),
    ResponseFlag("RFCF", "ResponseFromCacheFilter", SERVER, False, "the answer came from the proxy's cache"),
    ResponseFlag("NFCF", "NoFilterConfigFound", ROUTE, False,
                 "the configuration of a filter did not arrive in time"),
    ResponseFlag("OM", "OverloadManagerTerminated", LIMIT, True,
                 "the proxy is overloaded and ended the request"),
    ResponseFlag("DO", "DropOverload", LIMIT, False, "the request was dropped to shed load"),
    ResponseFlag("UDO", "UnconditionalDropOverload", LIMIT, False, "all requests are dropped to shed load"),
    ResponseFlag("DF", "DnsResolutionFailed", SERVER, False, "the host's name has no address in DNS"),
)  # fmt: skip
FLAGS: Mapping[str, ResponseFlag] = {flag.short: flag for flag in _TABLE}
UNREACHED = frozenset(flag.short for flag in _TABLE if not flag.reached)
"""Flags of requests that the server's proxy has never seen, when the caller's proxy sets them."""
GONE = frozenset(("DC", "DR", "DPE"))
"""Flags of requests that the caller itself gave up."""


def flags_in(text: str) -> tuple[str, ...]:
    """The flags of a label or a log's field, such as ``UF,URX``. :returns: empty where none is set."""
    return tuple(part for part in text.split(",") if part not in NONE)


def explained(flags: Iterable[str]) -> str:
    """What flags say, each ``SHORT (Name): meaning``, joined by semicolons; ``""`` for none."""
    return "; ".join(_explained(short) for short in flags)


def _explained(short: str) -> str:
    flag = FLAGS.get(short)
    return f"{short} ({flag.name}): {flag.means}" if flag else f"{short}: no flag of Envoy's own"
