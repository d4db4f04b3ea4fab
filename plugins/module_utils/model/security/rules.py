# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One rule of an AuthorizationPolicy as a predicate over requests, built as istiod builds Envoy's.

Source: istio pilot/pkg/security/authz/model (model.go, generator.go), the directory of Istio 1.31. A value
that does not exist on a chain (HTTP fields on TCP) or cannot be read makes an ALLOW rule vanish, and is left
out of every other rule, which then matches more. Whether a rule matches that has fields of a newer Istio, is
not known here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...fields import list_at, mapping_at, mappings_at, text_at
from .matching import (
    Match,
    account_match,
    address_match,
    namespace_match,
    path_match,
    text_match,
    trust_domain_match,
)
from .requests import Request
from .tokens import token_test
from .trust_domains import domains_with_aliases, with_aliases
from .truth import Truth, any_of, negated

Test = Callable[[Request], Truth]
_ONE_LIST = "request.auth."
"""The attributes below it have values that istiod reads as one: one that cannot be read takes the others with
it."""


class AbsentError(Exception):
    """A value that has no meaning on this chain, or none at all."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """What a rule's meaning depends on besides the rule.

    :param namespace: the policy's. :param trust_domains: the mesh's own one first, then its aliases.
    :param allow: whether the action is ALLOW. :param http: whether the chain parses requests.
    """

    namespace: str
    trust_domains: tuple[str, ...]
    allow: bool
    http: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """``sources`` and ``operations`` are alternatives of tests that must all hold; never empty."""

    sources: tuple[tuple[Test, ...], ...]
    operations: tuple[tuple[Test, ...], ...]

    def matches(self, request: Request) -> Truth:
        """Whether the rule is about a request."""
        result: Truth = True
        for alternatives in (self.sources, self.operations):
            some = _some(alternatives, request)
            if some is False:
                return False
            if some is None:
                result = None
        return result


def _some(alternatives: Sequence[Sequence[Test]], request: Request) -> Truth:
    """Whether all tests of one of ``alternatives`` hold; in plain loops, for this is done a million times."""
    result: Truth = False
    for tests in alternatives:
        every: Truth = True
        for test in tests:
            answer = test(request)
            if answer is False:
                every = False
                break
            if answer is None:
                every = None
        if every:
            return True
        if every is None:
            result = None
    return result


_SOURCE_FIELDS = (
    ("principals", "notPrincipals", "source.principal"),
    ("requestPrincipals", "notRequestPrincipals", "request.auth.principal"),
    ("serviceAccounts", "notServiceAccounts", "source.serviceAccount"),
    ("trustDomains", "notTrustDomains", "source.trustDomain"),
    ("namespaces", "notNamespaces", "source.namespace"),
    ("remoteIpBlocks", "notRemoteIpBlocks", "remote.ip"),
    ("ipBlocks", "notIpBlocks", "source.ip"),
)
_OPERATION_FIELDS = (
    ("hosts", "notHosts", ":authority"),
    ("methods", "notMethods", ":method"),
    ("paths", "notPaths", ":path"),
    ("ports", "notPorts", "destination.port"),
)
_RULE_FIELDS = ("from", "to", "when")
_CONDITION_FIELDS = ("key", "values", "notValues")
_OF_THE_CONNECTION = ("destination.ip", "destination.port", "connection.sni")


def compile_rule(rule: Mapping[str, Any], scene: Scene) -> Rule | None:
    """The predicate of a rule; ``None`` when istiod drops the rule on this kind of chain.

    :raises MalformedError: a field has another type than Istio's.
    """
    conditions = _of_strangers(rule, _RULE_FIELDS)
    try:
        for condition in mappings_at(rule, "when"):
            conditions += _of_strangers(condition, _CONDITION_FIELDS)
            conditions += _tests(text_at(condition, "key"), condition, "values", "notValues", scene)
        sources = [
            # istiod joins some conditions to the operations; all of them must hold in either place
            (*_entry(entry, "source", _SOURCE_FIELDS, scene), *conditions)
            for entry in mappings_at(rule, "from")
        ]
        operations = [
            tuple(_entry(entry, "operation", _OPERATION_FIELDS, scene)) for entry in mappings_at(rule, "to")
        ]
    except AbsentError:
        return None
    return Rule(tuple(sources) or (tuple(conditions),), tuple(operations) or ((),))


def _entry(
    outer: Mapping[str, Any], inner: str, fields: Iterable[tuple[str, str, str]], scene: Scene
) -> Iterable[Test]:
    entry = mapping_at(outer, inner)
    yield from _of_strangers(outer, (inner,))
    yield from _of_strangers(
        entry, [name for values, not_values, _key in fields for name in (values, not_values)]
    )
    for values, not_values, key in fields:
        yield from _tests(key, entry, values, not_values, scene)


def has_strangers(part: Mapping[str, Any], known: Iterable[str]) -> bool:
    """Whether a part of an object says something beside the ``known`` fields of it."""
    return any(value not in (None, "", [], {}) for name, value in part.items() if name not in known)


def _of_strangers(part: Mapping[str, Any], known: Iterable[str]) -> list[Test]:
    return [lambda _request: None] if has_strangers(part, known) else []


def _tests(key: str, entry: Mapping[str, Any], values: str, not_values: str, scene: Scene) -> list[Test]:
    """The tests of one attribute. :raises AbsentError: the whole rule is dropped."""
    wanted = _texts(entry, values)
    unwanted = _texts(entry, not_values)
    if not wanted and not unwanted:
        return []
    if not _is_known(key):
        raise AbsentError  # istiod skips a rule with an unknown key, whatever its action
    found: list[Test] = []
    positive = _alternatives(key, wanted, scene)
    if positive:
        found.append(positive)
    negative = _alternatives(key, unwanted, scene)
    if negative:
        found.append(lambda request: negated(negative(request)))
    return found


def _texts(entry: Mapping[str, Any], name: str) -> list[str]:
    return [str(value) for value in list_at(entry, name)]


def _is_known(key: str) -> bool:
    plain = {name for _values, _not, name in (*_SOURCE_FIELDS, *_OPERATION_FIELDS)} | set(_OF_THE_CONNECTION)
    named = ("request.headers", "request.auth.claims", "experimental.envoy.filters.")
    auth = ("request.auth.audiences", "request.auth.presenter")
    return key in plain or key in auth or key.startswith(named)


def _alternatives(key: str, values: Sequence[str], scene: Scene) -> Test | None:
    """A test that one of ``values`` fits; ``None`` when none of them leaves a test."""
    if key == "source.principal":
        values = with_aliases(values, scene.trust_domains)
    if key == "source.trustDomain":
        values = domains_with_aliases(values, scene.trust_domains)
    tests: list[Test] = []
    if key == "source.principal":
        exact = frozenset(value for value in values if "*" not in value)
        if len(exact) > 1:
            tests.append(lambda request: request.principal in exact)
            values = [value for value in values if value not in exact]
    for value in values:
        try:
            tests.append(_test(key, value, scene))
        except AbsentError:
            if scene.allow:
                raise
            if key.startswith(_ONE_LIST):
                return None
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda request: any_of(test(request) for test in tests)


def _test(key: str, value: str, scene: Scene) -> Test:
    if key.startswith("source.") and key != "source.ip":
        return _identity_test(key, value, scene)
    if key in ("source.ip", "remote.ip", "destination.ip"):
        return _address_test(key, value)
    if key == "destination.port":
        return _port_test(value)
    if key == "connection.sni":
        fits = text_match(value)
        return lambda request: None if request.sni is None else fits(request.sni)
    if key.startswith("experimental.envoy.filters."):
        if "[" not in key:
            raise AbsentError
        return lambda _request: None  # what other filters write down is nowhere to be seen
    if not scene.http:
        raise AbsentError
    return _http_test(key, value)


def _identity_test(key: str, value: str, scene: Scene) -> Test:
    """A peer without a certificate fits nothing; so it does fit every negation."""
    compilers: Mapping[str, Callable[[str], Match]] = {
        "source.principal": text_match,
        "source.namespace": namespace_match,
        "source.trustDomain": trust_domain_match,
        "source.serviceAccount": lambda name: account_match(name, scene.namespace),
    }
    fits = compilers[key](value)
    return lambda request: bool(request.principal) and fits(request.principal)


def _address_test(key: str, value: str) -> Test:
    try:
        fits = address_match(value)
    except ValueError as error:
        raise AbsentError from error
    name = {"source.ip": "source_ip", "remote.ip": "remote_ip", "destination.ip": "destination_ip"}[key]

    def test(request: Request) -> Truth:
        address = getattr(request, name)
        return None if address is None else fits(address)

    return test


def _port_test(value: str) -> Test:
    if not re.fullmatch(r"[0-9]+", value) or int(value) > 65535:
        raise AbsentError
    port = int(value)
    return lambda request: request.port == port


def _http_test(key: str, value: str) -> Test:
    if key == ":method":
        fits = text_match(value)
        return lambda request: fits(request.method)
    if key == ":path":
        fits = path_match(value)
        return lambda request: fits(request.path)
    if key == ":authority":
        fits = text_match(value, ignore_case=True)
        return lambda request: fits(request.host)
    if key.startswith("request.auth."):
        test = token_test(key, value)
        if test is None:
            raise AbsentError
        return test
    header = re.fullmatch(r"\[(.*)\]", key.removeprefix("request.headers"))
    if header is None:
        raise AbsentError
    name = header[1].lower()
    if value == "*":
        return lambda request: name in request.headers
    fits = text_match(value)
    return lambda request: name in request.headers and fits(request.headers[name])
