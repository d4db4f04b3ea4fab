"""The programs of the lab, built from Go modules and cached under a hash of what went in."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .contained import contained
from .errors import LabError
from .golang import Go
from .places import LAB, cache_root
from .screen import say

KUBERNETES = "1.36.3"
ISTIO = "1.31.0"
ISTIO_COMMIT = "eed52ebb66ad"
HUB = "lab.local"


@dataclass(frozen=True, slots=True)
class ToolModule:
    """One module below lab/tools. `binaries` maps what `go build` writes to the name the lab gives it;
    `packages` are built beside the module's `tool` directives."""

    name: str
    binaries: dict[str, str]
    link: tuple[str, ...] = ()
    tags: str = ""
    packages: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        return LAB / "tools" / self.name

    def arguments(self) -> list[str]:
        tags = ["-tags", self.tags] if self.tags else []
        return ["-trimpath", "-buildvcs=false", *tags, "-ldflags", " ".join(("-s -w", *self.link))]


def kubernetes_module() -> ToolModule:
    """The version goes in by the linker: without it /version lies and charts refuse their kubeVersion."""
    major, minor, _ = KUBERNETES.split(".")
    base, client = "k8s.io/component-base/version", "k8s.io/client-go/pkg/version"
    names = (
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
    )
    return ToolModule(
        "kubernetes",
        {name: name for name in names},
        (
            f"-X {base}.gitVersion=v{KUBERNETES}",
            f"-X {base}.gitMajor={major}",
            f"-X {base}.gitMinor={minor}",
            f"-X {client}.gitVersion=v{KUBERNETES}",
        ),
    )


def istio_module(stamp: str = ISTIO) -> ToolModule:
    """istiod, pilot-agent, istioctl and the chart writer. `stamp` is the version the programs report: the
    source is always the commit in go.mod, so a second stamp is a second *name* for the same code."""
    version = "istio.io/istio/pkg/version"
    return ToolModule(
        "istio",
        {name: name for name in ("istioctl", "pilot-agent", "pilot-discovery", "charts")},
        (
            f"-X {version}.buildVersion={stamp}",
            f"-X {version}.buildTag={stamp}",
            f"-X {version}.buildHub={HUB}",
            f"-X {version}.buildGitRevision={ISTIO_COMMIT}",
            f"-X {version}.buildStatus=Clean",
        ),
        packages=("./charts",),
    )


ETCD = ToolModule("etcd", {"server": "etcd"})
COREDNS = ToolModule("coredns", {"coredns": "coredns"})
HELM = ToolModule(
    "helm",
    {"helm": "helm"},
    (  # as Helm's own Makefile: its version, and the Kubernetes that `helm template` assumes (client-go's)
        "-X helm.sh/helm/v3/internal/version.version=v3.22.0",
        "-X helm.sh/helm/v3/internal/version.gitTreeState=clean",
        "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
        "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37",
    ),
)
PROMETHEUS = ToolModule("prometheus", {"prometheus": "prometheus"}, tags="remove_all_sd,enable_kubernetes_sd")
JAEGER = ToolModule("jaeger", {"jaeger": "jaeger"})


def build_key(module: ToolModule, go: Go) -> str:
    """A hash of everything the result depends on: module files, own sources, flags, Go version."""
    digest = hashlib.sha256()
    sources = sorted(path for path in module.directory.rglob("*") if path.suffix in {".go", ".mod", ".sum"})
    for path in sources:
        digest.update(str(path.relative_to(module.directory)).encode() + b"\0" + path.read_bytes())
    digest.update(json.dumps([module.arguments(), module.binaries, go.version]).encode())
    return digest.hexdigest()[:16]


def built(module: ToolModule, go: Go) -> Path:
    """The directory that holds, or will hold, the programs of `module`."""
    return cache_root() / "programs" / f"{module.name}-{build_key(module, go)}"


def build(module: ToolModule, go: Go) -> Path:
    """Build `module` unless the cache has it; the directory appears only when it is complete."""
    target = built(module, go)
    if target.is_dir():
        say(f"{module.name}: reused")
        return target
    draft = target.with_name(target.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    began = time.monotonic()
    say(f"{module.name}: building {', '.join(sorted(module.binaries.values()))} with {go.version}")
    command = [go.command, "build", "-v", "-o", str(draft), *module.arguments(), "tool", *module.packages]
    log = cache_root() / "logs" / f"build-{module.name}.log"
    _run_with_heartbeat(command, module, go, log)
    for written, name in module.binaries.items():
        (draft / written).rename(draft / name)
    draft.rename(target)
    say(f"{module.name}: built in {time.monotonic() - began:.0f} s")
    return target


def _run_with_heartbeat(command: list[str], module: ToolModule, go: Go, log: Path) -> None:
    """Run the compiler, saying every ten seconds how many packages it has got through."""
    log.parent.mkdir(parents=True, exist_ok=True)
    began = said = time.monotonic()
    with (
        log.open("wb") as output,
        subprocess.Popen(
            contained(command),
            cwd=module.directory,
            env=go.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            while process.poll() is None:
                time.sleep(0.2)
                if time.monotonic() - said >= 10:
                    said = time.monotonic()
                    packages = log.read_bytes().count(b"\n")
                    compiled = f"{packages} packages compiled" if packages else "linking"
                    say(f"{module.name}: {compiled}, {said - began:.0f} s")
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise LabError(f"building {module.name} failed (all of it: {log}); the last lines:\n{last}")
