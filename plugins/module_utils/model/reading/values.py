# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of single values: names, hosts, durations, paths, principals.

A check is a named rule and a function that answers ``""`` for a good value and one half sentence for a bad
one. Everything is matched against the whole ASCII string, so control characters, look-alike letters and
trailing newlines never pass.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Iterable
from decimal import Decimal

from .durations import duration_fault, timeout_fault
from .principals import parse_principal

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_LABEL_KEY = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()+,;=:@%/-]*", re.ASCII)
_PREFIX_LENGTH = re.compile(r"/(?:0|[1-9][0-9]{0,2})\Z", re.ASCII)
# apimachinery/pkg/api/resource/quantity.go; a size below zero is none
_QUANTITY = re.compile(r"\+?(\d+\.?\d*|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?\d+)?", re.ASCII)
_SCALES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")

PROXY_PORTS = frozenset({15000, 15001, 15004, 15006, 15008, 15020, 15021, 15053, 15090})
"""What a sidecar listens on itself; no application can be behind them
(istio.io, docs/ops/deployment/application-requirements, "Ports used by Istio")."""

_LONGEST = 24 * 3600.0
CA_SUFFIX = "-cacert"
"""istiod reads the CAs of a credential's clients from the Secret of its name with this behind it."""
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}", re.ASCII)
# RFC 3986, section 2.3: letters, digits and -._~, encoded.
_UNRESERVED = re.compile(r"%(?:2[DEde]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """A rule about one string.

    :param rule: short stable name, such as ``dns-name``.
    :param fault: answers ``""`` when the value is good, else what is wrong with it.
    """

    rule: str
    fault: Callable[[str], str]


def _label_fault(text: str) -> str:
    if _LABEL.fullmatch(text):
        return ""
    return f"{text!r} is not a DNS label (lower case letters, digits and '-', at most 63 characters)"


def host_fault(text: str) -> str:
    """What is wrong with a fully qualified DNS name; a leading ``*.`` is one fault among others."""
    if len(text) > 253:
        return f"{text[:40]!r}... is longer than 253 characters"
    if is_address(text) or ":" in text:
        return f"{text!r} is an address, not a DNS name"
    parts = text.split(".")
    if not all(_LABEL.fullmatch(part) for part in parts):
        return f"{text!r} is not a DNS name"
    if len(parts) < 2:
        return f"{text!r} is not fully qualified"
    if parts[-1].isdigit():
        return f"{text!r} ends in a number, which no top-level domain is"
    return ""


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address as Go and Envoy read it: no zone, no leading zeros."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def is_single_address(text: str) -> bool:
    """Whether a network that was checked before holds one address only, written with its length or not."""
    return ipaddress.ip_network(text).num_addresses == 1


def _wildcard_host_fault(text: str) -> str:
    if not text.startswith("*."):
        return host_fault(text)
    domain = text[2:]
    return host_fault(domain) if "." in domain else f"{text!r} covers a whole top-level domain"


def _external_host_fault(text: str) -> str:
    fault = _wildcard_host_fault(text)
    return f"{fault}: it belongs into addresses, beside any name in hosts" if is_address(text) else fault


def _path_fault(text: str) -> str:
    if not _PATH.fullmatch(text):
        return f"{text!r} is not a path (it starts with '/', holds no query, no fragment and no '*')"
    if needless := _UNRESERVED.search(text):
        plain = bytes.fromhex(needless[0][1:]).decode()
        return f"{text!r} writes {plain!r} as {needless[0]}, which proxies decode before they compare"
    if "%" in _ENCODED.sub("", text):
        return f"{text!r} has a '%' that does not begin an encoded byte such as %20"
    if "//" in text or "/./" in text or "/../" in text or text.endswith(("/.", "/..")):
        return f"{text!r} is not a normalised path"
    if len(text) > 1024:
        return "the path is longer than 1024 characters"
    return ""


def _policy_path_fault(text: str) -> str:
    """A path of an AuthorizationPolicy: exact, or a prefix that ends at a segment boundary."""
    if text == "/*":
        return ""
    if text.endswith("//*"):
        return f"{text!r} is not a normalised path"
    if text.endswith("/*"):
        return _path_fault(text[:-2])
    if "*" in text:
        return f"{text!r} has a '*' that does not follow a final '/'; '/x*' would also match '/xy'"
    return _path_fault(text)


def _principal_fault(text: str) -> str:
    if text.startswith("spiffe://"):
        return f"{text!r} must be written without spiffe://"
    found = parse_principal(text)
    if (
        found is None
        or host_or_label_fault(found.trust_domain)
        or _label_fault(found.namespace)
        or service_account_fault(found.service_account)
    ):
        return f"{text!r} is not TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT without wildcards"
    return ""


def host_or_label_fault(text: str) -> str:
    """What is wrong with a trust domain or an unqualified DNS name."""
    good = len(text) <= 253 and all(_LABEL.fullmatch(part) for part in text.split("."))
    return "" if good else f"{text!r} is not a DNS name"


def service_account_fault(text: str) -> str:
    """ServiceAccounts are DNS subdomains: labels joined by dots."""
    return "" if not host_or_label_fault(text) else f"{text!r} is not a ServiceAccount name"


def _credential_fault(text: str) -> str:
    """The Secret of a gateway's certificate. istiod takes ``NAME-cacert`` for the clients' CA of NAME, which
    has to be a name as well (pilot/pkg/credentials/kube/secrets.go)."""
    if host_or_label_fault(text) or len(text) + len(CA_SUFFIX) > 253:  # apimachinery NameIsDNSSubdomain
        return f"{text!r} is not the name of a Secret"
    if text.endswith(CA_SUFFIX):
        return f"{text!r} ends in {CA_SUFFIX}, by which istiod knows the CA of clients"
    return ""


def _workload_fault(text: str) -> str:
    return "" if not host_or_label_fault(text) else f"{text!r} is not the name of a Deployment"


def _header_fault(text: str) -> str:
    if not _HEADER.fullmatch(text):
        return f"{text!r} is not an HTTP header name"
    if text.lower() == "host":
        return "the Host header is matched by 'host', not as a header"
    return ""


def _cookie_fault(text: str) -> str:
    return (
        ""
        if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", text, re.ASCII)
        else f"{text!r} is not a cookie name"
    )


def _text_fault(text: str) -> str:
    if not text or len(text) > 1024:
        return "must be 1 to 1024 characters long"
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        return "holds a control character"
    return ""


def label_key_fault(text: str) -> str:
    """What is wrong with the key of a Kubernetes label."""
    prefix, slash, name = text.rpartition("/")
    good = _LABEL_KEY.fullmatch(name) and not (slash and host_or_label_fault(prefix))
    return "" if good else f"{text!r} is not a label key"


def label_value_fault(text: str) -> str:
    """What is wrong with the value of a Kubernetes label; a selector takes no wildcard."""
    return "" if _LABEL_VALUE.fullmatch(text) else f"{text!r} is not a label value"


def _address_fault(text: str) -> str:
    return (
        ""
        if is_address(text) or not host_fault(text)
        else f"{text!r} is neither a DNS name nor an IPv4 or IPv6 address"
    )


def _network_fault(text: str) -> str:
    """An address, or a network in CIDR notation whose host part is zero."""
    if is_address(text):
        return ""
    length = _PREFIX_LENGTH.search(text)
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        network = None
    if network is None or length is None or "%" in text:
        return f"{text!r} is neither an address nor a network such as 10.1.0.0/16 or fd00::/8"
    if not network.prefixlen:
        return f"{text!r} is every address there is"
    if ipaddress.ip_address(text[: length.start()]) != network.network_address:
        return f"{text!r} has bits beyond its prefix; the network is {network}"
    return ""


def covers_all(networks: Iterable[str]) -> bool:
    """Whether networks that are good one by one are every IPv4 or every IPv6 address together."""
    found = [ipaddress.ip_network(text) for text in networks]
    four = [network for network in found if isinstance(network, ipaddress.IPv4Network)]
    six = [network for network in found if isinstance(network, ipaddress.IPv6Network)]
    lengths = [network.prefixlen for network in ipaddress.collapse_addresses(four)]
    lengths += [network.prefixlen for network in ipaddress.collapse_addresses(six)]
    return 0 in lengths


def _quantity_fault(text: str) -> str:
    return "" if _QUANTITY.fullmatch(text) else f"{text!r} is not a quantity such as 100m or 128Mi"


def amount(quantity: str) -> Decimal:
    """A quantity that was checked before, in its unit: cores, or bytes."""
    found = _QUANTITY.fullmatch(quantity)
    number, unit = (found[1], found[2] or "") if found else ("0", "")
    if unit in _BINARY:
        return Decimal(number) * Decimal(1024) ** (_BINARY.index(unit) + 1)
    # A suffix `E` alone is exa; with digits behind it, it is an exponent.
    power = _SCALES[unit] if unit in _SCALES else max(-99, min(99, int(unit[1:])))
    return Decimal(number).scaleb(power)


def is_number(text: str) -> bool:
    """Whether a text is a row of ASCII digits: Python's ``isdigit`` takes others, which ``int`` may not."""
    return text.isascii() and text.isdigit()


def _egress_host_fault(text: str) -> str:
    namespace, slash, host = text.partition("/")
    if not slash or (namespace not in (".", "*") and _label_fault(namespace)):
        return f"{text!r} is not NAMESPACE/HOST"
    if host == "*":
        return "" if namespace != "*" else "'*/*' would undo the scoping"
    return _wildcard_host_fault(host)


DURATION = Check("duration", lambda text: duration_fault(text, longest=_LONGEST))
TIMEOUT = Check("duration", lambda text: timeout_fault(text, longest=_LONGEST))
LABEL = Check("dns-label", _label_fault)
HOST = Check("dns-name", host_fault)
WILDCARD_HOST = Check("dns-name", _wildcard_host_fault)
DOMAIN = Check("dns-name", host_or_label_fault)
SERVICE_ACCOUNT = Check("service-account", service_account_fault)
CREDENTIAL = Check("dns-name", _credential_fault)
WORKLOAD = Check("dns-name", _workload_fault)
PATH = Check("path", _path_fault)
POLICY_PATH = Check("path-boundary", _policy_path_fault)
PRINCIPAL = Check("principal", _principal_fault)
HEADER = Check("header-name", _header_fault)
COOKIE = Check("cookie-name", _cookie_fault)
TEXT = Check("text", _text_fault)
REASON = Check("text", lambda text: _text_fault(text) if text.strip() else "is blank, which is no reason")
EXTERNAL_HOST = Check("dns-name", _external_host_fault)
ADDRESS = Check("address", _address_fault)
NETWORK = Check("address", _network_fault)
QUANTITY = Check("quantity", _quantity_fault)
EGRESS_HOST = Check("sidecar-host", _egress_host_fault)
