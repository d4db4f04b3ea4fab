"""How istioctl and helm are run: real, tiny programs that answer, fail, hang, or say nonsense."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation import commands
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.commands import (
    Runner,
    Tool,
    find_tool,
    first_error,
    helm_version,
    istioctl_version,
    without_log_lines,
)

from ...support.programs import calls, program

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "KUBECONFIG": "/k"}


def run(path: Path, *arguments: str, **options: object) -> str:
    stop: Callable[[], bool] = options.pop("stop", lambda: False)
    return Runner(ENVIRONMENT, stop).run([str(path), *arguments], **options)


def failure(path: Path, **options: object) -> MeshError:
    with pytest.raises(MeshError) as caught:
        run(path, **options)
    return caught.value


class TestRunner:
    def test_a_command_gets_its_arguments_its_input_and_only_the_environment_given(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HELM_KUBECONTEXT", "other")
        path = program(tmp_path, "tool", 'echo "$KUBECONFIG:$HELM_KUBECONTEXT"; cat; echo noise >&2')
        assert run(path, "a b", "c", stdin="größer: 😀\n") == "/k:\ngrößer: 😀\n"
        assert calls(path) == ["a b c"]

    def test_a_large_input_does_not_block_a_command_that_reads_none(self, tmp_path: Path) -> None:
        path = program(tmp_path, "tool", "echo done")
        assert run(path, stdin="x" * 300_000, timeout=20.0) == "done\n"

    def test_without_input_there_is_an_end_and_no_terminal(self, tmp_path: Path) -> None:
        assert run(program(tmp_path, "tool", "cat; echo end")) == "end\n"

    def test_what_a_command_quotes_of_a_credential_is_hidden(self, tmp_path: Path) -> None:
        path = program(tmp_path, "tool", "echo 'Error: refused with abcdefgh' >&2; exit 1")
        with pytest.raises(MeshError, match=r"refused with <hidden>\Z"):
            Runner(ENVIRONMENT, secrets={"abcdefgh"}).run([str(path)])

    def test_a_failure_is_one_sentence_with_the_purpose_and_the_code(self, tmp_path: Path) -> None:
        path = program(tmp_path, "tool", "echo out; echo 'Error: no such chart' >&2; exit 3")
        error = failure(path, about="render it")
        assert (str(error), error.details) == ("could not render it: no such chart", {"returncode": 3})

    def test_what_a_failed_command_said_on_its_output_counts_when_it_said_nothing_else(
        self, tmp_path: Path
    ) -> None:
        path = program(tmp_path, "tool", "echo 'it is broken'; exit 1")
        assert str(failure(path)) == "could not tool: it is broken"
        silent = program(tmp_path, "silent", "exit 1")
        assert str(failure(silent, about="ask")) == "could not ask: it failed without a message"

    def test_a_command_that_was_killed_failed(self, tmp_path: Path) -> None:
        error = failure(program(tmp_path, "tool", "echo partly; kill -9 $$"), about="ask")
        assert (str(error), error.details) == ("could not ask: partly", {"returncode": -9})

    @pytest.mark.parametrize(("ending", "said"), [("", "\ufffd\ufffda"), ("; exit 1", None)])
    def test_bytes_that_are_no_text_do_not_break_the_run(
        self, tmp_path: Path, ending: str, said: str | None
    ) -> None:
        """They ended it with a UnicodeDecodeError and its traceback."""
        path = program(tmp_path, "tool", rf"printf '\377\376a'{ending}")
        if said is None:
            assert str(failure(path)) == "could not tool: \ufffd\ufffda"
        else:
            assert run(path) == said

    @pytest.mark.parametrize("kind", ["missing", "not executable", "no program"])
    def test_a_program_that_cannot_be_run_is_named(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "tool"
        if kind != "missing":
            path.write_text("nonsense", encoding="utf-8")
        if kind == "no program":
            path.chmod(0o700)
        reason = {
            "missing": "No such file or directory",
            "not executable": "Permission denied",
            "no program": "Exec format error",
        }[kind]
        assert str(failure(path, about="ask")) == f"cannot run {path} to ask: {reason}"

    def test_a_command_that_hangs_is_ended(self, tmp_path: Path) -> None:
        path = program(tmp_path, "tool", 'echo $$ > "$0.pid"; exec sleep 600')
        error = failure(path, timeout=0.3, about="ask")
        assert str(error) == "could not ask: it did not end within 0 s"
        assert not _lives(path)

    def test_a_slow_command_is_waited_for(self, tmp_path: Path) -> None:
        assert run(program(tmp_path, "tool", "sleep 0.5; echo late"), timeout=20.0) == "late\n"

    def test_a_command_that_does_not_listen_is_killed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commands, "_GRACE", 0.3)
        path = program(tmp_path, "tool", "trap '' TERM; echo $$ > \"$0.pid\"; while :; do sleep 0.1; done")
        failure(path, stop=path.with_name("tool.pid").exists)
        assert not _lives(path)

    def test_a_command_may_end_in_order_when_it_is_told_to(self, tmp_path: Path) -> None:
        path = program(
            tmp_path,
            "tool",
            "trap 'sleep 0.3; echo bye > \"$0.bye\"; exit 0' TERM\n"
            'echo $$ > "$0.pid"; while :; do sleep 0.1; done',
        )
        failure(path, stop=path.with_name("tool.pid").exists)
        assert path.with_name("tool.bye").exists()

    def test_an_interrupted_play_ends_the_command(self, tmp_path: Path) -> None:
        path = program(tmp_path, "tool", 'echo $$ > "$0.pid"; exec sleep 600')
        begin = time.monotonic()
        error = failure(path, timeout=300.0, about="ask", stop=path.with_name("tool.pid").exists)
        assert str(error) == "could not ask: the play was interrupted"
        assert not _lives(path)
        assert time.monotonic() - begin < 60


def _lives(path: Path) -> bool:
    noted = path.with_name(f"{path.name}.pid")
    text = noted.read_text() if noted.exists() else ""
    if not text:  # it was ended before it could say who it is
        return False
    try:
        os.kill(int(text), 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it failed without a message"),
        ("\n  \n", "it failed without a message"),
        ("one\n\n two \n\n", "two"),
        ("Error: a: b\nusage\n", "a: b"),
        ("warning: x\n  error: y\nlast", "y"),
        ("first\nError:\nlast", "Error:"),
        ("Errors occurred\nlast", "Errors occurred"),
        ("no error: here\nlast", "last"),
        ("\x1b[31mError: \x1b[1;31mred\x1b[0m", "red"),
    ],
)
def test_the_sentence_that_says_what_went_wrong(text: str, sentence: str) -> None:
    assert first_error(text) == sentence


def test_log_lines_are_taken_out_of_a_manifest() -> None:
    log = "2026-09-21T10:00:00.123456Z\tinfo\tproxy config: {}\n"
    kept = 'a: "2026-09-21T10:00:00Z"\n2026-09-21: x\n- 2026-09-21T10:00:00Z\tinfo\tx\n'
    assert without_log_lines(f"{log}{kept}{log}b: 1\n{log.rstrip()}") == f"{kept}b: 1\n"


class TestFinding:
    def test_a_name_is_looked_for_on_the_path_of_the_task(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mine = program(tmp_path / "mine", "istioctl", "")
        other = program(tmp_path / "other", "istioctl", "")
        monkeypatch.setenv("PATH", str(other.parent))
        assert find_tool("istioctl", where="w", environment={"PATH": str(mine.parent)}) == str(mine)
        assert find_tool(str(other), where="w", environment={"PATH": str(mine.parent)}) == str(other)

    def test_home_relative_and_linked_paths_become_absolute(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = program(tmp_path / "real", "helm-3", "")
        (tmp_path / "helm").symlink_to(path)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        for given in ("~/helm", "./helm", str(tmp_path / "helm")):
            assert find_tool(given, where="w", environment={}) == str(path)

    @pytest.mark.parametrize("kind", ["missing", "not executable", "directory"])
    def test_what_cannot_be_run_is_named_by_its_variable(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "istioctl"
        if kind == "not executable":
            path.write_text("#!/bin/sh\n", encoding="utf-8")
        if kind == "directory":
            path.mkdir()
        for given in (str(path), "istioctl"):
            with pytest.raises(InputError) as caught:
                find_tool(given, where="istio_istioctl_path", environment={"PATH": str(tmp_path)})
            assert [str(problem) for problem in caught.value.problems] == [
                f"istio_istioctl_path: {given!r} is not a program that can be run here (tool-missing)"
            ]


class TestVersions:
    ANSWER = '{"clientVersion": {"version": "1.31.1", "revision": "a"}}'

    def test_istioctl_is_asked_for_itself_only(self, tmp_path: Path) -> None:
        path = program(tmp_path, "istioctl", f"echo '{self.ANSWER}'")
        assert istioctl_version(Runner(ENVIRONMENT), str(path)) == Tool(str(path), "1.31.1")
        assert calls(path) == ["version --remote=false -o json"]

    def test_log_lines_before_the_answer_of_istioctl(self, tmp_path: Path) -> None:
        """istioctl logs to its output: its version could not be read then."""
        log = r"printf '2026-09-21T10:00:00.1Z\tinfo\tx\n'"
        path = program(tmp_path, "istioctl", f"{log}; echo '{self.ANSWER}'")
        assert istioctl_version(Runner(ENVIRONMENT), str(path)).version == "1.31.1"

    @pytest.mark.parametrize(
        "answer",
        [
            "",
            "1.31.1",
            "version: 1.31.1",
            "null",
            "[]",
            "{}",
            '{"clientVersion": null}',
            '{"clientVersion": "1.31.1"}',
            '{"clientVersion": {}}',
            '{"clientVersion": {"version": null}}',
            '{"clientVersion": {"version": ""}}',
            '{"clientVersion": {"version": 1.31}}',
        ],
    )
    def test_what_is_no_istioctl(self, tmp_path: Path, answer: str) -> None:
        """``null`` was taken for a version that is called None."""
        path = program(tmp_path, "istioctl", f"echo '{answer}'")
        with pytest.raises(MeshError) as caught:
            istioctl_version(Runner(ENVIRONMENT), str(path))
        assert str(caught.value) == f"{path} does not answer like istioctl"

    @pytest.mark.parametrize(
        ("answer", "version"),
        [
            ("v3.17.3", "3.17.3"),
            (" 4.0.0 ", "4.0.0"),
            ("v3.18", "3.18"),
            ("v4.0.0-rc.1+g123", "4.0.0-rc.1+g123"),
            ("v3.17.3 and more", "3.17.3"),
        ],
    )
    def test_helm_says_its_version(self, tmp_path: Path, answer: str, version: str) -> None:
        path = program(tmp_path, "helm", f"echo '{answer}'")
        assert helm_version(Runner(ENVIRONMENT), str(path)) == Tool(str(path), version)
        assert calls(path) == ["version --template {{.Version}}"]

    @pytest.mark.parametrize("answer", ["", "v3", "Client: v2.17.0", "{{.Version}}"])
    def test_what_is_no_helm(self, tmp_path: Path, answer: str) -> None:
        path = program(tmp_path, "helm", f"echo '{answer}'")
        with pytest.raises(MeshError) as caught:
            helm_version(Runner(ENVIRONMENT), str(path))
        assert str(caught.value) == f"{path} does not answer like helm"

    @pytest.mark.parametrize(
        ("ask", "purpose"),
        [(istioctl_version, "ask istioctl its version"), (helm_version, "ask helm its version")],
    )
    def test_a_tool_that_fails_is_told(
        self, tmp_path: Path, ask: Callable[[Runner, str], Tool], purpose: str
    ) -> None:
        path = program(tmp_path, "tool", "echo 'Error: bad cpu' >&2; exit 1")
        with pytest.raises(MeshError, match=f"could not {purpose}: bad cpu"):
            ask(Runner(ENVIRONMENT), str(path))

    @pytest.mark.parametrize("ask", [istioctl_version, helm_version])
    def test_a_tool_has_twenty_seconds_for_it(
        self, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Runner, str], Tool]
    ) -> None:
        given = []

        def run(_self: Runner, _argv: list[str], **options: object) -> str:
            given.append(options["timeout"])
            return "v3.18.0" if ask is helm_version else self.ANSWER

        monkeypatch.setattr(Runner, "run", run)
        ask(Runner({}), "/tool")
        assert given == [20]


def test_a_command_has_two_minutes_when_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def wait(_self: Runner, child: subprocess.Popen[str], timeout: float, _purpose: str) -> int:
        given.append(timeout)
        return child.wait()

    monkeypatch.setattr(Runner, "_wait", wait)
    run(program(tmp_path, "tool", ""))
    assert given == [120.0]
