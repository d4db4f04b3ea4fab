"""The machine's own addresses, from which a pod can be called."""

from __future__ import annotations

import json
import socket
import subprocess


def own_addresses(towards: str) -> list[str]:
    """Up to three IPv4 addresses, that of the way to ``towards`` first; from each of them it is reached.

    Those of the links to other clusters are left out, for they go with them.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((towards, 9))
        first = str(way.getsockname()[0])
    told = json.loads(subprocess.run(["ip", "-j", "-4", "addr"], capture_output=True, check=True).stdout)
    links = [link for link in told if not link["ifname"].startswith(("lo", "lab-"))]
    known = [entry["local"] for link in links for entry in link["addr_info"]]
    others = [address for address in known if address != first and _reaches(address, towards)]
    return [first, *others[:2]]


def _reaches(source: str, towards: str) -> bool:
    try:
        socket.create_connection((towards, 15021), 1, (source, 0)).close()
    except OSError:
        return False
    return True
