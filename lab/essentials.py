"""What every cluster gets once its API server answers: CoreDNS and the collection's documented roles."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .cluster import Cluster
from .errors import LabError
from .places import LAB, REPOSITORY
from .screen import say, timed

RBAC = REPOSITORY / "docs" / "rbac"
_BINDINGS = 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\\n"}{end}'


def deploy_dns(cluster: Cluster, kubectl: Path) -> None:
    """CoreDNS, Ready. What was applied is recorded by content, so this costs nothing twice."""
    template = (LAB / "manifests" / "coredns.yaml").read_text()
    # the digest makes a changed configuration restart the pod
    digest = _digest(template)[:16]
    manifest = template.replace("DNS_SERVICE_IP", cluster.dns_ip).replace("CONFIGURATION_DIGEST", digest)
    if not _is_recorded(cluster, "coredns", manifest):
        with timed("CoreDNS"):
            _apply(cluster, kubectl, manifest)
            _await_coredns(cluster, kubectl)
        _record(cluster, "coredns", manifest)


def apply_roles(cluster: Cluster, kubectl: Path) -> None:
    """The files of docs/rbac, which give the user `operator` its rights; nothing when they are applied."""
    roles = rbac_documents()
    if roles:
        roles += f"\n---\n{(LAB / 'manifests' / 'revision-rights.yaml').read_text()}"
    if roles and not _is_recorded(cluster, "rbac", roles):
        _apply(cluster, kubectl, roles)
        _drop_stale_bindings(cluster, kubectl, roles)
        _record(cluster, "rbac", roles)
        say("roles of docs/rbac applied")


def _drop_stale_bindings(cluster: Cluster, kubectl: Path, roles: str) -> None:
    """A binding of before would hide a right that docs/rbac no longer grants."""
    for kind in ("clusterrolebindings", "rolebindings"):
        listed = _kubectl(cluster, kubectl, "get", kind, "--all-namespaces", "-o", _BINDINGS)
        for line in listed.splitlines():
            namespace, _unused, name = line.partition("/")
            if name.startswith("servicemesh-") and not names(roles, name):
                scope = ["-n", namespace] if namespace else []
                _kubectl(cluster, kubectl, "delete", kind, name, *scope)


def names(manifest: str, name: str) -> bool:
    """Whether a manifest has something of that name, in block style or in braces."""
    return re.search(rf"\bname: {re.escape(name)}(?=[\s,}}]|$)", manifest) is not None


def _await_coredns(cluster: Cluster, kubectl: Path) -> None:
    """Wait for its rollout; when it fails, say what its pods say."""
    scope = ["-n", "kube-system"]
    try:
        _kubectl(cluster, kubectl, *scope, "rollout", "status", "deployment/coredns", "--timeout=90s")
    except LabError as error:
        command = [str(kubectl), f"--kubeconfig={cluster.kubeconfig()}", *scope]
        seen = ""
        for arguments in (
            ["get", "events", "--sort-by=.lastTimestamp"],
            ["logs", "deployment/coredns", "--tail=5"],
        ):
            done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
            seen += "".join(f"\n  {line}" for line in (done.stdout or done.stderr).splitlines()[-5:])
        raise LabError(f"CoreDNS is not ready: {error}{seen}") from error


def rbac_documents(directory: Path = RBAC) -> str:
    """All YAML files of docs/rbac as one stream, in the order of their names; empty when there are none."""
    files = sorted(path for path in directory.glob("**/*") if path.suffix in {".yml", ".yaml"})
    return "\n---\n".join(path.read_text() for path in files)


def _apply(cluster: Cluster, kubectl: Path, manifest: str) -> None:
    arguments = ["apply", "--server-side", "--force-conflicts", "--field-manager=lab", "-f", "-"]
    _kubectl(cluster, kubectl, *arguments, stdin=manifest)


def _kubectl(cluster: Cluster, kubectl: Path, *arguments: str, stdin: str = "") -> str:
    command = [str(kubectl), f"--kubeconfig={cluster.kubeconfig()}", *arguments]
    done = subprocess.run(
        command, input=stdin, env=clean_environment(os.environ), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LabError(f"kubectl {' '.join(arguments[:6])} failed: {done.stderr.strip()[-800:]}")
    return done.stdout


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Without the person's proxies: nothing that the cluster's programs talk to is reached through one."""
    return {name: value for name, value in environment.items() if not name.lower().endswith("_proxy")}


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _applied(cluster: Cluster) -> dict[str, str]:
    try:
        recorded: dict[str, str] = json.loads((cluster.state / "applied.json").read_text())
    except (OSError, ValueError):
        return {}
    return recorded


def _is_recorded(cluster: Cluster, name: str, content: str) -> bool:
    return _applied(cluster).get(name) == _digest(content)


def _record(cluster: Cluster, name: str, content: str) -> None:
    (cluster.state / "applied.json").write_text(json.dumps({**_applied(cluster), name: _digest(content)}))
