# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a workload is on for a while and always off again, however the run ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import timestamp
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.proxy_log.journal import (
    JOURNAL,
    LEASE,
)

from ...support.access import Restricted, granted_by
from ...support.mortal import KilledError
from ..observe.observed_mesh import SHOP
from .logging_mesh import GOOD, LEVELS, LoggingMesh


def telemetry(
    name: str, logging: list[dict[str, Any]] | None, labels: dict[str, str] | None = None
) -> dict[str, Any]:
    selector = {"selector": {"matchLabels": labels}} if labels else {}
    logged = {} if logging is None else {"accessLogging": logging}
    return {
        "apiVersion": "telemetry.istio.io/v1",
        "kind": "Telemetry",
        "metadata": {"namespace": SHOP, "name": name},
        "spec": {**selector, **logged},
    }


def test_requests_are_logged_and_the_log_is_off_again() -> None:
    mesh = LoggingMesh()
    result = mesh.run(seconds=30)
    assert (result["changed"], result["restored"]) == (False, [])
    log = result["log"]
    assert (log["workload"], log["pods"], log["seconds"]) == ("shop/api", ["api-1", "api-2"], 30)
    assert (log["requests"], log["bad"], log["codes"]) == (2, 1, {"200": 1, "503": 1}), "not what was before"
    assert [(item["flag"], item["requests"]) for item in log["flags"]] == [("UF", 1), ("URX", 1)]
    assert "no connection to the server" in log["flags"][0]["means"]
    assert log["lines"][0].startswith("api-1: in 503 GET api/x 3 ms: UF (UpstreamConnectionFailure)")
    assert "upstream_reset_before_response_started" in log["lines"][0]
    assert log["proxy_lines"] == ["api-2: 2026 debug rbac checked"]
    assert mesh.seen == [True, True], "it was on while it was read"
    assert mesh.quiet
    lease = mesh.find("Lease", LEASE, SHOP)
    assert lease is not None
    assert lease["metadata"]["annotations"][JOURNAL] == ""
    assert not lease["spec"]["holderIdentity"]


def test_a_connection_without_requests_is_told_by_its_server_name() -> None:
    mesh = LoggingMesh()
    stream = GOOD.replace('"GET /x HTTP/1.1" 200', '"- - -" 0').replace("- default", "db.example.com default")
    mesh.texts["api-1"] = stream
    (line,) = mesh.run(seconds=30)["log"]["lines"]
    assert line == "api-1: in 0 connection db.example.com 3 ms"


def test_the_telemetry_is_ours_and_selects_the_workload_alone() -> None:
    mesh = LoggingMesh()
    made: list[dict[str, Any]] = []
    mesh.each = lambda: made.extend(obj for obj in mesh.of_kind("Telemetry") if obj not in made)
    mesh.run()
    assert made[0]["spec"] == {
        "selector": {"matchLabels": {"app": "api"}},
        "accessLogging": [{"providers": [{"name": "envoy"}]}],
    }
    assert made[0]["metadata"]["labels"]["app.kubernetes.io/part-of"] == "servicemesh-proxy-log"


@pytest.mark.parametrize(
    ("level", "meanwhile"),
    [
        ("debug", {"admin": "debug", "http": "debug", "rbac": "debug", "misc": "debug"}),
        ("rbac:debug,http:trace", {**LEVELS, "rbac": "debug", "http": "trace"}),
    ],
)
def test_levels_are_raised_and_set_back(level: str, meanwhile: dict[str, str]) -> None:
    mesh = LoggingMesh()
    mesh.run(level=level, access_log=False)
    assert mesh.raised == [meanwhile, meanwhile]
    assert mesh.seen == [False, False]
    assert mesh.quiet


def test_no_header_that_holds_a_secret_is_handed_on(tmp_path: Path) -> None:
    mesh, path = LoggingMesh(), tmp_path / "api.log"
    mesh.texts["api-2"] = "\n".join(
        [
            "2026 debug http request headers complete:",
            "':path', '/x?access_token=s3cret&a=1'",
            "'referer', 'https://me:s3cret@host/'",
            "'authorization', 'Bearer abc.d\\'ef'",
            "'Cookie', 'session=4711'",
            "'x-api-key', 'k-4711'",
            "'x-user-id', 'u1'",
        ]
    )
    mesh.texts["api-1"] = GOOD.replace("GET /x", "GET /x?token=4711")
    result = mesh.run(level="debug", path=str(path))
    for text in (str(result), path.read_text()):
        assert "abc.d" not in text
        assert "session" not in text
        assert "k-4711" not in text
        assert "s3cret" not in text
        assert "&a=1'" in path.read_text()
        assert "'x-user-id', 'u1'" in text
    assert "4711" not in str(result)


def test_a_logger_that_is_not_there_is_refused_before_anything_is_switched() -> None:
    mesh = LoggingMesh()
    with pytest.raises(
        RefusedError, match=r"pod api-1 has no logger 'rback', did you mean rbac \(it has admin,"
    ):
        mesh.run(level="rback:debug")
    assert [what for _verb, what in mesh.writes if what.startswith("Telemetry")] == []
    assert mesh.quiet


def test_a_request_that_fails_leaves_nothing_on() -> None:
    for verb, kind in (("create", "Telemetry"), ("logs", "Pod"), ("ask", "Pod")):
        mesh = LoggingMesh()
        mesh.fail(verb, kind, 500)
        try:
            result = mesh.run(level="debug")
        except MeshError:
            result = {}
        assert mesh.quiet, verb
        if verb == "logs":
            assert result["log"]["unread"].keys() == {"api-1"}, "told, and no empty log"


def test_what_cannot_be_switched_off_is_said_and_done_by_the_next_run() -> None:
    mesh = LoggingMesh()
    mesh.fail("delete", "Telemetry", 500, times=9)
    with pytest.raises(
        MeshError, match=r"could not be switched off.*the next run of playbook observe does it"
    ):
        mesh.run()
    assert not mesh.quiet
    mesh._failures.clear()
    result = mesh.run(workload="")
    assert result["changed"]
    assert (
        "shop/api was left logging by a run that did not end: Telemetry shop/proxy-log-api removed"
        in (result["restored"][0])
    )
    assert mesh.quiet


def test_a_second_run_finds_nothing_to_take_back() -> None:
    mesh = LoggingMesh()
    mesh.run()
    result = mesh.run(workload="")
    assert (result["changed"], result["restored"], result["untold"], "log" in result) == (
        False,
        [],
        [],
        False,
    )


def calls_of_a_run() -> int:
    mesh = LoggingMesh()
    mesh.run(level="debug", seconds=6)
    return mesh.count


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_call_the_next_run_takes_everything_back(after: bool) -> None:
    for number in range(1, calls_of_a_run() + 1):
        mesh = LoggingMesh()
        mesh.kill_at, mesh.after = number, after
        with pytest.raises(KilledError):
            mesh.run(level="debug", seconds=6)
        mesh.revived()
        left = not mesh.quiet
        mesh.time_of_run.time += 1
        result = mesh.run(workload="")
        assert mesh.quiet, (number, after)
        assert result["changed"] or not left, (number, after)
        assert not mesh.run(workload="")["changed"]


def test_killed_and_then_logged_again() -> None:
    """The next run need not be one that only takes back."""
    mesh = LoggingMesh()
    mesh.kill_at = calls_of_a_run() // 2
    with pytest.raises(KilledError):
        mesh.run(level="debug", seconds=6)
    mesh.revived()
    result = mesh.run(level="debug", seconds=6)
    assert result["changed"]
    assert result["log"]["requests"] >= 0
    assert mesh.quiet


def left_by(mesh: LoggingMesh) -> None:
    """What a run that was killed has left."""
    mesh.kill_at = calls_of_a_run() // 2
    with pytest.raises(KilledError):
        mesh.run(level="debug", seconds=6)
    mesh.revived()
    assert not mesh.quiet


def test_a_pod_that_is_gone_took_its_levels_with_it() -> None:
    mesh = LoggingMesh()
    left_by(mesh)
    mesh.remove("Pod", "api-1", SHOP)
    del mesh.levels["api-1"]
    assert mesh.run(workload="")["changed"]
    assert mesh.quiet


def test_check_mode_says_what_would_be_taken_back_and_does_nothing() -> None:
    mesh = LoggingMesh()
    left_by(mesh)
    before = len(mesh.writes)
    result = mesh.run(check_mode=True)
    assert result["changed"]
    assert result["restored"] == ["shop/api was left logging: it would be switched off"]
    assert "log" not in result
    assert len(mesh.writes) == before
    assert not mesh.quiet


def test_a_run_that_is_alive_is_left_alone() -> None:
    mesh = LoggingMesh()
    left_by(mesh)
    lease = mesh.find("Lease", LEASE, SHOP)
    assert lease is not None

    def renew() -> None:
        lease["spec"]["renewTime"] = timestamp(mesh.time_of_run.now())
        lease["spec"]["holderIdentity"] = "another:1"

    mesh.each = renew
    with pytest.raises(RefusedError, match="is held by another:1"):
        mesh.run()
    told = mesh.run(workload="")
    assert (told["changed"], len(told["untold"])) == (False, 1)
    assert not mesh.quiet


def test_a_journal_that_cannot_be_read_says_the_way_out() -> None:
    mesh = LoggingMesh()
    mesh.run()
    lease = mesh.find("Lease", LEASE, SHOP)
    assert lease is not None
    lease["metadata"]["annotations"][JOURNAL] = "{"
    with pytest.raises(MeshError, match=f"Lease {LEASE} cannot be read: delete the Lease"):
        mesh.run()
    assert "delete the Lease" in mesh.run(workload="")["untold"][0]


def test_a_foreign_telemetry_of_that_name_is_not_removed() -> None:
    mesh = LoggingMesh()
    left_by(mesh)
    for obj in mesh.of_kind("Telemetry"):
        obj["metadata"]["labels"] = {}
    mesh.run(workload="")
    assert mesh.find("Telemetry", "proxy-log-api", SHOP) is not None


# -- other Telemetries ---------------------------------------------------------------------------------------


def test_beside_a_telemetry_that_logs_none_is_needed() -> None:
    mesh = LoggingMesh()
    mesh.put(telemetry("api", [{"providers": [{"name": "envoy"}]}], {"app": "api"}))
    assert mesh.run()["log"]["requests"] == 2
    assert [obj["metadata"]["name"] for obj in mesh.of_kind("Telemetry")] == ["api"]


def test_a_telemetry_that_switches_the_log_off_is_named() -> None:
    mesh = LoggingMesh()
    mesh.put(telemetry("api", [{"disabled": True}], {"app": "api"}))
    with pytest.raises(
        RefusedError, match="Telemetry shop/api selects shop/api, and switches its access log off"
    ):
        mesh.run()
    with pytest.raises(RefusedError, match="Telemetry shop/api"):
        mesh.run(check_mode=True)
    assert mesh.run(level="debug", access_log=False)["log"]["pods"]


@pytest.mark.parametrize(
    "other",
    [
        telemetry("mesh-default", [{"disabled": True}]),
        telemetry("web", [{"disabled": True}], {"app": "web"}),
        telemetry("tracing", None, {"app": "api"}),
    ],
)
def test_telemetries_of_others_do_not_matter(other: dict[str, Any]) -> None:
    mesh = LoggingMesh()
    mesh.put(other)
    mesh.run()
    assert mesh.seen == [True, True]
    assert [obj["metadata"]["name"] for obj in mesh.of_kind("Telemetry")] == [other["metadata"]["name"]]


# -- input, files, rights ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"workload": "nobody"}, "observe_workload: 'nobody' is not in mesh_services"),
        ({"seconds": 0}, "observe_log_time: is 0 s, not from 1 s to 3600 s"),
        ({"seconds": 4000}, "observe_log_time"),
        ({"lines": -1}, "observe_log_lines"),
        ({"level": "loud"}, "observe_log_level: is 'loud', not one of trace, debug"),
        ({"level": "rbac:loud"}, "observe_log_level"),
        ({"level": "a b:debug"}, "observe_log_level"),
        ({"access_log": False}, "nothing would be logged"),
        ({"path": "/nowhere/x.log"}, "the directory of '/nowhere/x.log' does not exist"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(params: dict[str, Any], message: str) -> None:
    mesh = LoggingMesh()
    with pytest.raises(InputError) as refused:
        mesh.run(**params)
    assert message in str(refused.value)
    assert mesh.calls == []


def test_a_workload_without_a_ready_proxy_is_refused() -> None:
    mesh = LoggingMesh()
    for name in ("api-1", "api-2"):
        mesh.remove("Pod", name, SHOP)
    for check_mode in (False, True):
        with pytest.raises(RefusedError, match="no proxy of shop/api runs and is ready"):
            mesh.run(check_mode=check_mode)
    assert mesh.quiet


def test_the_file_has_the_whole_log(tmp_path: Path) -> None:
    mesh, path = LoggingMesh(), tmp_path / "api.log"
    result = mesh.run(path=str(path), lines=0)
    assert (result["log"]["lines"], result["log"]["proxy_lines"]) == ([], [])
    text = path.read_text()
    assert "==> shop/api-1 <==" in text
    assert path.stat().st_mode & 0o077 == 0, "requests are nobody else's"
    assert mesh.texts["api-2"] in text


def test_the_rights_of_the_table_are_enough() -> None:
    mesh = LoggingMesh()
    client = Restricted(mesh, granted_by("observe.yaml", {"ecommerce": SHOP}))
    assert mesh.run(client=client, level="debug")["log"]["requests"] == 2
    assert client.refused == set()


def test_without_the_right_to_look_that_is_told() -> None:
    mesh = LoggingMesh()
    mesh.forbidden = {"Lease"}
    result = mesh.run(workload="")
    assert len(result["untold"]) == 2, "both namespaces"
    assert "Lease is forbidden" in result["untold"][0]
