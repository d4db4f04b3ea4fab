"""Several looks: what lasts is wrong, and what has only just begun is not."""

from __future__ import annotations

from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks.sync import (
    DISCONNECTED,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.findings import (
    Finding,
    failed,
    passed,
    unknown,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.looks import (
    PATIENCE,
    ROUNDS,
    Looks,
)

GOOD = passed("mtls", "shop/pay:3000", "held")
BAD = failed("mtls", "shop/pay:3000", "not held", late=True)
UNREAD = unknown("sync", "Pod shop/pay-1", "its proxy is silent", late=True)


def looked(*looks: list[Finding]) -> Looks:
    found = Looks()
    for number, look in enumerate(looks):
        assert number == 0 or not found.done(), number
        found.add(look)
    return found


def told(looks: Looks, *, gone: bool = False) -> list[Finding]:
    assert looks.done()
    return looks.findings(lambda _name: gone)


def test_one_look_is_enough_when_nothing_is_late() -> None:
    assert told(looked([GOOD])) == [GOOD]
    assert told(looked([BAD], [GOOD])) == [GOOD]


def test_what_is_late_in_every_look_is_wrong() -> None:
    assert told(looked(*[[BAD]] * ROUNDS)) == [BAD]


def test_what_becomes_wrong_meanwhile_and_stays_so_is_wrong() -> None:
    assert told(looked([UNREAD, GOOD], *[[BAD]] * ROUNDS)) == [BAD]


def test_another_pod_in_every_look_is_not_wrong() -> None:
    pods = [failed("sync", f"Pod shop/job-{number}", "away", late=True) for number in range(PATIENCE)]
    assert told(looked(*([GOOD, pod] for pod in pods))) == [GOOD]


def test_what_was_good_in_a_look_is_told_as_it_was_then() -> None:
    looks = [[BAD], [GOOD, UNREAD]] * (PATIENCE // 2 - 1)
    assert told(looked(*looks, [GOOD, UNREAD], [BAD])) == [GOOD]


def test_what_could_not_be_read_stays_unless_its_pod_is_gone() -> None:
    other = unknown("sync", "Pod shop/pay-2", "its proxy is silent", late=True)
    looks = looked(*[[GOOD, UNREAD], [GOOD, other]] * (PATIENCE // 2))
    assert told(looks) == [GOOD, other]
    assert told(looks, gone=True) == [GOOD]


def test_a_proxy_that_looks_for_an_istiod_is_waited_for() -> None:
    away = failed("sync", "Pod shop/pay-1", DISCONNECTED, late=True)
    looks = looked(*[[away]] * (2 * PATIENCE))
    assert (looks.done(), looks.away) == (False, 1)
    assert looks.findings(lambda _name: False) == [away]


def test_a_run_that_is_stopped_tells_what_it_saw() -> None:
    looks = looked([BAD], [BAD])
    assert looks.findings(lambda _name: False) == [BAD]
