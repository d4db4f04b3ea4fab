"""What shops need of a catalogue, with real requests: each field does what the guide says of it.

Uses a mesh with an ingress gateway, in namespaces of its own:
`KUBECONFIG=... pytest tests/integration/mesh/test_fields.py`.
"""

from __future__ import annotations

import copy
import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import backend as verify

from ...unit.support.arguments import validated
from .applying import apply_catalogue
from .fields.world import HERE, IMAGE, World, answer, eventually

WWW, API = "www.fields.example.org", "api.fields.example.org"
REFUSED = ("403", "502", "000")
"""By the service's policy, or by the caller's own proxy, which does not know the host."""
Write = Callable[[dict[str, Any]], dict[str, Any]]


def external(world: World) -> list[dict[str, Any]]:
    """Two servers outside the mesh that only their addresses tell apart."""
    left, right = (world.pod(name)["status"]["podIP"] for name in ("left", "right"))
    sql = [{"number": 5432, "protocol": "TCP"}]
    return [
        {
            "name": "left",
            "hosts": ["left.warehouse.example"],
            "addresses": [f"{left}/32"],
            "ports": [*sql, {"number": 8080, "protocol": "HTTP"}],
            "callers": ["client"],
        },
        {
            "name": "right",
            "hosts": ["right.warehouse.example"],
            "addresses": [right],
            "ports": sql,
            "callers": ["client"],
        },
    ]


@pytest.fixture(scope="module")
def world(client: KubeClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(client, tmp_path_factory.mktemp("fields"))
    try:
        made.make()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def raw(world: World) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((HERE / "catalogue.yml").read_text())
    return found | {"mesh_external_services": external(world)}


@pytest.fixture(scope="module")
def write(world: World, raw: dict[str, Any]) -> Write:
    """Applies a catalogue; the first time already the one of the tests."""

    def run(catalogue: dict[str, Any]) -> dict[str, Any]:
        return apply_catalogue(catalogue, prune_all=True)

    assert run(raw)["changed"]
    assert not run(raw)["changed"]
    return run


@pytest.mark.usefixtures("write")
class TestGateway:
    def test_several_ports_of_one_service(self, world: World) -> None:
        def look() -> list[str]:
            answers = world.through_gateway(
                [f"https://{WWW}/x", f"https://{API}/many.Service/Call", f"https://{WWW}/two"]
            )
            assert [status for status, _connects, _body in answers] == [200, 200, 200]
            bodies = [body for _status, _connects, body in answers]
            return [json.loads(bodies[0])["name"], bodies[1], json.loads(bodies[2])["name"]]

        eventually(look, ["many", "many by HTTP/2", "two"])

    def test_a_connection_is_shared_by_the_hosts_of_a_certificate(self, world: World) -> None:
        """Browsers do so with HTTP/2; RFC 9113, section 9.1.1."""
        first, second = world.on_one_connection(f"https://{WWW}/x", API)
        assert (first[:2], second[:2]) == ((200, 1), (200, 0))
        assert second[2] == "many by HTTP/2"

    def test_which_would_not_be_answered_by_a_server_of_its_own(
        self, world: World, raw: dict[str, Any], write: Write
    ) -> None:
        """The fault that one server for both prevents: what a gateway answers with a server for each host."""
        apart = copy.deepcopy(raw)
        apart["mesh_gateways"][0]["servers"][1]["certificate"] = "fields-other"
        write(apart)
        try:
            eventually(lambda: self.statuses(world), [200, 404])
        finally:
            write(raw)
        eventually(lambda: self.statuses(world), [200, 200])

    @staticmethod
    def statuses(world: World) -> list[int]:
        return [status for status, *_rest in world.on_one_connection(f"https://{WWW}/x", API)]

    def test_so_it_is_by_whoever_reuses_connections_with_http1(self, world: World) -> None:
        connection = world.https(WWW)
        said = []
        for host in (WWW, API, WWW):
            connection.request("GET", "/", headers={"Host": host})
            response = connection.getresponse()
            said.append((response.status, b"HTTP/2" in response.read()))
        assert said == [(200, False), (200, True), (200, False)]

    def test_tls_passes_through_by_name(self, world: World) -> None:
        for name, who in (("mq.pass.example.org", "many hello"), ("b.wild.example.org", "two hello")):
            with world.tls(name, 8443) as channel:
                assert answer(channel) == who
        with pytest.raises((ssl.SSLError, OSError)):
            world.tls("a.wild.example.org", 8443)

    def test_tls_ends_at_the_gateway_beside_it(self, world: World) -> None:
        with world.tls("ends.fields.example.org", 8443) as channel:
            assert answer(channel) == "many hello"

    def test_tcp(self, world: World) -> None:
        with socket.create_connection((world.streams, 5432), timeout=5) as channel:
            assert answer(channel) == "many hello"


@pytest.mark.usefixtures("write")
class TestStreams:
    def test_a_silent_stream_outlives_the_timeout_of_its_service(self, world: World) -> None:
        ((status, _connects, _body),) = world.through_gateway([f"https://{WWW}/slow"])
        assert status == 504, "the server itself says 200, later"
        outside = world.https(WWW)
        outside.request("GET", "/stream", headers={"Host": WWW})  # it streams while the other one does
        command = f"curl -s -m 20 --resolve {WWW}:443:{world.gateway} http://many/stream"
        assert world.run("client", command).count("data: ") == 2
        assert outside.getresponse().read().count(b"data: ") == 2, "so it does at the gateway"


@pytest.mark.usefixtures("write")
class TestHeadless:
    NAMES = ("db", "db-pods", "db-0.db-pods", "db-1.db-pods.fields.svc.cluster.local")

    def test_every_name_works_with_mutual_tls(self, world: World) -> None:
        for name in self.NAMES:
            said = world.said("client", f"http://{name}:8080/x")
            assert said["name"] == "db"
            assert "/sa/client" in said["headers"]["x-forwarded-client-cert"], name
        assert world.said("client", "http://db-1.db-pods:8080/")["pod"] == "db-1"
        for name in self.NAMES:
            assert world.line("client", name, 5432) == "db hello", name

    def test_nobody_else_gets_in_by_any_of_them(self, world: World) -> None:
        addresses = [pod["status"]["podIP"] for pod in world.pods("db", "fields")]
        for name in (*self.NAMES, *addresses):
            assert world.code("two", f"http://{name}:8080/x") in REFUSED, name
            assert world.line("two", name, 5432) == "", name
        for address in addresses:
            assert world.line("left", address, 5432) == "", "STRICT"


@pytest.mark.usefixtures("write")
class TestTlsOfTheirOwn:
    @pytest.mark.parametrize("name", ["mq", "mq.fields", "mq.fields.svc", "mq.fields.svc.cluster.local"])
    def test_a_service_of_versions_is_found_by_every_name(self, world: World, name: str) -> None:
        """No filter chain matched the shorter names, and the handshake failed."""
        assert world.tls_line("client", name, 8443) == "mq hello"


@pytest.mark.usefixtures("write")
class TestLimitAtTheGateway:
    PATHS = ("/two", "/two/b", "/two/c", "/two/d", "/two/e")

    def test_all_paths_that_are_exposed_share_one_limit(
        self, world: World, raw: dict[str, Any], write: Write
    ) -> None:
        """Each had one of its own: five paths, five times the limit. What is beside it has none."""
        limited = copy.deepcopy(raw)
        two = next(item for item in limited["mesh_services"] if item["name"] == "two")
        two["rate_limit"] = {"requests": 7, "per": "600s", "at": "gateway"}
        two["exposed"] += [{**two["exposed"][0], "path": path} for path in self.PATHS[1:]]
        write(limited)
        try:
            eventually(lambda: self.asked(world, "/two/c"), [429])
            assert self.asked(world, *self.PATHS) == [429] * 5
            assert self.asked(world, *["/x"] * 9) == [200] * 9
        finally:
            write(raw)

    @staticmethod
    def asked(world: World, *paths: str) -> list[int]:
        urls = [f"https://{WWW}{path}" for path in paths]
        return [status for status, *_rest in world.through_gateway(urls)]


@pytest.mark.usefixtures("write")
class TestStatedOpenings:
    def test_a_caller_without_identity_gets_what_is_stated(self, world: World) -> None:
        assert world.code("left", "http://db.fields:8080/public/prices") == "200"
        assert world.code("left", "http://db.fields:8080/private") == "403"
        assert world.code("left", "http://db.fields:8080/public/prices", "-X", "POST") == "403"

    def test_an_open_service_lets_everybody_of_the_mesh_in(self, world: World) -> None:
        for caller in ("client", "db", "many"):
            assert world.said(caller, "http://two/x")["name"] == "two"
        assert world.code("left", "http://two.fields/x") == "000", "it is STRICT"

    def test_a_mesh_without_authorization(self, world: World, raw: dict[str, Any], write: Write) -> None:
        opened = copy.deepcopy(raw) | {"mesh_open": {"reason": "not adopted yet"}}
        write(opened)
        try:
            eventually(lambda: world.code("two", "http://db:8080/x"), "200")
            eventually(lambda: world.line("many", "db-0.db-pods", 5432), "db hello")
            assert world.client.list("security.istio.io/v1", "AuthorizationPolicy", "fields").items == []
        finally:
            write(raw)
        eventually(lambda: world.code("two", "http://db:8080/x") in REFUSED, True)

    def test_without_a_default_deny_only_what_lists_nobody_is_open(
        self, world: World, raw: dict[str, Any], write: Write
    ) -> None:
        loose = copy.deepcopy(raw) | {"mesh_default_deny": False}
        next(item for item in loose["mesh_services"] if item["name"] == "client").pop("callers")
        write(loose)
        try:
            eventually(lambda: world.code("two", "http://client/x"), "200")
            assert world.code("two", "http://db:8080/x") in REFUSED
        finally:
            write(raw)


@pytest.mark.usefixtures("write")
class TestScrape:
    """A Prometheus without a sidecar reads metrics, and nothing else of the same port."""

    def test_anybody_without_a_sidecar(self, world: World) -> None:
        address = world.pod("db")["status"]["podIP"]
        assert world.said("left", f"http://{address}:9100/metrics")["name"] == "db"
        assert world.code("right", f"http://{address}:9100/metrics") == "200"
        assert world.code("left", f"http://{address}:9100/metrics", "-X", "POST") == "403"
        assert world.code("left", f"http://{address}:9100/else") == "403"


@pytest.mark.usefixtures("write")
class TestFaultForSome:
    """Requests with the header keep the route, timeout and retries that they would have without it."""

    HEADER = ("-H", "'x-fault-test: yes'")

    def took(self, world: World, url: str, *options: str) -> tuple[str, float]:
        """Status and seconds of a request of the client."""
        curl = "curl -s -o /dev/null -m 20 -w '%{http_code} %{time_total}'"
        status, seconds = world.run("client", f"{curl} {' '.join(options)} {url} || true").split()
        return status, float(seconds)

    def test_it_hits_who_sends_the_header(self, world: World) -> None:
        status, seconds = self.took(world, "http://many/x", *self.HEADER)
        assert (status, seconds > 0.5) == ("200", True)
        spared = [self.took(world, "http://many/x") for _unused in range(5)]
        assert {status for status, _seconds in spared} == {"200"}
        assert min(seconds for _status, seconds in spared) < 0.5, "a busy machine may delay some, a fault all"

    def test_they_keep_the_timeout(self, world: World) -> None:
        for options in ((), self.HEADER):
            assert self.took(world, "http://many/slow", *options)[0] == "504"

    def test_they_keep_the_retries(self, world: World) -> None:
        for key, options in (("plain", ()), ("faulty", self.HEADER)):
            assert self.took(world, f"http://many/flaky/{key}", *options)[0] == "200", key

    def test_they_keep_the_route_without_a_timeout(self, world: World) -> None:
        status, seconds = self.took(world, "http://many/stream", *self.HEADER)
        assert (status, seconds > 9) == ("200", True)

    def test_so_it_is_at_the_gateway(self, world: World) -> None:
        for path, wanted in (("slow", 504), ("flaky/gateway", 200)):
            options = ["-H", "x-fault-test: yes"]
            ((status, _connects, _body),) = world.through_gateway([f"https://{WWW}/{path}"], *options)
            assert status == wanted, path


@pytest.mark.usefixtures("write")
class TestVerify:
    def verify(self, world: World, raw: dict[str, Any], **params: Any) -> dict[str, Any]:
        given = {"kubeconfig": os.environ["KUBECONFIG"], "catalogue": raw, "probe_image": IMAGE}
        given["accepted_objects"] = {"EnvoyFilter istio-system/request-metrics": "the lab's own"}
        checked = validated(verify.ARGUMENT_SPEC, given | {"gateway_ca": world.pair[0]} | params)
        result = verify.run(checked, Context(environment=dict(os.environ)))
        assert result["status"] == "pass", result["problems"]
        return result

    def test_openings_and_what_nobody_can_test_are_told_and_fail_nothing(
        self, world: World, raw: dict[str, Any]
    ) -> None:
        result = self.verify(world, raw)
        told = {(item["check"], item["subject"], item["verdict"]) for item in result["findings"]}
        assert told >= {
            ("policies", "fields/two", "stated opening"),
            ("policies", "fields/db", "stated opening"),
            ("mtls", "fields/db:8080", "stated opening"),
            ("authorization", "fields/two", "stated opening"),
            ("gateways", "fields mq.pass.example.org", "pass"),
            ("gateways", "fields b.wild.example.org", "pass"),
            ("gateways", "fields partner.fields.example.org", "not tested"),
            ("gateways", "fields *.nobody.example.org", "not tested"),
            ("gateways", "fields sql.fields.example.org", "not tested"),
        }
        assert "stated opening: " in result["headline"]
        messages = [item["message"] for item in result["findings"] if "partner" in item["subject"]]
        assert any(message.startswith("refuses clients without a certificate") for message in messages)

    def test_a_clients_certificate_shows_what_is_behind(self, world: World, raw: dict[str, Any]) -> None:
        files = {"gateway_client_cert": str(world.ca), "gateway_client_key": str(world.key)}
        result = self.verify(world, raw, checks=["gateways"], **files)
        (behind,) = [
            item
            for item in result["findings"]
            if "GET https://partner.fields.example.org/" in item["subject"]
        ]
        assert behind["verdict"] == "pass"
        assert behind["message"].startswith("200 from fields/two")


@pytest.mark.usefixtures("write")
class TestAddresses:
    def test_two_streams_with_one_port(self, world: World) -> None:
        for name in ("left", "right"):
            address = world.pod(name)["status"]["podIP"]
            assert world.line("client", address, 5432) == f"{name} hello"
            assert world.line("two", address, 5432) == "", "not a caller"

    def test_http_to_an_address(self, world: World) -> None:
        address = world.pod("left")["status"]["podIP"]
        assert world.said("client", f"http://{address}:8080/x")["name"] == "left"
        assert world.code("client", f"http://{world.pod('right')['status']['podIP']}:8080/x") in REFUSED
