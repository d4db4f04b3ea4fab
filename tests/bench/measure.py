"""Runs a command and measures it: wall, CPU of the client and of the API server, memory, requests by verb."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

TICK = os.sysconf("SC_CLK_TCK")
_COUNTER = re.compile(
    r'apiserver_request_total\{[^}]*?dry_run="(?P<dry>[^"]*)",group="(?P<group>[^"]*)"'
    r'[^}]*?verb="(?P<verb>\w+)"[^}]*\} (?P<count>\S+)'
)


@dataclasses.dataclass
class Measured:
    """One run. Seconds, MiB, and requests for Istio's kinds by verb (``APPLY`` with ``dry-run`` apart).

    ``memory`` is the peak, and never below that of the measuring process, which the kernel hands down.
    """

    wall: float
    client_cpu: float
    server_cpu: float
    memory: float
    requests: dict[str, int]
    output: str


class Meter:
    """Measures commands against one API server, whose processes run on this machine."""

    def __init__(self, client: Any, server_pids: list[int], environment: dict[str, str]) -> None:
        self._client, self._pids, self._environment = client, server_pids, environment

    def run(
        self,
        command: list[str],
        *,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        ok: tuple[int, ...] = (0,),
    ) -> Measured:
        """:raises AssertionError: the command failed; what it printed is in the message."""
        before_requests, before_cpu = self._requests(), self._server_cpu()
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**self._environment, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - started
        process.stdout.close()
        server_cpu = self._server_cpu() - before_cpu
        after = self._requests()
        assert process.returncode in ok, f"{command[:3]}: exit code {process.returncode}\n{output[-3000:]}"
        requests = {verb: after[verb] - before_requests.get(verb, 0) for verb in after}
        return Measured(
            wall,
            usage.ru_utime + usage.ru_stime,
            server_cpu,
            usage.ru_maxrss / 1024,
            {verb: count for verb, count in sorted(requests.items()) if count},
            output,
        )

    def _server_cpu(self) -> float:
        total = 0
        for pid in self._pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def _requests(self) -> dict[str, int]:
        text = self._client.request("GET", "/metrics", accept="*/*").data
        found: dict[str, int] = {}
        for match in _COUNTER.finditer(text):
            # A WATCH is another client's, counted when it ends.
            if match["group"].endswith(".istio.io") and match["verb"] != "WATCH":
                verb = match["verb"] + (" dry-run" if match["dry"] else "")
                found[verb] = found.get(verb, 0) + int(float(match["count"]))
        return found


def api_server_pids(address: str) -> list[int]:
    """The kube-apiserver that serves ``address`` (its advertised host), on this machine.

    Only its own CPU counts: etcd's work is the same for every client.
    """
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                command = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if command[0].endswith("kube-apiserver") and f"--advertise-address={address}" in command:
                found.append(int(directory.name))
    return found
