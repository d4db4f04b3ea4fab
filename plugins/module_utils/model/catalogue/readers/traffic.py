# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what becomes routes: retries, variants, special routes, mirror, fault, CORS."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...reading.durations import seconds
from ...reading.reader import Reader, kind_of
from ...reading.values import COOKIE, HEADER, LABEL, PATH, TEXT, Check, is_number
from ..regex import REGEX
from ..services import Condition, Cors, Fault, Mirror, Retries, Route, StringMatch, Variant
from .callers import METHODS

SAFE_CONDITIONS = ("connect-failure", "refused-stream", "reset-before-request")
"""Retry conditions under which the service cannot have seen the request: good for every method."""

CONDITIONS = (
    *SAFE_CONDITIONS,
    "5xx",
    "gateway-error",
    "reset",
    "retriable-4xx",
    "envoy-ratelimited",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
)

_KINDS = ("exact", "prefix", "regex")


def read_retries(reader: Reader) -> Retries | None:
    """``retries`` of a service or route.

    The bare YAML key ``on`` arrives as the boolean true (YAML 1.1) or, after JSON, as ``"true"``.
    """
    raw = reader.value("retries")
    if raw is None:
        return None
    if isinstance(raw, Mapping):
        known = {("on" if str(key) in ("True", "true") else key): value for key, value in raw.items()}
        if len(known) < len(raw):
            reader.fault("retries", "has the key 'on' twice", "duplicate-key")
        raw = known
    section = Reader(raw, reader.path("retries"), reader.problems)
    retries = Retries(
        attempts=section.integer("attempts", 0, 10),
        per_try_timeout=section.duration("per_try_timeout"),
        conditions=section.texts("on", _CONDITION, default=SAFE_CONDITIONS[:2]),
        non_idempotent=section.boolean("non_idempotent", default=False),
    )
    section.finish()
    idle = section.has("on") or retries.per_try_timeout
    if retries.attempts == 0 and idle and section.sound("attempts"):
        section.fault("attempts", "is 0, so 'on' and per_try_timeout have no effect", "retry-attempts")
    if not retries.conditions and retries.attempts and section.sound("on"):
        section.fault("on", "is empty, so nothing would be retried", "retry-conditions")
    return retries


def _condition_fault(text: str) -> str:
    if text in CONDITIONS or (is_number(text) and 400 <= int(text) <= 599):
        return ""
    return f"{text!r} is neither a status code nor one of {', '.join(CONDITIONS)}"


_CONDITION = Check("retry-conditions", _condition_fault)


def read_variants(reader: Reader) -> tuple[Variant, ...]:
    """``variants``. :returns: those that could be read, in their order."""
    found: list[Variant] = []
    for item in reader.sections("variants"):
        found.append(Variant(item.text("name", LABEL), item.text("to"), _condition(item, paths=False)))
        item.finish()
    _distinct(reader, "variants", [variant.name for variant in found])
    return tuple(found)


def read_routes(reader: Reader) -> tuple[Route, ...]:
    """``routes``. :returns: those that could be read, in their order."""
    found: list[Route] = []
    for item in reader.sections("routes"):
        route = Route(
            name=item.text("name", LABEL),
            when=_condition(item, paths=True),
            to=item.maybe_text("to"),
            timeout=item.timeout("timeout"),
            retries=read_retries(item),
        )
        item.finish()
        if route.to is None and route.timeout is None and route.retries is None and item.sound():
            item.fault("", "changes nothing: give to, timeout or retries", "empty")
        found.append(route)
    _distinct(reader, "routes", [route.name for route in found])
    return tuple(found)


def _distinct(reader: Reader, key: str, names: list[str]) -> None:
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        reader.fault(key, f"two entries have the name {name!r}", "duplicate")


def _condition(reader: Reader, *, paths: bool) -> Condition:
    section = reader.section("when")
    if section is None:
        reader.fault("when", "is required", "required")
        return Condition({}, None, {}, None, False)
    condition = Condition(
        headers=_matches(section, "header", HEADER),
        cookie=_cookie(section),
        query=_matches(section, "query", TEXT),
        path=section.maybe_text("path", PATH) if paths else None,
        path_exact=paths and section.choice("match", ("prefix", "exact"), default="prefix") == "exact",
    )
    section.finish()
    if "cookie" in condition.headers:
        section.fault("header", "a cookie is matched by 'cookie', not as a header", "cookie")
    if condition.matches_all and section.sound():
        parts = ("header", "cookie", "query", "path") if paths else ("header", "cookie", "query")
        section.fault("", f"needs one of {', '.join(parts)}: it would match every request", "empty")
    return condition


def _matches(reader: Reader, key: str, check: Check) -> dict[str, StringMatch]:
    table = reader.section(key)
    found: dict[str, StringMatch] = {}
    for name, value in (table.raw() if table else {}).items():
        fault = check.fault(name)
        if fault:
            reader.fault(key, fault, check.rule)
            continue
        match = string_match(value, f"{reader.path(key)}.{name}", reader)
        if match is not None:
            # Envoy compares header names in lower case; one spelling keeps the objects stable.
            spelled = name.lower() if key == "header" else name
            if spelled in found:
                reader.fault(key, f"{spelled!r} is there twice", "duplicate")
            found[spelled] = match
    return found


def string_match(value: Any, where: str, reader: Reader) -> StringMatch | None:
    """``text`` (exact), or a mapping with one of exact, prefix and regex; ``None`` when it is bad."""
    if isinstance(value, str):
        value = {"exact": value}
    if not isinstance(value, Mapping):
        reader.problems.add(where, f"is {kind_of(value)}, not a string or a mapping", "type")
        return None
    section = Reader(value, where, reader.problems)
    given = [kind for kind in _KINDS if section.has(kind)]
    section.finish()
    if len(given) != 1:
        if section.sound():
            section.fault("", f"needs exactly one of {', '.join(_KINDS)}", "string-match")
        return None
    text = section.text(given[0], REGEX if given[0] == "regex" else TEXT)
    return StringMatch(given[0], text) if text else None


def _cookie(reader: Reader) -> tuple[str, str] | None:
    table = reader.section("cookie")
    if table is None:
        return None
    entries = list(table.raw().items())
    if not table.sound():
        return None
    if len(entries) != 1:
        reader.fault(
            "cookie", "takes one cookie: a request's cookies share one header, matched once", "cookie"
        )
        return None
    name, value = entries[0]
    fault = COOKIE.fault(name)
    if not fault and not isinstance(value, str):
        fault = f"the value is {kind_of(value)}, not a string"
    if not fault and (not value or any(not 33 <= ord(char) < 127 or char in '",;\\' for char in value)):
        fault = f"{value!r} is not a cookie value"
    if fault:
        reader.fault("cookie", fault, COOKIE.rule)
        return None
    return name, str(value)


def read_mirror(reader: Reader | None) -> Mirror | None:
    """``mirror``."""
    if reader is None:
        return None
    mirror = Mirror(
        to=reader.text("to"),
        percent=reader.percent("percent"),
        writes=reader.boolean("writes", default=False),
    )
    reader.finish()
    return mirror


def read_fault(reader: Reader | None) -> Fault | None:
    """``fault``."""
    if reader is None:
        return None
    delay, abort = reader.section("delay"), reader.section("abort")
    fault = Fault(
        delay_percent=delay.percent("percent") if delay else None,
        delay=delay.duration("fixed", required=True) if delay else None,
        abort_percent=abort.percent("percent") if abort else None,
        abort_status=abort.integer("status", 200, 599) if abort else None,
        only_header=reader.maybe_text("only_header", HEADER),
    )
    for section in (delay, abort):
        if section:
            section.finish()
    if not (delay or abort):
        reader.fault("", "needs delay or abort", "empty")
    reader.finish()
    return fault


_ORIGIN = re.compile(
    r"\*|null|[a-z][a-z0-9+.-]*://[^\sA-Z/?#@:*]+(?::\d+)?|[a-z][a-z0-9+.-]*://\[[0-9a-f:.]+\](?::\d+)?"
)
_USUAL_PORTS = (("http://", ":80"), ("https://", ":443"))
_ANY_SITES = ("https://x7q-attacker.invalid", "http://x7q-attacker.invalid:8080")
"""Origins that nobody names: whoever lets both or one of them in lets any site in."""
_WHOLE_HOST = re.compile(r"[a-z][a-z0-9+.-]*://[^/:]+:.*", re.DOTALL)


def _session_fault(origins: Sequence[StringMatch]) -> str:
    """What is wrong with origins that may use a session; ``""`` when each is the site that it says."""
    for origin in origins:
        if origin.text == "*" or any(_lets_in(origin, site) for site in _ANY_SITES):
            return "every origin together with credentials gives any site the user's session"
        if origin.kind == "exact" and origin.text == "null":
            return "'null' together with credentials gives any site the user's session: frames choose it"
        if origin.kind == "prefix" and not _WHOLE_HOST.fullmatch(origin.text):
            return (
                f"prefix {origin.text!r} together with credentials gives {origin.text}.attacker.example the"
                " user's session: give it as exact, or end its host with ':' for any port"
            )
    return ""


def _origin_fault(text: str) -> str:
    """Why no browser sends this origin (fetch.spec.whatwg.org, Origin header); ``""`` when one may."""
    if not _ORIGIN.fullmatch(text):
        return f"{text!r} is no origin such as https://shop.example.com: browsers send scheme, host, port"
    if any(text.startswith(scheme) and text.endswith(port) for scheme, port in _USUAL_PORTS):
        return f"{text!r} names the usual port, which browsers leave out"
    return ""


def _lets_in(origin: StringMatch, site: str) -> bool:
    if origin.kind == "regex":
        return re.fullmatch(origin.text, site) is not None
    return site.startswith(origin.text) if origin.kind == "prefix" else site == origin.text


def read_cors(reader: Reader | None) -> Cors | None:
    """``cors``."""
    if reader is None:
        return None
    origins = [
        string_match(item, f"{reader.path('origins')}[{index}]", reader)
        for index, item in enumerate(reader.items("origins"))
    ]
    cors = Cors(
        origins=tuple(origin for origin in origins if origin is not None),
        methods=reader.choices("methods", METHODS),
        headers=reader.texts("headers", HEADER),
        expose_headers=reader.texts("expose_headers", HEADER),
        max_age=reader.duration("max_age"),
        credentials=reader.boolean("credentials", default=False) if reader.has("credentials") else None,
    )
    if not cors.origins and reader.sound("origins"):
        reader.fault("origins", "needs at least one origin", "required")
    if cors.max_age and seconds(cors.max_age) % 1:
        reader.fault("max_age", f"{cors.max_age!r} is not a whole number of seconds", "duration")
    for index, origin in enumerate(origins):
        if origin is not None and origin.kind == "exact" and (fault := _origin_fault(origin.text)):
            reader.problems.add(f"{reader.path('origins')}[{index}]", fault, "cors")
    if cors.credentials and (fault := _session_fault(cors.origins)):
        reader.fault("origins", fault, "cors")
    if (
        any(origin.kind == "exact" and origin.text == "*" for origin in cors.origins)
        and len(cors.origins) > 1
    ):
        reader.fault("origins", "'*' makes the other origins pointless", "cors")
    reader.finish()
    return cors
