# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probe pods: short-lived pods that send a few requests with the identity of a ServiceAccount, and are gone.

An injected probe gets a Sidecar of its own that hides nothing, so that a refusal is the server's and not that
of a client which does not know the host. An un-meshed probe has no proxy at all. A probe ends by itself
(``activeDeadlineSeconds``) even when the run that made it was killed; the next run removes what is left.
"""

from __future__ import annotations

import calendar
import dataclasses
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Union

COMPONENT_LABEL = "app.kubernetes.io/component"
COMPONENT = "verify-probe"
RUN_LABEL = "servicemesh.istio/probe"
RUNNER_ANNOTATION = "servicemesh.istio/probe-runner"
SELECTOR = f"{COMPONENT_LABEL}={COMPONENT}"
CONTAINER = "probe"
MAX_BODY = 16000
MAX_CALLS = 64
"""Calls of one exec: their arguments are part of a URL, and a probe's memory is bounded."""
AT_ONCE = 8
"""Calls that one probe makes at the same time: each is a process, and all share its memory."""

# Arguments: a mark that no answer can contain, seconds a call may take, CA certificates (PEM or empty),
# then per call METHOD URL HEADERS CURL_OPTIONS, the last two joined by newlines; or SAY URL BYTES SECONDS,
# which keeps what comes back in that time, and no word of curl's own.
# AT_ONCE calls run at once. curl writes headers and body to stdout, of which the beginning is kept; the
# marked line behind them has its exit code. 23 is that of a curl whose answer was longer than what is kept.
# Words of headers and options are split at line breaks; set -f keeps a * in them from naming files.
SCRIPT = r"""
set -f
mark=$1; limit=$2; ca=$3; shift 3
dir=$(mktemp -d) || exit 1
number=0; first=0
[ -z "$ca" ] || printf '%s\n' "$ca" > "$dir/ca"
finish() {
  wait
  while [ $first -lt $number ]; do
    printf '%s\n' "$mark call $first"
    cat "$dir/$first"
    code=$(cat "$dir/$first.code")
    [ "$code" = 23 ] && code=0
    printf '\n%s\n' "$mark exit $code"
    rm -f "$dir/$first" "$dir/$first.code"
    first=$((first + 1))
  done
}
while [ $# -ge 4 ]; do
  (
    method=$1; url=$2; headers=$3; option=$4
    if [ "$method" = SAY ]; then
      { printf "$headers" | curl -sS -m "$option" -o - "$url" 2>/dev/null
        printf '%s' $? > "$dir/$number.code"; } | head -c 16000 > "$dir/$number"
      exit
    fi
    set -- -sS -i -m "$limit" --connect-timeout "$limit" --http1.1 --path-as-is -o -
    case $method in HEAD) set -- "$@" -I ;; *) set -- "$@" -X "$method" ;; esac
    [ -z "$ca" ] || set -- "$@" --cacert "$dir/ca"
    old=$IFS; IFS='
'
    for header in $headers; do set -- "$@" -H "$header"; done
    for word in $option; do set -- "$@" "$word"; done
    IFS=$old
    { curl "$@" "$url" 2>&1; printf '%s' $? > "$dir/$number.code"; } | head -c 16000 > "$dir/$number"
  ) &
  number=$((number + 1)); shift 4
  [ $((number - first)) -lt 8 ] || finish
done
finish
rm -rf "$dir"
"""


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Identity:
    """Who a probe is: a ServiceAccount inside the mesh, or (``meshed`` false) anybody outside of it."""

    namespace: str
    service_account: str
    meshed: bool = True

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service_account}" if self.meshed else "outside the mesh"


@dataclasses.dataclass(frozen=True, slots=True)
class HttpCall:
    """One request. ``headers`` are whole lines, ``curl_options`` whole words of curl's command line."""

    method: str
    url: str
    headers: tuple[str, ...] = ()
    curl_options: tuple[str, ...] = ()

    def words(self) -> tuple[str, str, str, str]:
        """The call in the probe's arguments.

        :returns: four words.
        """
        return self.method, self.url, "\n".join(self.headers), "\n".join(self.curl_options)


@dataclasses.dataclass(frozen=True, slots=True)
class StreamCall:
    """A connection over which ``said`` is sent at once, and then nothing: what comes back within ``seconds``
    is its answer. It ends with curl's exit code 28 where the other end keeps it open.

    :param address: ``HOST:PORT``. :param said: without the byte 255, which is a command of telnet.
    """

    address: str
    said: bytes = b""
    seconds: int = 1

    def words(self) -> tuple[str, str, str, str]:
        """The call in the probe's arguments, its bytes as printf(1) takes them.

        :returns: four words.
        """
        said = "".join(f"\\{byte:03o}" for byte in self.said)
        return "SAY", f"telnet://{self.address}", said, str(self.seconds)


ProbeCall = Union[HttpCall, StreamCall]  # noqa: UP007 - pylint of ansible-test takes no | here


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``status`` is 0 without an HTTP answer; ``exit_code`` is curl's, 0 for success."""

    status: int
    headers: Mapping[str, str]
    body: str
    exit_code: int
    error: str = ""


def is_probe(labels: Mapping[str, str]) -> bool:
    """Whether a pod with these labels is a probe of any run."""
    return labels.get(COMPONENT_LABEL) == COMPONENT and RUN_LABEL in labels


def command(calls: Sequence[ProbeCall], mark: str, limit: int, ca_pem: str = "") -> list[str]:
    """The command that sends ``calls`` from inside a probe, AT_ONCE at a time, each within ``limit`` seconds.

    :param mark: a random word, for ``parse_answers``: no service can guess it and so forge an answer.
    :param ca_pem: certificates to trust instead of the image's own.
    :returns: the words of an exec: a fixed script, and what varies as its arguments.
    """
    words = ["sh", "-c", SCRIPT, "probe", mark, str(limit), ca_pem]
    for call in calls:
        words += call.words()
    return words


def longest(calls: int, limit: float) -> float:
    """Seconds that ``calls`` may take in one exec."""
    return limit * -(-calls // AT_ONCE)


def parse_answers(output: str, mark: str, count: int) -> list[Answer]:
    """The answers of a probe's calls, in order; a call that left no trace has curl exit code -1.

    :returns: one per call that was sent.
    """
    found = {}
    for block in re.split(rf"^{re.escape(mark)} call ", output, flags=re.MULTILINE)[1:]:
        number, _end, text = block.partition("\n")
        if number.strip().isdigit():
            found[int(number)] = _parse_answer(text.replace("\r\n", "\n"), f"{mark} exit ")
    lost = Answer(0, {}, "", -1, "the probe left no answer")
    return [found.get(number, lost) for number in range(count)]


def is_leftover(
    metadata: Mapping[str, Any], phase: str, *, lifetime: int, alive: bool | None, now: float
) -> bool:
    """Whether a probe's run is over.

    :param alive: whether its runner lives (``runner_alive``); ``None`` when that cannot be seen from here.
    :param now: seconds since the epoch.
    """
    if phase in ("Succeeded", "Failed") or alive is False:
        return True
    born = calendar.timegm(time.strptime(metadata["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ"))
    return now - born > lifetime


def _parse_answer(text: str, verdict: str) -> Answer:
    text, _word, code = text.partition(verdict)  # the cut answer may hold it once more
    text = text.removesuffix("\n")
    code = code.rstrip().rpartition(" ")[2]
    exit_code = int(code) if code.isdigit() else -1
    status, headers, body = 0, {}, text
    # 1xx answers come before the one that counts
    while status < 200 and (found := re.match(r"HTTP/\d(?:\.\d)? (\d{3})[^\n]*\n", body)):
        status = int(found[1])
        rest = "\n" + body[found.end() :]
        head, _gap, body = rest.partition("\n\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, colon, value in (line.partition(":") for line in head.split("\n"))
            if colon
        }
    error = next((line for line in text.split("\n") if line.startswith("curl: ")), "")
    return Answer(status, headers, body[:MAX_BODY].strip(), exit_code, error[:200])
