# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns connection options into a configuration of the kubernetes package, with clear errors."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..documents.read import read_document
from ..errors import ApiError, InputError, MeshError, Problem

if TYPE_CHECKING:
    from .options import ConnectionOptions

_LOADING = threading.Lock()
# Values that Configuration takes as they are, by option.
_DIRECT = {
    "ca_cert": "ssl_ca_cert",
    "client_cert": "cert_file",
    "client_key": "key_file",
    "no_proxy": "no_proxy",
}


def load(options: ConnectionOptions, key_directory: Path) -> Any:
    """A ``kubernetes.client.Configuration``: kubeconfig first, then what the options say explicitly.

    Inline keys are written below ``key_directory``. Runs exec plugins and token refreshes.
    :raises InputError: the kubeconfig is missing, broken, or leaves open which cluster is meant.
    :raises ApiError: a credential plugin gave no credential (``reason="Credentials"``).
    """
    client = _import_client()
    configuration = client.Configuration()
    if options.stands_alone:
        pass
    elif options.kubeconfig is not None or options.context is not None or not options.host:
        _load_kubeconfig(options, configuration, key_directory)
    _overlay(options, configuration)
    _check_files(configuration)
    return configuration


def _import_client() -> Any:
    try:
        import kubernetes.client
        import kubernetes.config
    except ImportError as error:
        raise MeshError(
            "the Python package 'kubernetes' is needed where this task runs; "
            "install it for that interpreter (pip install kubernetes)",
            missing=error.name or "kubernetes",
        ) from error
    return kubernetes.client


def _load_kubeconfig(options: ConnectionOptions, configuration: Any, key_directory: Path) -> None:
    from kubernetes.config import ConfigException, kube_config

    where, content = _read_kubeconfig(options)
    if content is None:
        _load_in_cluster(options, configuration, where)
        return
    _check_context(options, content, where)
    with _captured_errors() as problems, _own_temp_files(kube_config):
        try:
            loader = kube_config.KubeConfigLoader(
                config_dict=content,
                active_context=options.context or None,
                config_base_path=None,
                temp_file_path=str(key_directory),
            )
            loader.load_and_set(configuration)
        except (
            ConfigException,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OSError,
        ) as error:
            raise InputError([Problem(where, _first_line(error), "kubeconfig")]) from error
    _check_exec_credential(loader, configuration, problems)


def _read_kubeconfig(options: ConnectionOptions) -> tuple[str, Any]:
    """Where it was read, and the merged content; ``None`` when only the pod's own account is left."""
    if isinstance(options.kubeconfig, Mapping):
        return "kubeconfig", _merge([(str(Path.cwd() / "kubeconfig"), options.kubeconfig)])
    explicit = options.kubeconfig
    text = str(explicit or options.default_kubeconfig)
    where = f"kubeconfig {text}"
    paths = [Path(part).expanduser() for part in text.split(":") if part]
    present = [path for path in paths if path.is_file()]
    if not present:
        if explicit is None and options.in_cluster:
            return where, None
        raise InputError([Problem(where, "no such file", "kubeconfig")])
    return where, _merge([(str(path), _parse(path)) for path in present])


def _parse(path: Path) -> Mapping[str, Any]:
    where = f"kubeconfig {path}"
    try:
        content = read_document(path.read_text(encoding="utf-8"), where)
    except (UnicodeDecodeError, OSError) as error:
        cause = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError([Problem(where, f"cannot be read: {cause}", "kubeconfig")]) from error
    if not isinstance(content, Mapping):
        raise InputError([Problem(where, "is not a kubeconfig", "kubeconfig")])
    return content


def _merge(sources: list[tuple[str, Mapping[str, Any]]]) -> Any:
    """One configuration of several files: the first file that names an entry wins.

    The package's own merger puts whole entries, credentials included, into the names of its nodes, and so
    into its error messages. Ours names them by kind and name only.
    """
    from kubernetes.config.kube_config import ConfigNode

    merged: dict[str, Any] = {"clusters": [], "contexts": [], "users": []}
    seen: set[tuple[str, str]] = set()
    for path, content in sources:
        for section in ("clusters", "contexts", "users"):
            entries = content.get(section) or []
            if not isinstance(entries, list):
                raise InputError([Problem(f"kubeconfig {path}", f"{section} is not a list", "kubeconfig")])
            for entry in entries:
                name = str(entry.get("name", "")) if isinstance(entry, Mapping) else ""
                if name and (section, name) not in seen:
                    seen.add((section, name))
                    merged[section].append(ConfigNode(f"{section}[{name}]", dict(entry), path))
        if content.get("current-context") and not merged.get("current-context"):
            merged["current-context"] = str(content["current-context"])
    return ConfigNode("kubeconfig", merged, sources[0][0])


def _check_context(options: ConnectionOptions, content: Any, where: str) -> None:
    """A kubeconfig that names no current context leaves open which cluster is meant: never guess one."""
    names = [str(entry["name"]) for entry in content.value["contexts"]]
    wanted = options.context or content.value.get("current-context")
    known = ", ".join(names) or "none"
    if not wanted:
        message = f"names no current-context and no context was given (it has: {known})"
    elif wanted not in names:
        message = f"has no context '{wanted}' (it has: {known})"
    else:
        return
    raise InputError([Problem(where, message, "kubeconfig-context")])


def _check_exec_credential(loader: Any, configuration: Any, problems: list[str]) -> None:
    """The package only logs a failing credential plugin and goes on anonymously: say it instead."""
    user = loader._user
    if user is None or "exec" not in user or configuration.api_key or configuration.cert_file:
        return
    command = user["exec"].safe_get("command") or "?"
    cause = problems[0] if problems else "it returned no token and no certificate"
    raise ApiError(
        f"the kubeconfig's credential plugin '{command}' failed: {cause}",
        reason="Credentials",
        subject=str(command),
    )


def _load_in_cluster(options: ConnectionOptions, configuration: Any, where: str) -> None:
    from kubernetes.config import ConfigException, load_incluster_config

    if options.context:
        raise InputError([Problem(where, "no such file, but a context was given", "kubeconfig")])
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException as error:
        raise InputError(
            [Problem(where, f"no such file, and the pod's own account: {_first_line(error)}", "kubeconfig")]
        ) from error


def _overlay(options: ConnectionOptions, configuration: Any) -> None:
    if options.host:
        configuration.host = options.host.rstrip("/")
    for option, attribute in _DIRECT.items():
        value = getattr(options, option)
        if value:
            setattr(configuration, attribute, value)
    if options.proxy:
        configuration.proxy = options.proxy
    if options.validate_certs is not None:
        configuration.verify_ssl = options.validate_certs
    if options.api_key:
        configuration.refresh_api_key_hook = None
        configuration.api_key = {"BearerToken": f"Bearer {options.api_key}"}
    elif options.username and options.password:
        import urllib3

        configuration.refresh_api_key_hook = None
        basic = urllib3.make_headers(basic_auth=f"{options.username}:{options.password}")["authorization"]
        configuration.api_key = {"BearerToken": basic}


def _check_files(configuration: Any) -> None:
    problems = []
    for option, attribute in (
        ("ca_cert", "ssl_ca_cert"),
        ("client_cert", "cert_file"),
        ("client_key", "key_file"),
    ):
        path = getattr(configuration, attribute)
        if path and not Path(path).is_file():
            problems.append(Problem(option, f"no such file: {path}", "connection"))
    if problems:
        raise InputError(problems)


def bearer(configuration: Any) -> str:
    """The current ``Authorization`` header value, refreshed when the credential says that it expired."""
    for identifier in ("BearerToken", "authorization"):  # the second is what packages before 32 use
        value = configuration.get_api_key_with_prefix(identifier)
        if value:
            return str(value)
    return ""


@contextlib.contextmanager
def _own_temp_files(kube_config: Any) -> Iterator[None]:
    """Keep the package's process-wide cache of key files out of the way.

    It would hand a second connection the first one's files, which disappear when the first is closed.
    """
    with _LOADING:
        cache: dict[str, str] = getattr(kube_config, "_temp_files", {})
        kept = dict(cache)
        cache.clear()
        try:
            yield
        finally:
            cache.clear()
            cache.update(kept)


@contextlib.contextmanager
def _captured_errors() -> Iterator[list[str]]:
    """Collect what the package would print through the root logger."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(_first_line(record.getMessage()))

    handler = Collector(level=logging.WARNING)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield messages
    finally:
        root.removeHandler(handler)


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]
