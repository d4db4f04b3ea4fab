# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which values of an object are secrets: decided by where they stand and what their names say.

A Secret's data, what stands below a field that is called like a secret (``password``, ``client_secret``,
``privateKey``), the ``value`` beside such a ``name`` or ``key`` (environment variables, headers), the same in
command lines and in the lines of a text, private keys, passwords in URLs, and the fields that a person names.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

HIDDEN = "<hidden>"

# Shorter ones are looked for as they are: their encoded forms occur anywhere.
_LEAST_ENCODED = 4
Path = tuple[Any, ...]
"""Keys and indexes."""
Pattern = tuple[Any, ...]
"""A path in which ``None`` stands for every item."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# What a name ends with (one word, or two) when its value is a secret.
_SECRET_WORDS = frozenset(
    (
        "pass", "pwd", "psk", "otp", "keytab", "kubeconfig", "dockerconfigjson", "dockercfg",
    )
)  # fmt: skip
# The same where words are written together, as in PGPASSWORD and clientsecret.
_SECRET_ENDINGS = (
    "password", "passwd", "passphrase", "passcode", "secret", "token", "credential", "apikey", "accesskey",
    "encryptionkey", "privatekey", "secretkey", "signingkey", "basicauth", "masterauth", "keypass",
    "requirepass", "storepass",
)  # fmt: skip
# Say in which form a secret stands: passwordHash, SECRET_KEY_BASE, credentials_json, token_b64 (numbers are
# no words).
_FORMS = frozenset(
    ("b", "base", "data", "encoded", "hash", "json", "plain", "plaintext", "string", "text", "value")
)
_KEYS_OF = frozenset(
    (
        "access", "account", "api", "app", "application", "auth", "ca", "cipher", "client", "cookie", "crypt",
        "encryption", "fernet", "hmac", "host", "jwt", "license", "master", "private", "secret", "server",
        "service", "session", "shared", "signing", "ssh", "storage", "subscription", "tls", "webhook",
    )
)  # fmt: skip
# Secrets as texts; as mappings or lists they are something else (a hash by a cookie, rules for a JWT).
_SECRET_TEXTS = frozenset(("authorization", "cookie", "jwt"))
# Inline data sources of Istio and Envoy.
_SECRET_NAMES = frozenset(("inlineBytes", "inline_bytes"))
# Names that end like a secret and hold none.
_NO_SECRETS = frozenset(
    (
        "imagePullSecrets", "automountServiceAccountToken",
        "fastcgi_pass", "grpc_pass", "memcached_pass", "proxy_pass", "scgi_pass", "uwsgi_pass",  # nginx
    )
)  # fmt: skip
_COUNTS = frozenset(("count", "expiry", "length", "limit", "max", "min", "num", "size", "total", "ttl"))
_REFERENCES: tuple[tuple[str, frozenset[str]], ...] = (
    ("secret", frozenset(("secretName", "name", "items", "defaultMode", "optional"))),
    ("serviceAccountToken", frozenset(("audience", "expirationSeconds", "path"))),
    (
        "secrets",
        frozenset(("name", "namespace", "kind", "apiVersion", "uid", "resourceVersion", "fieldPath")),
    ),
)
_NAMING, _NAMED = ("name", "key", "header"), ("value", "values", "default", "defaultValue", "default_value")
_KEY_MATERIAL = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----")
_NAME = r"(?P<name>[A-Za-z_][\w.\-]*)"
_IN_TEXT = (
    re.compile(r"(?<=://)[^/\s:@\"']*:(?P<secret>[^/\s\"']+)(?=@)"),
    re.compile(r"(?<=://)(?P<secret>[^/\s:@\"']{16,})(?=@)"),
    re.compile(r"\b(?i:bearer|basic)\s+(?P<secret>[A-Za-z0-9._~+/=-]{8,})"),
    # In quotes, as JSON and TOML write it; the quotes themselves may be escaped.
    re.compile(
        rf"(?<![\w.\-])[\"']?{_NAME}[\"']?\s*[:=]\s*(?P<quote>[\"'])(?P<secret>(?:\\.|(?!(?P=quote)).)+)"
    ),
    re.compile(rf"\\+[\"']{_NAME}\\+[\"']\s*:\s*\\+[\"'](?P<secret>[^\"'\\]+)"),
    re.compile(rf"[\"']{_NAME}\\*[\"']\s*:\s*(?P<secret>\d+)"),
    re.compile(rf"(?<![\w.\-]){_NAME}=(?P<secret>[^\s&;,\"'<]+)"),
    re.compile(rf"(?<!\S)--?{_NAME}[ =][\"']?(?P<secret>[^\s\"'<-][^\s\"']*)"),
    re.compile(rf"^[ \t]*{_NAME}[:=][ \t]+(?P<secret>[^\s<].*?)\s*\Z"),
    # In braces, as YAML writes a mapping in one line.
    re.compile(rf"[{{,]\s*{_NAME}\s*:\s+(?P<secret>[^\s,}}\]\"'<{{\[][^,}}\]]*)"),
    re.compile(rf"<{_NAME}>(?P<secret>[^<]+)</"),
    re.compile(r"(?<!\S)(?:-u|--user)[ =][\"']?[^\s:\"']+:(?P<secret>[^\s\"']+)"),  # curl
    re.compile(r"\blogin\s+\S+\s+password\s+(?P<secret>\S+)"),  # .netrc
    re.compile(r"\b(?P<secret>eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)"),
    # Tokens that say what they are: GitHub, GitLab, Slack, Stripe, Docker, npm, Vault, Google, SendGrid.
    re.compile(
        r"\b(?P<secret>(?:gh[oprsu]_|github_pat_|glpat-|xox[a-z]-|[rs]k_live_|dckr_pat_|npm_|hvs\.|AIza|SG\.)"
        r"[\w.\-]{16,})"
    ),
    re.compile(r"(?<=//hooks\.slack\.com/)(?P<secret>[\w/]{16,})"),
)
_FLAG = re.compile(r"--?(?P<name>[A-Za-z][\w.-]*)(?P<value>=.*)?", re.DOTALL)
_LINES = (
    re.compile(
        rf"^[ \t\-]*(?:export\s+)?[\"']?{_NAME}[\"']?[ \t]*[:=][ \t]*(?P<secret>\S.*?)[ \t\r]*,?$",
        re.MULTILINE,
    ),
    # redis.conf and the like: a word and its value
    re.compile(rf"^[ \t]*{_NAME}[ \t]+(?P<secret>\S+)[ \t\r]*$", re.MULTILINE),
)
_STEP = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")


def is_secret_name(name: str) -> bool:
    """Whether a field, variable, header or option of this name holds a secret, such as ``API_KEY``."""
    return name in _SECRET_NAMES or (name not in _NO_SECRETS and _ending(name) == "secret")


def _hides(name: str) -> bool:
    """Whether a text of this name is a secret."""
    return is_secret_name(name) or _ending(name) == "text"


def _ending(name: str) -> str:
    """``secret``, ``text`` (a secret only if it is a text) or nothing, by the last words of a name."""
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in _FORMS):
        words.pop()
    if not words:
        return ""
    last = words[-1]
    spellings = (last, last.removesuffix("s"))
    if any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDINGS) for word in spellings):
        return "secret"
    if last in ("key", "keys") and len(words) > 1 and words[-2] in _KEYS_OF:
        return "secret"
    return "text" if last in _SECRET_TEXTS else ""


def pattern_of(text: str) -> Pattern:
    """A person's ``spec.values[0].pin``; ``[*]`` is every item, ``[a.b]`` a key with a dot.

    :returns: its steps; ``None`` for every item. :raises ValueError: it is no such path.
    """
    steps: list[str | int | None] = []
    position = 0
    for found in _STEP.finditer(text):
        if text[position : found.start()] not in ("", "."):
            break
        position = found.end()
        plain, inside = found.groups()
        if plain is not None:
            steps.append(plain)
        else:
            steps.append(None if inside in ("", "*") else int(inside) if inside.isdigit() else inside)
    if not steps or position != len(text):
        raise ValueError(f"'{text}' is no path of a field such as spec.values[0].pin")
    return tuple(steps)


def secret_parts(obj: Any, named: Sequence[Pattern] = ()) -> dict[Path, str]:
    """What of an object must not be shown.

    :param named: fields that a person calls secret, whatever they hold.
    :returns: path -> what is shown instead of the value there (``<hidden>``, or a text with holes).
    """
    return {path: shown for path, shown, _unused in _Walk(named).object(obj)}


def secret_values(obj: Any, named: Sequence[Pattern] = ()) -> set[str]:
    """The secrets of an object as texts, also as they look encoded or decoded.

    :returns: texts that nobody may read.
    """
    found: set[str] = set()
    for _path, _shown, pieces in _Walk(named).object(obj):
        for piece in pieces:
            found |= _spellings(piece)
    return found


def header_secrets(values: Iterable[str]) -> set[str]:
    """What a server may quote of headers with credentials, as they look encoded or decoded.

    :param values: of the headers, such as ``Basic eDp5``.
    :returns: texts that nobody may read: the values, what follows their scheme, and the password of a user.
    """
    found: set[str] = set()
    for value in values:
        scheme, _space, rest = value.strip().partition(" ")
        told = _spellings(value) | _spellings(rest.strip())
        if scheme.lower() == "basic":
            told |= {one.partition(":")[2] for one in told if ":" in one}
        found |= told
    return {one for one in found if one.strip()}


def without_secrets(text: str) -> str:
    """A text from elsewhere with holes where it looks like a secret: tokens, keys, ``password=...``."""
    words = text.split(" ")
    parts = secret_parts(words)
    joined = " ".join(parts.get((index,), word) for index, word in enumerate(words))
    return _masked(f"{joined}\n")[0].removesuffix("\n")


def masked(text: str) -> str:
    """A text of an object with holes where it looks like a secret; as it is where it does not."""
    return _masked(text)[0]


def _spellings(text: str) -> set[str]:
    """A secret as it may occur elsewhere: in base64, decoded, line by line."""
    found = {text}
    if len(text) >= _LEAST_ENCODED:
        found.add(base64.b64encode(text.encode(errors="replace")).decode())
    try:
        plain = base64.b64decode(text, validate=True).decode()
        found |= {plain, *plain.splitlines()} if plain.isprintable() or "\n" in plain else set()
    except (binascii.Error, ValueError):
        pass
    found |= {line.strip() for line in text.splitlines() if len(line.strip()) > 3}
    return {one for one in found if one.strip()}


_Found = Iterator[tuple[Path, str, list[str]]]


class _Walk:
    """Yields place, what is shown there, and the hidden texts, of every secret."""

    def __init__(self, named: Sequence[Pattern]) -> None:
        self._named = named

    def object(self, obj: Any) -> _Found:
        if not isinstance(obj, Mapping):
            yield from self.value(obj, (), "", below=False)
            return
        is_secret, is_schema = obj.get("kind") == "Secret", obj.get("kind") == "CustomResourceDefinition"
        if is_schema and not self._named:
            return  # names of fields, no values
        for field in ("data", "stringData") if is_secret else ():
            if field in obj:
                yield from self.value(obj[field], (field,), field, below=True)
        rest = {
            key: value for key, value in obj.items() if not is_secret or key not in ("data", "stringData")
        }
        yield from self._mapping(rest, (), "", below=False)

    def value(self, value: Any, path: Path, name: str, *, below: bool) -> _Found:
        if any(_matches(pattern, path) for pattern in self._named):
            yield path, HIDDEN, list(_leaves(value))
        elif isinstance(value, Mapping):
            yield from self._mapping(value, path, name, below=below)
        elif isinstance(value, list):
            yield from self._list(value, path, name, below=below)
        elif below:
            if _can_be_secret(value, name):
                yield path, HIDDEN, [str(value)]
        elif isinstance(value, str):
            shown, pieces = _masked(value)
            if pieces:
                yield path, shown, pieces

    def _mapping(self, value: Mapping[str, Any], path: Path, name: str, *, below: bool) -> _Found:
        if below and _is_reference(value, name):
            below = False
        labels = [value[key] for key in _NAMING if isinstance(value.get(key), str)]
        beside = any(is_secret_name(label) or _ending(label) == "text" for label in labels)
        for key, item in value.items():
            ending = _ending(str(key))
            inside = (
                below
                or is_secret_name(str(key))
                or (beside and key in _NAMED)
                or (ending == "text" and isinstance(item, str))
            )
            yield from self.value(item, (*path, str(key)), str(key), below=inside)

    def _list(self, value: Sequence[Any], path: Path, name: str, *, below: bool) -> _Found:
        follows = False
        for index, item in enumerate(value):
            place = (*path, index)
            flag = _FLAG.fullmatch(item) if isinstance(item, str) else None
            if follows and isinstance(item, str):
                yield place, HIDDEN, [item]
            elif flag and flag["value"] and not below and is_secret_name(flag["name"]):
                yield place, f"{item[: flag.start('value')]}={HIDDEN}", [flag["value"][1:]]
            else:
                yield from self.value(item, place, name, below=below)
            follows = flag is not None and flag["value"] is None and is_secret_name(flag["name"])


def _matches(pattern: Pattern, path: Path) -> bool:
    return len(pattern) == len(path) and all(
        wanted is None or wanted == step or str(wanted) == step
        for wanted, step in zip(pattern, path, strict=True)
    )


def _is_reference(value: Mapping[str, Any], name: str) -> bool:
    """Whether a mapping says where a secret is, and not what it is."""
    if "sds_config" in value or "sdsConfig" in value:
        return True
    return any(name == field and value.keys() <= keys for field, keys in _REFERENCES)


def _can_be_secret(value: Any, name: str) -> bool:
    if value is None or isinstance(value, bool) or value == "":
        return False
    words = {word.lower() for word in _WORDS.findall(name)}
    return isinstance(value, str) or not words & _COUNTS


def _masked(text: str) -> tuple[str, list[str]]:
    """A text with holes where it holds secrets, and these."""
    if _KEY_MATERIAL.search(text):
        return HIDDEN, [text]
    pieces: list[str] = []

    def hole(found: re.Match[str]) -> str:
        name = found["name"] if "name" in found.re.groupindex else None
        if found["secret"].startswith(HIDDEN) or not (name is None or _hides(name)):
            return found[0]
        begin = found.start()
        pieces.append(found["secret"])
        return f"{found[0][: found.start('secret') - begin]}{HIDDEN}{found[0][found.end('secret') - begin :]}"

    patterns = (*_IN_TEXT, *_LINES) if "\n" in text.strip() else _IN_TEXT
    for pattern in patterns:
        text = pattern.sub(hole, text)
    return text, [piece for piece in pieces if piece != HIDDEN]


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
