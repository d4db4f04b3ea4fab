# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus: raw samples and single numbers, and a refusal to read anything else into an answer.

An answer that is not exactly what was asked (HTML from a proxy, an error with status 200, warnings of partial
results, several series where one is expected, NaN) measures nothing and raises ``MetricsError``.
"""

from __future__ import annotations

import dataclasses
import http.client
import math
import os
import re
import string
import time
import urllib.error
import urllib.parse
from collections.abc import Mapping
from typing import Any, Protocol

from ansible.module_utils.urls import open_url

from ..documents.json_text import from_json
from ..errors import ApiError, InputError, MeshError, Problem
from ..kube.headers import basic, refuse_header, refuse_token
from ..kube.proxies import environment_proxy, login_secrets
from ..kube.redaction import redacted
from ..kube.secret_fields import header_secrets

MAX_ANSWER = 64 * 1024 * 1024
MAX_SERIES = 50_000
_CHUNK = 256 * 1024
# labels, and (scrape time in seconds since the epoch, value) in time order
RawSeries = tuple[frozenset[tuple[str, str]], list[tuple[float, float]]]
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_SAFE_VALUE = re.compile(r"[A-Za-z0-9._-]{0,253}")


PROMETHEUS_SPEC: dict[str, Any] = {
    "type": "dict",
    "options": {
        "url": {"type": "str"},
        "bearer_token": {"type": "str", "no_log": True},
        "ca_cert": {"type": "path"},
        "validate_certs": {"type": "bool", "default": True},
        "namespace": {"type": "str"},
        "service": {"type": "str"},
        "port": {"type": "raw", "default": 9090},
        "timeout": {"type": "raw", "default": 10},
        "matchers": {"type": "dict", "default": {}},
        "replica_labels": {"type": "list", "elements": "str", "default": []},
        "headers": {"type": "dict", "default": {}, "no_log": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
    },
}
"""Option ``prometheus`` of every module that reads metrics."""


class MetricsError(MeshError):
    """The metrics could not be read: the verdict is "cannot measure", never a pass and never a fail."""


class ServiceProxy(Protocol):
    """The part of the Kubernetes client that reaches a Service through the API server."""

    def service_proxy_get(
        self,
        namespace: str,
        service: str,
        port: int | str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> Any:
        """GET, parsed as JSON where it is JSON."""


@dataclasses.dataclass(frozen=True, slots=True)
class PrometheusOptions:
    """Where Prometheus is: a URL, or a Service that the API server reaches for us.

    :param url: such as ``https://prometheus.example.com``. :param bearer_token: secret, never shown.
    :param ca_cert: PEM file. :param namespace: with ``service`` and ``port``: the Service.
    :param matchers: label -> value of the series that are meant, in a Prometheus that has those of other
        clusters or teams. :param replica_labels: labels by which copies of the same samples differ.
    :param headers: sent to the URL, such as a tenant's; secret, as ``password`` of basic authentication.
    """

    url: str = ""
    bearer_token: str = dataclasses.field(default="", repr=False)
    ca_cert: str = ""
    validate_certs: bool = True
    namespace: str = ""
    service: str = ""
    port: int | str = 9090
    timeout: float = 10.0
    matchers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    replica_labels: tuple[str, ...] = ()
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> PrometheusOptions:
        """Reads module option ``prometheus``.

        :raises InputError: neither or both of ``url`` and ``service``, or a URL that is not http(s).
        """
        given = {key: value for key, value in params.items() if value is not None}
        given["replica_labels"] = tuple(given.get("replica_labels", ()))
        options = cls(**given)
        if bool(options.url) == bool(options.service):
            raise InputError(
                [Problem("prometheus", "give either url or namespace and service", "prometheus")]
            )
        if options.service and not options.namespace:
            raise InputError([Problem("prometheus.namespace", "is missing", "prometheus")])
        if options.url and not _is_url(options.url):
            raise InputError([Problem("prometheus.url", "is not an http or https URL", "prometheus")])
        if set(options.url) & set("?#"):
            message = "has a query or a fragment, and paths are put behind it: give matchers or headers"
            raise InputError([Problem("prometheus.url", message, "prometheus")])
        _check_access(options)
        token = options.bearer_token.strip()
        refuse_token(token, "prometheus.bearer_token", "it")
        return dataclasses.replace(options, bearer_token=token)


def _check_access(options: PrometheusOptions) -> None:
    """:raises InputError: with every problem of matchers, headers and credentials."""
    problems = [
        Problem(f"prometheus.matchers.{ascii(name)[1:-1]}", "is not label: text", "prometheus")
        for name, value in options.matchers.items()
        if not (isinstance(name, str) and _LABEL.fullmatch(name) and isinstance(value, str))
    ]
    if options.headers and not options.url:
        problems.append(Problem("prometheus.headers", "are for url only", "prometheus"))
    for name, value in options.headers.items():
        where = f"prometheus.headers.{ascii(name)[1:-1]}"
        if not (isinstance(name, str) and _TOKEN.fullmatch(name) and isinstance(value, str)):
            problems.append(Problem(where, "is not header: text", "prometheus"))
        elif name.lower() in ("authorization", "host", "content-length", "transfer-encoding"):
            message = "is set otherwise: give bearer_token, or username and password"
            problems.append(Problem(where, message, "prometheus"))
        else:
            refuse_header(value, where, "it")
    if bool(options.username) != bool(options.password):
        problems.append(Problem("prometheus.username", "and password belong together", "prometheus"))
    if ":" in options.username:
        problems.append(Problem("prometheus.username", "holds a colon (RFC 7617)", "prometheus"))
    if options.username and (options.bearer_token or not options.url):
        message = "is for url, and excludes bearer_token"
        problems.append(Problem("prometheus.username", message, "prometheus"))
    if problems:
        raise InputError(problems)


def _is_url(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return usable and text.isprintable() and not any(char.isspace() for char in text)


class Prometheus:
    """Queries of one Prometheus server. :ivar options: where it is, and which of its series are meant."""

    def __init__(self, options: PrometheusOptions, proxy: ServiceProxy | None = None) -> None:
        self.options = options
        self._proxy = proxy

    def raw_series(self, selector: str, lookback: float) -> list[RawSeries]:
        """All raw samples of the last ``lookback`` seconds, per series.

        A range selector returns stored samples with their scrape times; an instant selector would stamp old
        values with the time of the query, so that stale data looks fresh.

        :returns: one per series: its labels, and (time, value) points in time order.
        """
        result = self._query(f"{selector}[{max(1, math.ceil(lookback))}s]", "matrix")
        series: list[RawSeries] = []
        for item in result:
            try:
                labels = frozenset((str(key), str(text)) for key, text in item["metric"].items())
                points = [(float(at), float(value)) for at, value in item["values"]]
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise MetricsError("Prometheus answered with a series that has no samples") from error
            if not points:
                raise MetricsError("Prometheus answered with a series that has no samples")
            series.append((labels, points))
        return series

    def number(self, query: str) -> float | None:
        """The one finite number that a query answers with; ``None`` when it answers with nothing.

        :raises MetricsError: more than one series, NaN, infinity, or any other type of answer.
        """
        result = self._query(query, "vector", "scalar")
        if not result:
            return None
        scalar = isinstance(result[0], int | float)  # it is [time, "value"]
        if len(result) > 1 and not scalar:
            raise MetricsError(f"the query answers with {len(result)} series, one is needed")
        try:
            value = float(result[1] if scalar else result[0]["value"][1])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise MetricsError("the query's answer is not a number") from error
        if not math.isfinite(value):
            raise MetricsError(f"the query's answer is {value}")
        return value

    def vector(self, query: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """The finite numbers that a query answers with; one that is NaN or infinite says nothing.

        :param at: seconds since the epoch by Prometheus's clock, such as of a sample; now unless given.
        :returns: labels and value of each series.
        :raises MetricsError: the answer is something else.
        """
        found = []
        for item in self._query(query, "vector", at=at):
            try:
                labels = {str(key): str(text) for key, text in item["metric"].items()}
                value = float(item["value"][1])
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                raise MetricsError("Prometheus answered with a series that has no value") from error
            if math.isfinite(value):
                found.append((labels, value))
        return found

    def _query(self, query: str, *kinds: str, at: float | None = None) -> list[Any]:
        parameters = {"query": query} if at is None else {"query": query, "time": f"{at:.3f}"}
        answer = self._get("/api/v1/query", parameters)
        if not isinstance(answer, Mapping) or answer.get("status") != "success":
            cause = answer.get("error") if isinstance(answer, Mapping) else "the answer is not JSON"
            raise MetricsError(f"Prometheus refused the query: {self._told(cause)}")
        if answer.get("warnings"):
            raise MetricsError(f"Prometheus answered partially: {self._told(answer['warnings'])}")
        data = answer.get("data")
        if not isinstance(data, Mapping) or data.get("resultType") not in kinds:
            raise MetricsError(f"Prometheus did not answer with {' or '.join(kinds)}")
        result = data.get("result")
        if not isinstance(result, list):
            raise MetricsError("Prometheus answered without a result list")
        if len(result) > MAX_SERIES:
            raise MetricsError(f"Prometheus answered with {len(result)} series, more than {MAX_SERIES}")
        return result

    def _get(self, path: str, query: Mapping[str, str]) -> Any:
        options = self.options
        if options.url:
            return self._get_url(path, query)
        if self._proxy is None:
            raise MetricsError("no API server connection to reach Prometheus through")
        try:
            answer = self._proxy.service_proxy_get(
                options.namespace, options.service, options.port, path, query=query, timeout=options.timeout
            )
        except ApiError as error:
            raise MetricsError(
                f"Prometheus {options.namespace}/{options.service}:{options.port} did not answer"
                f" through the API server: {error.reason or error.status}"
            ) from error
        return _parse(answer) if isinstance(answer, str | bytes) else answer

    def _get_url(self, path: str, query: Mapping[str, str]) -> Any:
        options = self.options
        url = f"{options.url.rstrip('/')}{path}?{urllib.parse.urlencode(query)}"
        try:
            with open_url(
                url,
                headers={"Accept": "application/json", **self._credentials()},
                timeout=options.timeout,
                validate_certs=options.validate_certs,
                ca_path=options.ca_cert or None,
                use_netrc=False,
                # a redirect may lead to another host
                unredirected_headers=["Authorization", *options.headers],
            ) as response:
                return _parse(self._whole(response))
        except urllib.error.HTTPError as error:
            # Prometheus explains a bad query in a JSON body with status 400 or 422
            if error.code in (400, 422):
                return _parse(self._whole(error))
            raise MetricsError(f"Prometheus at {self._host} answered with status {error.code}") from error
        except OSError as error:
            cause = str(getattr(error, "reason", None) or error)
            raise MetricsError(f"Prometheus at {self._host} did not answer: {cause}") from error
        except (http.client.HTTPException, ValueError) as error:  # their texts quote what was sent or came
            cause = type(error).__name__
            raise MetricsError(f"Prometheus at {self._host} did not answer properly: {cause}") from error

    def _credentials(self) -> dict[str, str]:
        """Headers that are secret: those of the options, and a credential."""
        options = self.options
        found = dict(options.headers)
        if options.bearer_token:
            found["Authorization"] = f"Bearer {options.bearer_token}"
        if options.username:
            found["Authorization"] = basic(options.username, options.password)
        return found

    def _told(self, answer: Any) -> str:
        """What the server says, short, and without what it, or a proxy, was sent."""
        url = self.options.url
        # The ways to a proxy are those of the process: the library reads no other environment.
        logins = login_secrets(url) | login_secrets(environment_proxy(url, os.environ)) if url else set()
        return redacted(str(answer), header_secrets(self._credentials().values()) | logins)[:200]

    def _whole(self, response: Any) -> bytes:
        """The body. :raises MetricsError: it does not end in time, however busily it drips."""
        end = time.monotonic() + self.options.timeout
        parts: list[bytes] = []
        size = 0
        read = getattr(response, "read1", response.read)
        while size <= MAX_ANSWER and (part := read(_CHUNK)):
            parts.append(part)
            size += len(part)
            if time.monotonic() > end:
                raise MetricsError(f"Prometheus at {self._host} did not end its answer in time")
        return b"".join(parts)

    @property
    def _host(self) -> str:
        """Host and port of the URL, without what may stand before and behind them: it may be a secret."""
        return urllib.parse.urlsplit(self.options.url).netloc.rpartition("@")[2]


def _parse(body: str | bytes) -> Any:
    if len(body) > MAX_ANSWER:
        raise MetricsError("Prometheus answered with more than 64 MiB")
    try:
        return from_json(body)
    except ValueError as error:
        raise MetricsError("the answer is not JSON; is this really Prometheus?") from error


def fill_query(query: str, values: Mapping[str, str]) -> str:
    """Fills ``$service``, ``$namespace``, ``$canary_workload`` and the like into PromQL.

    :raises InputError: an unknown placeholder, or a value that could end a label matcher.
    """
    for name, value in values.items():
        if not _SAFE_VALUE.fullmatch(value):
            raise InputError(
                [Problem(name, "holds characters that are not allowed in a query", "promql-value")]
            )
    try:
        return string.Template(query).substitute(values)
    except (KeyError, ValueError) as error:
        raise InputError(
            [Problem("query", f"has an unknown placeholder {error}", "promql-placeholder")]
        ) from error
