# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An action plugin that runs its module's backend in the controller whenever that is possible.

In the controller a task costs about 25 ms instead of 300-700 ms, and its progress is seen live. It is
possible when the effective (delegated) connection is local, the task has no become, no async and no
environment, and the interpreter is unset or the controller's own. Otherwise the module of the same name
runs on the target.
Results are equal; only progress lines come later from a module.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import filter_loader
from ansible.utils.display import Display

from ..module_utils.context import Context
from ..module_utils.errors import MeshError, nearest
from ..module_utils.fields import mapping_at
from ..module_utils.kube.options import CONNECTION_SPEC, HANDOVER, is_content, secrets_in
from ..module_utils.kube.secret_fields import is_secret_name, masked
from ..module_utils.run_module import (
    constraints,
    defect,
    defect_trace,
    failure,
    pack,
    printable,
    stop_signal,
    typed_arguments,
)
from .misspelt import warnings_for
from .paths import CONNECTION_FILES, absolute_kubeconfig, absolute_path
from .vault import opened_kubeconfig

# Ansible loads an action plugin before it forks the worker that runs it: what is imported here is paid once
# per playbook (0.3 s), not once per task and host. Backends import it where they need it, as modules must.
with contextlib.suppress(ImportError):
    import kubernetes.client
    import kubernetes.config

    _PRELOADED = (kubernetes.client, kubernetes.config)
# So it is with the filters, of which all files are read for one; outside of a playbook there are none.
with contextlib.suppress(KeyError):
    filter_loader.get("servicemesh.istio.typed")

_DISPLAY = Display()
_BESIDE_SECRETS = frozenset(
    ("mesh_connection", "kubeconfig", "certificates_provided", "provided", "password")
)
_KEY = re.compile(r"[A-Za-z_][\w.-]*(?=[\"']?\s*[:=])")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class BackendAction(ActionBase):
    """Subclasses set ``backend`` (see ``run_module``) and may override ``read_files``.

    ``handed_over`` names options that may hold secrets without being secret altogether, such as manifests:
    they travel to a remote module packed, so that the module's logged invocation does not show them.
    """

    backend: ClassVar[Any] = None
    handed_over: ClassVar[tuple[str, ...]] = ()
    _supports_check_mode = True
    _supports_async = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run here or there."""
        super().run(tmp, task_vars)
        del tmp
        self._variables: dict[str, Any] = task_vars or {}
        self._host = str(self._variables.get("inventory_hostname", "localhost"))
        for warning in warnings_for(self._variables, getattr(self.backend, "VARIABLES", {}).values()):
            _DISPLAY.warning(warning)
        try:
            arguments = plain(dict(self._task.args))
        except TypeError as error:
            raise AnsibleActionFail(str(error)) from error
        arguments.pop(HANDOVER, None)
        try:
            result = self._result(arguments)
        except AnsibleError:
            raise
        except Exception as error:  # Ansible would show its text
            _DISPLAY.vvv(defect_trace(error), host=self._host)
            result = {"failed": True, "msg": defect(error)}
        self._point_at_source(result)
        return result

    def _result(self, arguments: dict[str, Any]) -> dict[str, Any]:
        local = self._connection.transport == "local"
        try:
            arguments = typed_arguments(self.backend, arguments, self._variable_of)
            if local:
                self._absolute_paths(arguments)
            files = self.read_files(arguments)
        except MeshError as error:
            return dict(remove_values(printable(failure(error)), self._secrets(arguments)))
        stays = local and self._stays_here()
        return self._run_here(arguments, files) if stays else self._run_there(arguments, files)

    def _variable_of(self, option: str) -> str:
        """The variable by which a person sets an option."""
        connection = self._variables.get("mesh_connection")
        if option in CONNECTION_SPEC and isinstance(connection, Mapping) and option in connection:
            return f"mesh_connection.{option}"
        return str(getattr(self.backend, "VARIABLES", {}).get(option, option))

    def _secrets(self, arguments: Mapping[str, Any]) -> set[str]:
        """What must not be seen in a message about the arguments. :returns: texts of secret options."""
        return set(_secret_texts(self.backend.ARGUMENT_SPEC, arguments)) | secrets_in(arguments)

    def read_files(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Contents of controller-side files by option name, as JSON. By default there are none."""
        del arguments
        return {}

    def _stays_here(self) -> bool:
        if self._connection.become or self._task.async_val or any(self._task.environment or ()):
            return False
        variables: Mapping[str, Any] = self._variables
        if self._task.delegate_to:
            variables = mapping_at(variables, "ansible_delegated_vars", str(self._task.delegate_to))
        interpreter = str(self._templar.template(variables.get("ansible_python_interpreter")) or "")
        if not interpreter or interpreter.startswith("auto"):
            return True
        # Not realpath: a venv's interpreter is a link to the system's, but sees other packages.
        return os.path.normpath(interpreter) == os.path.normpath(sys.executable)

    def _absolute_paths(self, arguments: dict[str, Any]) -> None:
        """A relative path may lie beside the playbook, beside the inventory, or where the run was started."""
        places = [self._loader.get_basedir(), str(self._variables.get("inventory_dir") or "")]
        for option in CONNECTION_FILES:
            value = arguments.get(option)
            if isinstance(value, str) and value:
                find = absolute_kubeconfig if option == "kubeconfig" else absolute_path
                arguments[option] = find(value, [place for place in places if place])
        if isinstance(arguments.get("kubeconfig"), str):
            arguments["kubeconfig"] = opened_kubeconfig(arguments["kubeconfig"], self._loader)

    def _run_there(self, arguments: dict[str, Any], files: dict[str, Any]) -> dict[str, Any]:
        names = (*self.handed_over, *_inline(arguments))
        options = {name: arguments.pop(name) for name in names if name in arguments}
        if files or options:
            arguments[HANDOVER] = pack(files, options)
        result: dict[str, Any] = self._execute_module(
            module_args=arguments, task_vars=self._variables, wrap_async=self._task.async_val
        )
        result.pop("invocation", None)
        for line in result.pop("progress", None) or []:
            self._say(line)
        trace = result.pop("trace", None)
        if trace:
            _DISPLAY.vvv(str(trace), host=self._host)
        return result

    def _run_here(self, arguments: dict[str, Any], files: dict[str, Any]) -> dict[str, Any]:
        checked = ArgumentSpecValidator(self.backend.ARGUMENT_SPEC, **constraints(self.backend)).validate(
            arguments
        )
        secrets = set(checked._no_log_values) | secrets_in(arguments)
        if checked.error_messages:
            messages = self._refused(checked)
            return dict(remove_values({"failed": True, "msg": "; ".join(messages)}, secrets))
        _forward(checked)
        with stop_signal() as stop:
            context = Context(
                check_mode=bool(self._task.check_mode),
                diff_mode=bool(self._task.diff),
                progress=lambda line: self._say(str(remove_values(line, secrets))),
                warn=lambda text: _DISPLAY.warning(str(remove_values(printable(text), secrets))),
                environment=dict(os.environ),
                stop=stop,
                files=files,
            )
            try:
                result = self.backend.run(checked.validated_parameters, context)
            except MeshError as error:
                result = failure(error)
            except Exception as error:
                _DISPLAY.vvv(str(remove_values(defect_trace(error), secrets)), host=self._host)
                result = {"failed": True, "msg": defect(error)}
        result.setdefault("changed", False)
        return dict(remove_values(printable(result), secrets))

    def _refused(self, checked: Any) -> list[str]:
        """Why the arguments are refused; an unknown one by the name under which it was written."""
        known = sorted(self.backend.ARGUMENT_SPEC)
        connection = self._variables.get("mesh_connection") or {}
        messages = []
        for error in checked.errors:
            if not isinstance(error, UnsupportedError):
                messages.append(str(error))
                continue
            for name in sorted(checked.unsupported_parameters):
                where = f"mesh_connection.{name}" if name in connection else name
                messages.append(f"{where}: is not a known option{nearest(str(name), known)}")
        return messages

    def _point_at_source(self, result: dict[str, Any]) -> None:
        """Fail with the file and line in which the first refused variable is written.

        :raises AnsibleActionFail: with the same result, so that only the screen shows more.
        """
        problems = result.get("problems")
        # Findings about the cluster are sentences; only those about the input say where it is written.
        if not result.get("failed") or not isinstance(problems, list) or not problems:
            return
        if not isinstance(problems[0], Mapping):
            return
        where = str(problems[0].get("where") or "")
        if _is_secret_place(where):  # Ansible would show the lines around it
            return
        value = value_at(self._variables, where)
        if value is None:
            return
        found = AnsibleActionFail(str(result.get("msg")), obj=value, result=result)
        shown = str(getattr(found, "_formatted_source_context", None) or "")
        if not holds_secret(shown):
            raise found
        # The lines before it are shown, too, and a password stands there: the place alone is told.
        result["msg"] = f"{result.get('msg')} ({shown.partition(chr(10))[0]})"

    def _say(self, line: str) -> None:
        """One live line; with several forks lines interleave, so each names its host."""
        _DISPLAY.display(f"{self._host}: {printable(line)}")


def _secret_texts(spec: Mapping[str, Mapping[str, Any]], given: Any) -> Iterator[str]:
    """The texts of options that are not to be logged, also of those inside of others."""
    for item in given if isinstance(given, list) else [given]:
        for name, entry in spec.items() if isinstance(item, Mapping) else ():
            for value in [item.get(key) for key in (name, *entry.get("aliases", ()))]:
                if entry.get("no_log") and value:
                    yield str(value)
                elif isinstance(value, Mapping | list) and "options" in entry:
                    yield from _secret_texts(entry["options"], value)


def _is_secret_place(path: str) -> bool:
    """Whether a variable such as ``certificates_provided[0].private_key`` is, or lies beside, a secret."""
    names = [name for name, _index in _STEP.findall(path) if name]
    return any(is_secret_name(name) or name in _BESIDE_SECRETS for name in names)


def value_at(variables: Mapping[str, Any], path: str) -> Any:
    """What stands at a path such as ``mesh_services[3].callers``, or at the deepest part of it that exists.

    The variables are not templated: it is the value as written, which knows its file and line.
    """
    name, *steps = [key or int(index) for key, index in _STEP.findall(path)] or [""]
    value: Any = variables.get(str(name))
    for step in steps:
        inner = isinstance(value, Mapping) if isinstance(step, str) else isinstance(value, list)
        try:
            value = value[step] if inner else value
        except (KeyError, IndexError):
            break
        if not inner:
            break
    return value


def holds_secret(lines: str) -> bool:
    """Whether one of some lines of YAML names a secret, or holds what looks like one."""
    return masked(lines) != lines or any(map(is_secret_name, _KEY.findall(lines)))


def _inline(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """An inline kubeconfig holds keys and tokens, a proxy's URL a password: they travel packed."""
    content = arguments.get("kubeconfig")
    inline = isinstance(content, Mapping) or (isinstance(content, str) and is_content(content))
    urls = [name for name in ("proxy", "host") if "@" in str(arguments.get(name) or "")]
    return (*(["kubeconfig"] if inline else []), *urls)


def plain(value: Any) -> Any:
    """Templated values without Ansible's tags: validation copies every tag, 14 s for 4,000 objects.

    :raises TypeError: something that no task argument can hold.
    """
    return json.loads(json.dumps(value, default=_as_json), object_pairs_hook=_distinct)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping whose keys differ as text, too: of ``8080`` and ``"8080"`` the second would win."""
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next((name for name in names if names.count(name) > 1), "")
        raise TypeError(f"a mapping has the key '{twice}' twice, as text and as something else")
    return result


def _as_json(value: object) -> Any:
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if type(value).__name__ == "EncryptedString":  # a vaulted value that nothing has opened yet
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be a task argument")


def _forward(checked: Any) -> None:
    """Deprecations and warnings of the argument spec, as a module would report them."""
    for deprecation in checked._deprecations:
        # The version is known at run time only, so the static checks of literals do not apply here.
        announce: Any = _DISPLAY.deprecated
        announce(
            deprecation.get("msg", ""),
            version=deprecation.get("version"),
            collection_name=deprecation.get("collection_name") or "servicemesh.istio",
        )
    for warning in checked._warnings:
        _DISPLAY.warning(f"Both option {warning['option']} and its alias {warning['alias']} are set.")
