"""How fast a mesh is applied, beside kubectl and kubernetes.core, in one run and alternating.

Walls depend on the machine; ratios inside one run and counted requests do not, so the bounds are on those.
Everything shares the machine's cores, the API server included, which caps what a first apply can gain.

``BENCH_SIZES`` (default ``40 400 4000``) chooses what is measured. A loop over kubernetes.core costs the same for
every object, so it is measured on ``BENCH_LOOP`` of them (default 10) and an empty loop, and computed for 40 and
400; the output says so. Figures go to the screen and to ``build/bench.json``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import statistics
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SIZES = [int(size) for size in os.environ.get("BENCH_SIZES", "40 400 4000").split()]
LOOP = int(os.environ.get("BENCH_LOOP", "10"))
REPEATS = {40: 5, 400: 3, 4000: int(os.environ.get("BENCH_REPEATS_4000", "2"))}
KUBECTL_REPEATS = {**REPEATS, 4000: 1}  # at the largest size it takes a minute and a half for each case
PEER_REPEATS = {40: 3, 400: 1}  # of kubernetes.core, whose tasks take seconds to minutes
PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
CASES = ("first", "no change", "1 % changed", "check with diff")
OURS, KUBECTL = "engine", "kubectl server-side"
PLAY, SINGLE, LOOPED = "playbook", "kubernetes.core, one task", "kubernetes.core, loop"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
    from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

    kubeconfig = os.environ["KUBECONFIG"]
    with connect(ConnectionOptions.from_params({"kubeconfig": kubeconfig}, {}), threads=16) as client:
        yield Bench(client, kubeconfig, tmp_path_factory.mktemp("bench"))


class Bench:
    """The cluster, the files and everything that was measured."""

    def __init__(self, client, kubeconfig, directory):
        from .measure import Meter, api_server_pids

        self.client, self.kubeconfig, self.directory = client, kubeconfig, directory
        server = yaml.safe_load(Path(kubeconfig).read_text())["clusters"][0]["cluster"]["server"]
        pids = api_server_pids(urlsplit(server).hostname)
        assert pids, f"no kube-apiserver for {server} on this machine"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "collections"),  # for engine.py
            "KUBECONFIG": kubeconfig,
            "K8S_AUTH_KUBECONFIG": kubeconfig,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.timer",
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
            "ANSIBLE_NOCOLOR": "1",
            "XDG_CACHE_HOME": str(directory / "cache"),
        }
        self.meter = Meter(client, pids, self.environment)
        self.kubectl = (
            os.environ.get("LAB_KUBECTL")
            or shutil.which("kubectl")
            or "/var/cache/servicemesh-istio-lab/bin/kubectl"
        )
        self.found: dict[tuple[str, int, str], list] = {}

    def files(self, size):
        from .mesh_objects import objects

        files = {}
        for name, changed in (
            ("base", 0),
            *((f"changed-{n}", n) for n in range(1, REPEATS.get(size, 3) + 1)),
        ):
            made = objects(size, changed)
            path = self.directory / f"{name}-{size}.yml"
            path.write_text(yaml.dump_all(made, Dumper=yaml.CSafeDumper, sort_keys=False))
            files[name] = path
        return files

    def keep(self, case, size, tool, measured):
        self.found.setdefault((case, size, tool), []).append(measured)
        return measured

    def reset(self):
        from .mesh_objects import KINDS, NAMESPACES

        def empty(entry):
            kind, api_version, namespace = entry
            path = self.client.resource(api_version, kind).path(namespace)
            self.client.request("DELETE", path)

        for namespace in NAMESPACES:
            if self.client.get("v1", "Namespace", namespace) is None:
                self.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self.client.in_parallel(empty, [(k, v, n) for k, v in KINDS.items() for n in NAMESPACES])
        settle()

    def engine(self, file, *options):
        return self.meter.run(
            [sys.executable, str(ROOT / "tests/bench/engine.py"), self.kubeconfig, str(file), *options]
        )

    def play(self, name, tasks, *options):
        path = self.directory / f"{name}.yml"
        path.write_text(
            json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}])
        )
        measured = self.meter.run([PLAYBOOK, *options, str(path)], cwd=self.directory)
        assert re.search(r"failed=0 ", measured.output), measured.output[-2000:]
        return measured

    def ours(self, file, *options):
        return self.play("ours", [{"servicemesh.istio.resources": {"src": [str(file)]}}], *options)

    def single(self, file, *options):
        task = {
            "kubernetes.core.k8s": {
                "src": str(file),
                "apply": True,
                "server_side_apply": {"field_manager": "kc"},
            }
        }
        return self.play("single", [task], *options)

    def loop(self, file, *options):
        task = {
            "kubernetes.core.k8s": {
                "definition": "{{ item }}",
                "apply": True,
                "server_side_apply": {"field_manager": "kc"},
            },
            "loop": f"{{{{ lookup('file', '{file}') | from_yaml_all | select | list }}}}",
            "loop_control": {"label": "{{ item.metadata.name }}"},
        }
        return self.play("loop", [task], *options)

    def kubectl_apply(self, file):
        return self.meter.run([self.kubectl, "apply", "--server-side", "-f", str(file)])

    def kubectl_diff(self, file):
        return self.meter.run([self.kubectl, "diff", "--server-side", "-f", str(file)], ok=(0, 1))


def settle():
    """Wait until the machine is idle enough to measure, at most a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        before = cpu()
        time.sleep(0.5)
        after = cpu()
        if (after[1] - before[1]) / max(1, after[0] - before[0]) > 0.6:
            return


def cpu():
    fields = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return sum(fields), fields[3] + fields[4]


@pytest.mark.parametrize("size", SIZES)
def test_against_kubectl(bench, size):
    """Process against process: the engine and kubectl server-side apply, both from YAML."""
    files = bench.files(size)
    for repeat in range(1, REPEATS.get(size, 3) + 1):
        changed = files[f"changed-{repeat}"]
        bench.reset()
        bench.keep("first", size, OURS, bench.engine(files["base"]))
        bench.keep("no change", size, OURS, bench.engine(files["base"]))
        bench.keep("check with diff", size, OURS, bench.engine(changed, "--check"))
        bench.keep("1 % changed", size, OURS, bench.engine(changed))
        if repeat > KUBECTL_REPEATS.get(size, 3):
            continue
        bench.reset()
        bench.keep("first", size, KUBECTL, bench.kubectl_apply(files["base"]))
        bench.keep("no change", size, KUBECTL, bench.kubectl_apply(files["base"]))
        bench.keep("check with diff", size, KUBECTL, bench.kubectl_diff(changed))
        bench.keep("1 % changed", size, KUBECTL, bench.kubectl_apply(changed))
    kinds, part = 8, (size + 99) // 100
    assert requests(bench, "first", size) == {"LIST": pages(size, kinds, first=True), "APPLY": size}
    assert requests(bench, "no change", size) == {"LIST": pages(size, kinds)}
    assert requests(bench, "check with diff", size) == {"LIST": pages(size, kinds), "APPLY dry-run": part}
    assert requests(bench, "1 % changed", size) == {"LIST": pages(size, kinds), "APPLY": part}


def pages(size, kinds, first=False):
    """LISTs: one per kind, and one more per full page of 500."""
    return kinds if first else kinds * max(1, -(-(size // kinds) // 500))


def requests(bench, case, size):
    return bench.found[case, size, OURS][-1].requests


@pytest.mark.parametrize("size", [size for size in SIZES if size in PEER_REPEATS])
def test_against_kubernetes_core(bench, size):
    """Playbook against playbook."""
    files = bench.files(size)
    for _round in range(PEER_REPEATS[size]):
        bench.reset()
        bench.keep("first", size, PLAY, bench.ours(files["base"]))
        bench.keep("no change", size, PLAY, bench.ours(files["base"]))
        bench.keep("check with diff", size, PLAY, bench.ours(files["changed-1"], "--check", "--diff"))
        bench.reset()
        bench.keep("first", size, SINGLE, bench.single(files["base"]))
        bench.keep("no change", size, SINGLE, bench.single(files["base"]))
        bench.keep("check with diff", size, SINGLE, bench.single(files["changed-1"], "--check", "--diff"))


def test_against_a_loop(bench):
    """Its cost per object is constant: a new process, import and discovery for each."""
    files, empty = bench.files(LOOP), bench.directory / "empty.yml"
    empty.write_text("[]")
    base = bench.loop(empty)
    bench.reset()
    for case in ("first", "no change"):
        some = bench.loop(files["base"])
        for size in sorted(PEER_REPEATS.keys() & set(SIZES)):
            bench.keep(case, size, LOOPED, computed(base, some, size))


def computed(base, some, size):
    """What a loop over ``size`` objects takes, from one over none and one over ``LOOP``."""

    def scaled(name):
        least = getattr(base, name)
        return least + (getattr(some, name) - least) * size / LOOP

    return dataclasses.replace(
        some,
        **{name: scaled(name) for name in ("wall", "client_cpu", "server_cpu")},
        requests={verb: round(count * size / LOOP) for verb, count in some.requests.items()},
    )


def test_the_playbook_at_the_largest_size(bench):
    """What Ansible itself costs beside the engine, and that memory stays bounded."""
    size = SIZES[-1]
    files = bench.files(size)
    bench.reset()
    bench.keep("first", size, PLAY, bench.ours(files["base"]))
    for _round in range(2):
        bench.keep("no change", size, PLAY, bench.ours(files["base"]))


def test_figures(bench):
    """Prints the table, writes ``build/bench.json`` and holds the bounds."""
    rows = [row(bench, *key) for key in bench.found]
    rows.sort(key=lambda entry: (CASES.index(entry["name"]), entry["size"], entry["tool"]))
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "bench.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(f"\n{os.cpu_count()} cores, API server on the same; medians; CPU in seconds")
    print(f"{LOOPED}: computed from {LOOP} objects and none, its cost per object being constant")
    print(
        f"{'case':16} {'size':>5} {'tool':27} {'n':>2} {'wall s':>8} {'client':>7} {'server':>7} {'MiB':>5} ratio"
    )
    for entry in rows:
        ratio = f"{entry['ratio']:.1f}x {entry['peer']}" if entry["ratio"] else "-"
        print(
            f"{entry['name']:16} {entry['size']:>5} {entry['tool']:27} {entry['runs']:>2} {entry['wall']:8.2f} "
            f"{entry['cpu']:7.2f} {entry['server_cpu']:7.2f} {entry['memory']:5.0f} {ratio} {entry['requests']}"
        )
    bounds(bench)


def row(bench, case, size, tool):
    runs = bench.found[case, size, tool]
    peers = {OURS: KUBECTL, PLAY: SINGLE}
    peer = peers.get(tool, "")
    peer_runs = bench.found.get((case, size, peer))
    if tool == PLAY and (case, size, LOOPED) in bench.found:
        peer, peer_runs = LOOPED, bench.found[case, size, LOOPED]

    def median(values, field):
        return statistics.median(getattr(run, field) for run in values)

    return {
        "name": case,
        "size": size,
        "tool": tool,
        "runs": len(runs),
        "wall": round(median(runs, "wall"), 3),
        "cpu": round(median(runs, "client_cpu"), 3),
        "server_cpu": round(median(runs, "server_cpu"), 3),
        "memory": round(median(runs, "memory"), 1),
        "requests": runs[-1].requests,
        "peer": peer if peer_runs else "",
        "ratio": round(median(peer_runs, "wall") / median(runs, "wall"), 2) if peer_runs else None,
        "walls": [round(run.wall, 3) for run in runs],
    }


def bounds(bench):
    """Ratios with slack for a shared machine; the requests were exact."""

    def ratio(case, size, tool, peer, field="wall"):
        ours, theirs = bench.found.get((case, size, tool)), bench.found.get((case, size, peer))
        if not ours or not theirs:
            return None
        middle = [statistics.median(getattr(run, field) for run in runs) for runs in (theirs, ours)]
        return middle[0] / max(middle[1], 0.01)

    def at_least(bound, *figure, field="wall"):
        value = ratio(*figure, field=field)
        assert value is None or value >= bound, f"{figure}: {value:.2f} is below {bound}"

    for size in (400, 4000):
        at_least(1.0, "first", size, OURS, KUBECTL)
        at_least(3.0, "no change", size, OURS, KUBECTL)
        at_least(3.0, "check with diff", size, OURS, KUBECTL)
    at_least(25.0, "no change", 4000, OURS, KUBECTL)
    at_least(20.0, "no change", 4000, OURS, KUBECTL, field="server_cpu")
    at_least(2.0, "no change", 400, PLAY, SINGLE)
    at_least(10.0, "no change", 40, PLAY, LOOPED)
    at_least(50.0, "first", 400, PLAY, LOOPED)
    at_least(100.0, "no change", 400, PLAY, LOOPED)
    largest = [run.memory for key, runs in bench.found.items() if key[2] == OURS for run in runs]
    assert max(largest) < 260, f"peak memory {max(largest):.0f} MiB"
