"""The lab's command line: python -m lab up|down|status|build|load|logs|kubeconfig|env."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence

if not importlib.util.find_spec("cryptography"):
    sys.exit(
        f"lab: {sys.executable} lacks the package cryptography: use the Python of the virtual environment"
    )

from .cluster import DEFAULT_NAME, Cluster, known_clusters, read_cluster
from .errors import LabError
from .everything import build_everything
from .extras import EXTRAS, load
from .lifecycle import down, inspect, up
from .places import cache_root
from .programs import ISTIO
from .requirements import check_disk, check_system, install_packages
from .status import environment, print_status


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    commands = result.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    def named(name: str, text: str) -> argparse.ArgumentParser:
        sub = command(name, text)
        sub.add_argument("--name", default=DEFAULT_NAME, help="name of the cluster (default: %(default)s)")
        return sub

    def stamped(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--istio-stamp",
            action="append",
            default=[],
            metavar="VERSION",
            help="also build the same Istio source under this version name, for upgrade tests; repeatable",
        )

    start = named("up", "Build what is missing and make the cluster run")
    start.add_argument("--control-plane-only", action="store_true", help="API server without a node or pods")
    stamped(start)
    named("down", "Remove the cluster and everything of it")
    named("status", "Show each program, its pid and its state; exit code 1 when something is wrong")
    stamped(command("build", "Build programs, images and charts, and start nothing"))
    loaded = named("load", "Give a running cluster the image of a program that no cluster has by itself")
    loaded.add_argument("extra", choices=sorted(EXTRAS))
    logs = named("logs", "Print the log of one program, or list the logs")
    logs.add_argument("program", nargs="?")
    logs.add_argument("-f", "--follow", action="store_true")
    logs.add_argument("-n", "--lines", type=int, default=100)
    kubeconfig = named("kubeconfig", "Print the path of a kubeconfig")
    kubeconfig.add_argument("--user", choices=("admin", "operator"), default="admin")
    exports = named("env", "Print shell exports: programs, charts, KUBECONFIG")
    exports.add_argument("--user", choices=("admin", "operator"), default="admin")
    exports.add_argument(
        "--istio-stamp", default=ISTIO, metavar="VERSION", help="istioctl and charts of this name"
    )
    command("list", "List the clusters of this machine")
    return result


def existing(name: str) -> Cluster:
    cluster = read_cluster(name)
    if cluster is None:
        raise LabError(f"there is no cluster {name!r}: python -m lab up --name {name}")
    return cluster


def print_logs(cluster: Cluster, arguments: argparse.Namespace) -> int:
    directory = cluster.state / "logs"
    available = sorted(path.stem for path in directory.glob("*.log"))
    if not arguments.program:
        print("\n".join(available))
        return 0
    if arguments.program not in available:
        raise LabError(f"no log of {arguments.program!r}; there are: {', '.join(available)}")
    follow = ["-F"] if arguments.follow else []
    path = directory / f"{arguments.program}.log"
    return subprocess.run(["tail", "-n", str(arguments.lines), *follow, str(path)], check=False).returncode


def run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "up":
            up(arguments.name, node=not arguments.control_plane_only, stamps=arguments.istio_stamp)
        case "down":
            check_system()
            down(arguments.name)
        case "status":
            return print_status(existing(arguments.name))
        case "build":
            check_system()
            install_packages()
            check_disk(first_build=not (cache_root() / "programs").is_dir())
            build_everything(arguments.istio_stamp)
        case "load":
            print(load(existing(arguments.name), arguments.extra))
        case "logs":
            return print_logs(existing(arguments.name), arguments)
        case "kubeconfig":
            print(existing(arguments.name).kubeconfig(arguments.user))
        case "env":
            values = environment(read_cluster(arguments.name), arguments.user, arguments.istio_stamp)
            for name, value in values.items():
                print(f"export {name}={value}")
        case "list":
            for cluster in known_clusters():
                print(f"{cluster.name}\t{cluster.server}\t{inspect(cluster).complaint or 'running'}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    # `su` gives root a PATH without the directories of ip, iptables and runc
    os.environ["PATH"] = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    try:
        return run(parser().parse_args(argv))
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1
    except BrokenPipeError:  # the reader of our output has seen enough
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("lab: interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
