"""Certificates runs at their edges: what stops one, half answers, and the whole of a result."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.credentials import (
    Lifetimes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.x509 import (
    facts_of,
    read_chain,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import (
    backend,
    cert_manager,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import (
    proof as proof_module,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import (
    serving as serving_module,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.issue import (
    KeyPair,
    load_authority,
    new_leaf,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.proof import (
    ServingProof,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ...support import certificates as made
from ...support.access import Access, Reviews
from ...support.arguments import validated
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster, reaching

HOME, CA = "istio-system", "servicemesh-system"
GATEWAY = {
    "workload_namespace": HOME,
    "service_account": "gateway",
    "servers": [{"host": "api.example.com", "certificate": "api"}],
}
HIDDEN = {"tls.crt": "(hidden)", "tls.key": "(hidden)"}
SECONDS = 1_795_000_000.0  # in November 2026, as the certificates of tests


class World:
    """A cluster whose clock is that of the run; ``warnings`` and ``lines`` are what a person reads."""

    def __init__(self, *namespaces: str) -> None:
        self.clock = FakeClock()
        self.clock.time = SECONDS
        self.cluster = FakeCluster(*({"kind": "Namespace", "metadata": {"name": one}} for one in namespaces))
        self.cluster.clock = self.now
        self.warnings: list[str] = []
        self.lines: list[str] = []
        self.stopped = False

    @property
    def now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.clock.time, datetime.UTC)

    def run(self, *, check: bool = False, diff: bool = True, **params: Any) -> dict[str, Any]:
        given = {"mesh": "shop", "gateways": [GATEWAY], "timeout": 1, "days": 20, **params}
        checked = validated(backend.ARGUMENT_SPEC, given)
        context = Context(
            check_mode=check,
            diff_mode=diff,
            warn=self.warnings.append,
            progress=self.lines.append,
            stop=lambda: self.stopped,
            connect=reaching(self.cluster),
            clock=self.clock,
        )
        return backend.run(checked, context)

    def secrets_written(self) -> list[tuple[str, str]]:
        """Writes, but for the Lease."""
        return [write for write in self.cluster.writes if not write[1].startswith("Lease ")]

    def secret(self, name: str = "api", namespace: str = HOME) -> dict[str, Any]:
        found = self.cluster.find("Secret", name, namespace)
        assert found is not None
        return found


@pytest.fixture
def world() -> World:
    return World(HOME)


def leaf_of(secret: Mapping[str, Any]) -> dict[str, Any]:
    return facts_of(read_chain(base64.b64decode(secret["data"]["tls.crt"]))[0]).as_result()


# What stops a run.
@pytest.mark.parametrize(("seconds", "fits"), [(60, True), (-60, True), (61, False), (-61, False)])
def test_a_minute_of_clock_skew_is_allowed(world: World, seconds: int, fits: bool) -> None:
    world.cluster.clock += datetime.timedelta(seconds=seconds)
    if fits:
        assert world.run()["changed"]
        return
    with pytest.raises(RefusedError) as caught:
        world.run()
    assert caught.value.rule == "clock-skew"


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}, {"date": "Wed, 18 Nov 2026 11:06:40 GMT"}])
def test_a_server_that_tells_no_time_is_believed_to_agree(world: World, headers: dict[str, str]) -> None:
    request = world.cluster.request

    def without_date(method: str, path: str, **more: Any) -> Any:
        answer = request(method, path, **more)
        if path == "/version":
            answer.headers.clear()
            answer.headers.update(headers)
        return answer

    world.cluster.request = without_date
    assert world.run()["changed"]


def test_without_cryptography_nothing_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "HAS_CRYPTOGRAPHY", False)
    with pytest.raises(MeshError, match="need the Python package cryptography"):
        world.run()
    assert world.cluster.calls == []


def test_every_foreign_secret_is_named_before_the_first_write(world: World) -> None:
    second = {"host": "b.example.com", "certificate": "b"}
    for name in ("api", "b"):
        world.cluster.put({"kind": "Secret", "metadata": {"name": name, "namespace": HOME}, "data": {}})
    with pytest.raises(RefusedError) as caught:
        world.run(gateways=[{**GATEWAY, "servers": [*GATEWAY["servers"], second]}])
    assert caught.value.rule == "credential"
    assert caught.value.message.count("somebody else made it, or replaced ours by hand") == 2
    assert world.cluster.writes == []


def test_a_missing_namespace_of_a_gateway_stops_a_real_run() -> None:
    world = World()
    with pytest.raises(RefusedError, match="do not exist: istio-system; install the gateway first") as caught:
        world.run()
    assert caught.value.rule == "namespace-missing"
    assert world.cluster.writes == []


def test_an_existing_secret_of_a_namespace_to_come_is_no_mistake_in_check_mode() -> None:
    world = World()
    result = world.run(check=True, existing=["api"])
    assert result["status"] == "cannot tell"
    assert world.warnings == ["Secret istio-system/api: namespace istio-system does not exist yet"]


def test_a_failing_access_review_is_no_missing_right(world: World) -> None:
    world.cluster.fail("request", "LocalSubjectAccessReview", 500)
    with pytest.raises(ApiError) as caught:
        world.run()
    assert caught.value.status == 500
    assert world.cluster.writes == []


def test_a_run_that_is_told_to_stop_leaves_the_ca_and_no_half_credential(world: World) -> None:
    world.stopped = True
    with pytest.raises(MeshError, match="interrupted between two credentials; the next run completes them"):
        world.run()
    assert world.cluster.find("Secret", "servicemesh-ca", CA) is not None
    assert world.cluster.find("Secret", "api", HOME) is None
    world.stopped = False
    assert [entry["id"] for entry in world.run()["objects"]] == ["Secret istio-system/api"]


def authority(
    now: datetime.datetime, *, identifier: bytes = b"", only: str = ""
) -> tuple[x509.Certificate, Any]:
    """A CA as a person brings it: with an identifier of its own, or for some names only."""
    key = made.ec_key()
    own = x509.SubjectKeyIdentifier(identifier or b"id")
    builder = (
        x509.CertificateBuilder()
        .subject_name(made.name("mine"))
        .issuer_name(made.name("mine"))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True
        )
        .add_extension(own, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
    )
    if only:
        allowed = x509.NameConstraints([x509.DNSName(only)], None)
        builder = builder.add_extension(allowed, critical=True)
    return builder.sign(key, hashes.SHA256()), key


def test_a_ca_that_may_not_issue_for_the_host_stops_the_run_before_the_leaf(world: World) -> None:
    """Its own certificate is sound; only a client would notice. The new pair is judged as a stranger's."""
    certificate, key = authority(world.now, only="other.org")
    data = {"tls.crt": made.pem(certificate), "tls.key": made.key_pem(key)}
    world.cluster.put({"kind": "Namespace", "metadata": {"name": CA}})
    world.cluster.put(
        {
            "kind": "Secret",
            "metadata": {"name": "servicemesh-ca", "namespace": CA},
            "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
        }
    )
    with pytest.raises(MeshError, match="Secret istio-system/api: a client would refuse the certificate"):
        world.run()
    assert world.secrets_written() == []


def test_a_leaf_names_the_identifier_that_its_ca_has() -> None:
    """RFC 5280 4.2.1.1: the CA's own, which need not be the hash of its key."""
    certificate, key = authority(made.NOW, identifier=b"\x01\x02\x03")
    pair = KeyPair(made.pem(certificate), made.key_pem(key))
    leaf = read_chain(new_leaf(load_authority(pair), ["a.example.com"], made.NOW, Lifetimes()).chain)[0]
    found = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert found.key_identifier == b"\x01\x02\x03"


# Input at its bounds.
CA_DAYS = "certificates_ca_days: must be more than certificates_days and at most 7300 (range)"


@pytest.mark.parametrize(
    "params",
    [
        {"days": 1, "ca_days": 2},
        {"days": 398},
        {"ca_days": 7300},
        {"renew_at": 0.001},
        {"renew_at": 0.999},
        {"renew_at": 1.0},
    ],
)
def test_numbers_at_their_bounds_are_accepted(world: World, params: dict[str, Any]) -> None:
    assert world.run(**params)["changed"]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"days": 0}, "certificates_days: is 0, not 1 to 398 (range)"),
        ({"days": 399}, "certificates_days: is 399, not 1 to 398 (range)"),
        (
            {"ca_days": 7301},
            CA_DAYS,
        ),
        (
            {"ca_days": 20},
            CA_DAYS,
        ),
        (
            {"renew_at": 1.5},
            "certificates_renew_at: is 1.5, not above 0 and at most 1, which renews now (range)",
        ),
        (
            {"ca_namespace": "Not_A_Name"},
            "certificates_ca_namespace: 'Not_A_Name' is not a DNS label "
            "(lower case letters, digits and '-', at most 63 characters) (dns-label)",
        ),
        (
            {"ca_namespace": HOME},
            "certificates_ca_namespace: is also home of Secret istio-system/api: a gateway may list all"
            " Secrets of its namespace (ca-exposed)",
        ),
        (
            {"existing": ["other/api"]},
            "certificates_existing[0]: no gateway names the credential other/api (unknown-credential)",
        ),
    ],
)
def test_numbers_and_names_beyond_are_refused(world: World, params: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        world.run(**params)
    assert str(caught.value) == text
    assert world.cluster.calls == []


@pytest.mark.parametrize(
    ("account", "namespace", "refused"),
    [("gateway", CA, True), ("other", CA, False), ("gateway", HOME, False)],
)
def test_a_gateway_that_may_read_the_authority_is_refused(
    world: World, account: str, namespace: str, refused: bool
) -> None:
    may_read = {Access("", "secrets", verb, namespace) for verb in ("get", "list")}
    world.cluster.reviews = Reviews(
        lambda user, access: (
            not user or (user == f"system:serviceaccount:{HOME}:{account}" and access in may_read)
        )
    )
    if not refused:
        assert world.run()["changed"]
        return
    with pytest.raises(
        RefusedError, match=f"ServiceAccounts {HOME}/gateway may read Secrets in namespace {CA}"
    ):
        world.run()


# Whole results.
def test_the_result_of_a_first_run(world: World) -> None:
    result = world.run(prove=False)
    facts = leaf_of(world.secret())
    ca = leaf_of(world.secret("servicemesh-ca", CA))
    assert facts["not_after"] == f"{world.now + datetime.timedelta(days=20):%Y-%m-%dT%H:%M:%SZ}"
    assert {key: value for key, value in result.items() if key not in ("ca", "diff")} == {
        "changed": True,
        "status": "cannot tell",
        "reason": "no proof was asked for",
        "outcome": "renewed",
        "counts": {"credentials": 1, "created": 1, "updated": 0, "requested": 0, "unchanged": 0},
        "objects": [
            {"id": f"Namespace {CA}", "action": "created"},
            {"id": f"Secret {CA}/servicemesh-ca", "action": "created"},
            {"id": "Secret istio-system/api", "action": "created"},
        ],
        "certificates": [
            {
                "id": "Secret istio-system/api",
                "action": "created",
                "reasons": ["it does not exist"],
                "hosts": ["api.example.com"],
                "source": "issue",
                **facts,
            }
        ],
        "summary": [
            "cannot tell: 1 credentials, 1 created, 0 updated, 0 unchanged - no proof was asked for",
            f"Secret istio-system/api created: api.example.com, until {facts['not_after']}",
        ],
    }
    assert result["ca"] == {
        "id": f"Secret {CA}/servicemesh-ca",
        "action": "created",
        "fingerprint_sha256": ca["fingerprint_sha256"],
        "serial": ca["serial"],
        "not_after": ca["not_after"],
        "subject": ca["subject"],
        "certificate": base64.b64decode(world.secret("servicemesh-ca", CA)["data"]["tls.crt"]).decode(),
    }
    assert result["diff"] == [
        headed(f"Namespace {CA}", {}, {"action": "created"}),
        headed(f"Secret {CA}/servicemesh-ca", {}, {"data": HIDDEN, "certificate": ca}),
        headed("Secret istio-system/api", {}, {"data": HIDDEN, "certificate": facts}),
    ]
    assert world.lines == ["Secret istio-system/api: create, it does not exist"]
    assert "diff" not in world.run(diff=False)


def headed(header: str, before: Any, after: Any) -> dict[str, Any]:
    return {"before_header": header, "after_header": header, "before": before, "after": after}


def test_the_result_of_a_check_names_no_certificate_that_will_never_be(world: World) -> None:
    result = world.run(check=True)
    (found,) = result["certificates"]
    assert "fingerprint_sha256" not in found
    assert found["proof"] == {
        "status": "cannot tell",
        "method": "none",
        "evidence": "it is not written in check mode",
        "pods": 0,
    }
    assert result["ca"] == {"id": f"Secret {CA}/servicemesh-ca", "action": "created"}
    assert result["diff"][1:] == [
        headed(f"Secret {CA}/servicemesh-ca", {}, {"data": HIDDEN}),
        headed(
            "Secret istio-system/api",
            {},
            {
                "data": HIDDEN,
                "certificate": {"dns_names": ["api.example.com"], "fingerprint_sha256": "(new)"},
            },
        ),
    ]
    assert result["summary"][1] == "Secret istio-system/api created: api.example.com, until its end"


def test_an_unchanged_credential_is_told_with_its_facts_and_no_diff(world: World) -> None:
    world.run()
    result = world.run(prove=False)
    assert (result["changed"], result["objects"], result["diff"]) == (False, [], [])
    assert result["counts"] == {"credentials": 1, "created": 0, "updated": 0, "requested": 0, "unchanged": 1}
    assert result["ca"]["action"] == "unchanged"
    assert {**result["certificates"][0], **leaf_of(world.secret())} == result["certificates"][0]
    assert "proof" not in result["certificates"][0]


def test_a_renewed_credential_shows_both_certificates(world: World) -> None:
    world.run()
    before = leaf_of(world.secret())
    world.clock.time += 19 * 86400
    world.cluster.clock = world.now
    result = world.run(check=True)
    assert result["diff"][0]["before"]["certificate"] == before
    assert result["certificates"][0]["fingerprint_sha256"] == before["fingerprint_sha256"]
    result = world.run()
    after = leaf_of(world.secret())
    assert after != before
    assert result["counts"] == {"credentials": 1, "created": 0, "updated": 1, "requested": 0, "unchanged": 0}
    assert result["objects"] == [{"id": "Secret istio-system/api", "action": "updated"}]
    assert result["diff"] == [
        headed(
            "Secret istio-system/api",
            {"data": HIDDEN, "certificate": before},
            {"data": HIDDEN, "certificate": after},
        )
    ]


def test_a_repaired_credential_keeps_its_pair(world: World) -> None:
    world.run()
    data = world.secret()["data"]
    kept = dict(data)
    data["cert"] = data["ca.crt"] = "eA=="
    foreseen = world.run(check=True)
    assert world.secret()["data"] == data
    result = world.run()
    assert world.secret()["data"] == kept
    assert result["certificates"][0]["action"] == foreseen["certificates"][0]["action"] == "updated"
    facts = leaf_of(world.secret())
    for diff in (foreseen["diff"], result["diff"]):
        assert diff == [
            headed(
                "Secret istio-system/api",
                {"data": {"ca.crt": "(hidden)", "cert": "(hidden)", **HIDDEN}, "certificate": facts},
                {"data": HIDDEN, "certificate": facts},
            )
        ]
    assert not world.run()["changed"]


def test_the_ca_lies_beside_the_key_only_when_asked(world: World) -> None:
    world.run()
    assert set(world.secret()["data"]) == {"tls.crt", "tls.key"}
    world.cluster.remove("Secret", "api", HOME)
    world.run(authority_beside_key=True)
    assert base64.b64decode(world.secret()["data"]["ca.crt"]) == base64.b64decode(
        world.secret("servicemesh-ca", CA)["data"]["tls.crt"]
    )
    assert not world.run(authority_beside_key=True)["changed"]


def test_a_provided_pair_is_written_without_a_ca(world: World) -> None:
    life = {"begin": world.now - made.DAY, "end": world.now + made.DAY}
    certificate = made.certificate("leaf", made.LEAF_KEY, hosts=("api.example.com",), **life)
    pair = {
        "name": "api",
        "namespace": HOME,
        "certificate": made.pem(certificate).decode(),
        "private_key": made.key_pem(made.LEAF_KEY).decode(),
    }
    result = world.run(provided=[pair], prove=False)
    assert result["ca"] == {}
    assert result["certificates"][0]["source"] == "provided"
    assert world.secrets_written() == [("apply", "Secret istio-system/api")]
    assert world.warnings == []
    end = world.now + made.DAY
    world.clock.time += 80000
    world.cluster.clock = world.now
    world.run(provided=[pair], prove=False)
    assert world.warnings == [f"Secret istio-system/api ends on {end:%Y-%m-%d} and is not renewed from here"]


def test_a_ca_near_its_end_is_told_while_leaves_outlive_it(world: World) -> None:
    world.run(days=20, ca_days=41)
    assert world.warnings == []
    world.clock.time += 86400 + 1
    world.cluster.clock = world.now
    world.run(days=20, ca_days=41)
    assert [text.partition(":")[0] for text in world.warnings] == [
        f"the CA ends on {world.now + datetime.timedelta(days=40):%Y-%m-%d}"
    ]


@pytest.mark.parametrize(("status", "told"), [(403, True), (500, False)])
def test_only_a_missing_right_to_look_leaves_the_proof_open(world: World, status: int, told: bool) -> None:
    world.cluster.fail("list", "Gateway", status, times=9)
    if not told:
        with pytest.raises(ApiError):
            world.run()
        return
    result = world.run()
    assert result["certificates"][0]["proof"]["method"] == "none"
    assert result["reason"].startswith("Secret istio-system/api: the gateways cannot be looked at: ")
    with pytest.raises(MeshError) as caught:
        world.run(fail_on=["cannot tell"])
    assert caught.value.details["status"] == "cannot tell"


def test_another_writer_that_would_put_its_certificate_back_is_refused(world: World) -> None:
    world.run()
    secret = world.secret()
    secret["data"]["tls.crt"] = ""
    secret["metadata"]["managedFields"] = [
        {
            "manager": "cert-controller",
            "operation": "Update",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:tls.crt": {}}},
        }
    ]
    with pytest.raises(RefusedError, match=r"cert-controller writes its tls\.crt and would put it back"):
        world.run()


def test_a_broken_ca_of_somebody_else_is_not_replaced(world: World) -> None:
    """Not even on request: its owner would put it back, or miss it."""
    world.cluster.put({"kind": "Namespace", "metadata": {"name": CA}})
    foreign = {"name": "servicemesh-ca", "namespace": CA, "labels": {"app.kubernetes.io/managed-by": "Helm"}}
    world.cluster.put({"kind": "Secret", "metadata": foreign, "data": {}})
    with pytest.raises(RefusedError, match="it is managed by Helm") as caught:
        world.run(replace_lost_ca=True)
    assert caught.value.rule == "foreign-owner"
    assert world.cluster.writes == []


def test_a_ca_that_is_replaced_is_told_with_what_was_there(world: World) -> None:
    where = f"Secret {CA}/servicemesh-ca"

    def told(**params: Any) -> list[Any]:
        return [one["before"] for one in world.run(**params)["diff"] if one["after_header"] == where]

    assert told() == [{}]
    world.secret("servicemesh-ca", CA)["data"]["tls.key"] = ""
    assert told(replace_lost_ca=True) == [{"data": HIDDEN}]


def test_a_ca_namespace_that_exists_is_left_as_it_is(world: World) -> None:
    world.cluster.put({"kind": "Namespace", "metadata": {"name": CA}})
    result = world.run()
    assert world.secrets_written() == [
        ("create", f"Secret {CA}/servicemesh-ca"),
        ("apply", "Secret istio-system/api"),
    ]
    assert [entry["id"] for entry in result["objects"]] == [
        f"Secret {CA}/servicemesh-ca",
        "Secret istio-system/api",
    ]


def serving(world: World) -> None:
    """A Gateway that names the credential, and a pod of it."""
    server = {"port": {"number": 443}, "tls": {"credentialName": "api"}, "hosts": ["api.example.com"]}
    world.cluster.put(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "public", "namespace": HOME},
            "spec": {"selector": {"istio": "gw"}, "servers": [server]},
        }
    )
    world.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "gw-1", "namespace": HOME, "labels": {"istio": "gw"}},
            "status": {"phase": "Running", "podIP": "10.0.0.1"},
        }
    )


@pytest.mark.parametrize(
    ("check", "seen", "calls"),
    [
        (True, "pass", ["look"]),
        (True, "cannot tell", ["look"]),
        (True, "fail", ["look", "settle"]),
        (False, "pass", ["prove"]),
    ],
)
def test_a_check_looks_once_and_a_run_waits(
    world: World, monkeypatch: pytest.MonkeyPatch, check: bool, seen: str, calls: list[str]
) -> None:
    serving(world)
    world.run(prove=False)
    asked: list[str] = []

    def answer(name: str, status: str) -> Any:
        def called(*_args: Any, **_more: Any) -> ServingProof:
            asked.append(name)
            return ServingProof(status, "handshake", name, 1)

        return called

    for name, status in (("look", seen), ("settle", "cannot tell"), ("prove", "pass")):
        monkeypatch.setattr(serving_module, name, answer(name, status))
    proof = world.run(check=check)["certificates"][0]["proof"]
    assert asked == calls
    assert proof["evidence"] == calls[-1]


def test_a_certificate_of_cert_manager_is_told_once_and_keeps_its_other_conditions() -> None:
    sent: list[Any] = []

    class Client:
        def patch(self, *given: Any, **how: Any) -> Any:
            sent.append((given, how))
            return "after"

    ready, before = {"type": "Ready", "status": "True"}, {"type": "Issuing", "status": "False"}
    live = {
        "metadata": {"name": "api", "namespace": "edge", "resourceVersion": "7", "generation": 3},
        "status": {"conditions": [before, ready]},
    }
    now = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC)
    client: Any = Client()
    assert cert_manager.trigger(client, live, now, dry_run=True) == "after"
    ((given, how),) = sent
    assert given[1:4] == ("Certificate", "api", "edge")
    assert how == {"subresource": "status", "dry_run": True}
    assert given[4]["metadata"] == {"resourceVersion": "7"}
    kept, told = given[4]["status"]["conditions"]
    assert kept == ready
    assert (told["type"], told["status"], told["observedGeneration"]) == ("Issuing", "True", 3)
    assert told["lastTransitionTime"] == "2026-11-30T12:00:00Z"


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (["0"], ", and has no connection to istiod"),
        (["0", "0"], ", and has no connection to istiod"),
        (["1"], ", and is connected to istiod: it did not take what it was sent"),
        (["0", "1"], ", and is connected to istiod: it did not take what it was sent"),
        ([], ""),
    ],
)
def test_what_a_proxy_says_of_its_connection(
    monkeypatch: pytest.MonkeyPatch, figures: list[str], said: str
) -> None:
    lines = [f"cluster.xds-grpc.http{number}.streams_active: {text}" for number, text in enumerate(figures)]
    monkeypatch.setattr(proof_module, "ask", lambda *_asked: "\n".join(["other: 1", *lines]))
    pair: Any = None
    credential: Any = type("Named", (), {"namespace": "edge"})
    assert proof_module._why_not(pair, credential, "gw-1") == said
