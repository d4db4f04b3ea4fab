"""Commands that end together with the lab command that runs them, and leave no process and no mount."""

from __future__ import annotations


def contained(command: list[str], *, network: bool = True) -> list[str]:
    """`command` in mount and pid namespaces of its own; the kernel ends them when this process is gone."""
    own = [] if network else ["--net"]
    inside = ["unshare", "--mount", "--pid", *own, "--fork", "--kill-child", "--mount-proc"]
    return ["setpriv", "--pdeathsig", "KILL", *inside, *command]
