"""``make demo``: from nothing to a verified mesh, and a request through its gateway as the proof.

Every step is idempotent, so a demo that was killed is simply run again. ARGS are handed to the
site playbook: ``make demo ARGS="-e istio_method=helm"``.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lab.places import state_root

from . import lab
from .needs import debian_packages
from .processes import one_at_a_time, run
from .screen import SetupError, duration, say, timed

HOST = "api.example.com"
SERVICE = "frontend"  # what the catalogue exposes at /
GATEWAY = ("istio-system", "istio-ingressgateway")


def demo(name: str) -> None:
    """All steps under the cluster's lock; playbooks inherit it, so a killed demo's orphan is waited for."""
    debian_packages("demo", {"curl": "curl"})
    with one_at_a_time(lab.lock_file(name), f"cluster {name!r}") as lock:
        build(name, (lock.fileno(),))


def build(name: str, keep: Sequence[int] = ()) -> None:
    """Cluster, shop, mesh, proof. The caller holds the lock; playbooks inherit the descriptors `keep`."""
    with timed(f"cluster {name!r}"):
        lab.up(name)
    with timed("demo shop"):
        lab.deploy_shop(name, keep)
    authority = authority_file(name)
    with timed("playbooks/site.yml"):
        lab.playbook(
            name,
            "playbooks/site.yml",
            *("-e", f"certificates_ca_file={authority}"),
            *shlex.split(os.environ.get("ARGS", "")),
            keep=keep,
        )
    prove(name, authority)


def fresh(name: str) -> None:
    """The demo on a cluster that was not there before."""
    lab.down(name)
    build(name)


def authority_file(name: str) -> Path:
    """Where role certificates saves the CA's certificate: beside the cluster, gone when the cluster is."""
    return state_root() / name / "gateway-ca.crt"


def prove(name: str, authority: Path) -> None:
    """Ask the gateway over HTTPS, trusting the printed CA only, and look at who answers."""
    namespace, service = GATEWAY
    address = lab.kubectl(
        name, "get", "service", service, "-n", namespace, "-o", "jsonpath={.spec.clusterIP}"
    ).strip()
    words = ["curl", "--cacert", str(authority), "--resolve", f"{HOST}:443:{address}", f"https://{HOST}/"]
    done = run([*words, "--silent", "--show-error", "--fail", "--max-time", "10"], capture=True)
    try:
        answered = json.loads(done.stdout)["service"]
    except (ValueError, KeyError, TypeError):
        answered = ""
    if done.returncode or answered != SERVICE:
        raise SetupError(f"the gateway did not answer as {SERVICE}: {done.stdout.strip()[:500]}")
    say("")
    say(f"The mesh is up and verified; {answered} just answered through the gateway:")
    say(f"  URL  https://{HOST}/")
    say(f"  CA   {authority}")
    say(f"  {shlex.join(words)}")
    say("Run the same command again and nothing changes. To remove it: make lab-down")


def main() -> int:
    """Run the demo; one sentence when it cannot."""
    start = time.monotonic()
    try:
        demo(lab.cluster_name())
    except SetupError as error:
        sys.stderr.write(f"make demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    say(f"make demo: {duration(time.monotonic() - start)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
