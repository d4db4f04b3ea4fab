# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Envoy's response flags: the whole list, and what follows from each."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.response_flags import (
    CALLER,
    FLAGS,
    GONE,
    UNREACHED,
    explained,
    flags_in,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.requests import is_bad

# Envoy 1.39, source/common/stream_info/utility.h, CORE_RESPONSE_FLAGS, in its order.
ENVOY = {
    "LH": "FailedLocalHealthCheck", "UH": "NoHealthyUpstream", "UT": "UpstreamRequestTimeout",
    "LR": "LocalReset", "UR": "UpstreamRemoteReset", "UF": "UpstreamConnectionFailure",
    "UC": "UpstreamConnectionTermination", "UO": "UpstreamOverflow", "NR": "NoRouteFound",
    "DI": "DelayInjected", "FI": "FaultInjected", "RL": "RateLimited", "UAEX": "UnauthorizedExternalService",
    "RLSE": "RateLimitServiceError", "DC": "DownstreamConnectionTermination",
    "URX": "UpstreamRetryLimitExceeded", "SI": "StreamIdleTimeout", "IH": "InvalidEnvoyRequestHeaders",
    "DPE": "DownstreamProtocolError", "UMSDR": "UpstreamMaxStreamDurationReached",
    "RFCF": "ResponseFromCacheFilter", "NFCF": "NoFilterConfigFound", "DT": "DurationTimeout",
    "UPE": "UpstreamProtocolError", "NC": "NoClusterFound", "OM": "OverloadManagerTerminated",
    "DF": "DnsResolutionFailed", "DO": "DropOverload", "DR": "DownstreamRemoteReset",
    "UDO": "UnconditionalDropOverload",
}  # fmt: skip


def test_every_flag_of_envoy_is_explained_by_its_own_name() -> None:
    assert {flag.short: flag.name for flag in FLAGS.values()} == ENVOY


def test_flags_of_a_label() -> None:
    assert flags_in("-") == flags_in("") == ()
    assert flags_in("UF,URX") == ("UF", "URX")
    assert explained(()) == ""
    assert explained(("DR", "XX")).split("; ") == [
        "DR (DownstreamRemoteReset): the caller reset the stream before the answer",
        "XX: no flag of Envoy's own",
    ]


def test_what_a_caller_s_proxy_ended_itself_has_reached_no_server() -> None:
    assert {"UH", "UF", "UO", "NR", "NC", "FI", "RL"} <= UNREACHED
    assert not {"UT", "UC", "UR", "URX", "DC", "DR", "DI"} & UNREACHED
    assert {flag for flag in GONE if FLAGS[flag].place == CALLER} == GONE


@pytest.mark.parametrize(
    ("flags", "bad"),
    [("DC", False), ("DR", False), ("DPE", False), ("-", False), ("UT", True), ("DC,URX", True)],
)
def test_a_request_that_its_caller_gave_up_is_no_failure_of_the_server(flags: str, bad: bool) -> None:
    labels = {"response_code": "0", "response_flags": flags, "request_protocol": "http"}
    assert is_bad(frozenset(labels.items())) is bad
