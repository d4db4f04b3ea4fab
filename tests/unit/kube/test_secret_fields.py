"""Which values are secrets, by where they stand; and that nothing else is blanked."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.comparison import for_display
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.secret_fields import (
    HIDDEN,
    header_secrets,
    is_secret_name,
    masked,
    pattern_of,
    secret_parts,
    secret_values,
    without_secrets,
)

S = "hunter2-planted"


def shown(spec: Any, *fields: str, kind: str = "EnvoyFilter") -> Any:
    obj = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "n"}, "spec": spec}
    _none, after = for_display(None, obj, [pattern_of(field) for field in fields])
    return after["spec"]


@pytest.mark.parametrize(
    "name",
    [
        "password", "Password", "db_password", "dbPassword", "adminPassword", "passwd", "passphrase", "token",
        "bearer_token", "accessToken", "API_TOKEN", "API_KEY", "apiKey", "APIKey", "apikey", "x-api-key",
        "client_secret", "clientSecret", "client-secret", "secret", "secrets", "credentials", "privateKey",
        "private_key", "tls.key", "ssh-key", "signingKey", "encryption_keys", "AWS_SECRET_ACCESS_KEY",
        "inlineBytes", "inline_bytes", "PASSWORD_1", "password2", "kubeconfig", ".dockerconfigjson",
        "GF_SECURITY_ADMIN_PASSWORD", "hmac_secret", "storageAccountKey", "webhookKey",
        "PGPASSWORD", "SMTP_PASS", "RABBITMQ_DEFAULT_PASS", "pass", "adminpassword", "clientsecret",
        "authtoken", "privatekey", "secretkey", "AZURE_STORAGE_KEY", "APP_KEY", "SECRET_KEY_BASE",
        "passwordHash", "credentials_json", "client-key-data", "requirepass", "masterauth", "tokenValue",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "secretName", "secretKeyRef", "secretRef", "imagePullSecrets", "automountServiceAccountToken", "key",
        "keys", "name", "tokenReview", "credentialName", "passwordFile", "token_bucket", "tokens_per_fill",
        "caBundle", "publicKey", "host", "serviceAccountName", "secretTypes", "monkey", "hockey", "tokenizer",
        "authorization", "cookie", "", "42", "JWT_POLICY", "trustDomain", "foreign_key", "primary-key",
        "bypass", "compass", "topologyKey", "pod-template-hash", "TOKEN_URL", "data", "value",
        "ssl-passthrough",
    ],
)  # fmt: skip
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "spec",
    [
        {"password": S},
        {"password": 20_26_11},
        {"password": [S, {"a": S}]},
        {"password": {"inline": {"deep": [S]}}},
        {"privateKey": {"inline_string": S}},
        {"a": [{"client_secret": S}]},
        {"env": [{"name": "DB_PASSWORD", "value": S}]},
        {"env": [{"value": S, "name": "apiToken"}]},
        {"headers": [{"key": "Authorization", "value": f"Basic {S}"}]},
        {"header": {"key": "cookie", "value": S}},
        {"when": [{"key": "request.headers[x-token]", "values": [S]}]},
        {"set": {"authorization": S}},
        {"set": {"x-api-key": S}},
        {"args": ["--password", S, "x"]},
        {"args": [f"--client-secret={S}"]},
        {"command": ["sh", "-c", f"curl https://me:{S}@host/"]},
        {"url": f"redis://:{S}@redis:6379"},
        {"value": f"Bearer {S}"},
        {"text": f"a: 1\npassword: {S}\n"},
        {"text": f'{{"a": 1, "password": "{S}"}}'},
        {"url": f"https://host/path?a=1&access_token={S}&b=2"},
        {"dsn": f"host=db user=me password={S} dbname=x"},
        {"text": f"[security]\nadmin_password = {S}\n"},
        {"text": f"export API_TOKEN='{S}'\nx\n"},
        {"text": f'{{\n "clientSecret": "{S}",\n "a": 1\n}}'},
        {"text": "x\n-----BEGIN RSA PRIVATE KEY-----\n" + S},
        {"jwt": f"eyJhbGciOiJI.{S}.abc"},
        {"any": f"eyJhbGciOiJI.eyJzdWIiOiIx.{S}"},
        {"url": f"https://me:p@{S}@host/"},
        {"url": f"https://token-{S}@host/repo.git"},
        {"text": f'{{"password": "a\\"{S}"}}'},
        {"text": json.dumps({"inner": json.dumps({"password": S})})},
        {"text": '{"password": 202611}', "token": S},
        {"text": f"password = 'the {S}'"},
        {"text": f"password: {S}"},
        {"text": f"Authorization: token {S}"},
        {"text": f"mysql --password {S} shop"},
        {"text": f"mysql --password={S} shop"},
        {"text": f"curl -u me:{S} https://host"},
        {"text": f"port 6379\nrequirepass {S}\n"},
        {"text": f"machine host login me password {S}"},
        {"text": f"<server><password>{S}</password></server>"},
        {"text": f"ghp_{S}0123456789"},
        {"text": f"header: {{host: a, x-api-token: {S}}}"},
        {"url": f"https://hooks.slack.com/services/T00/B00/{S.replace('-', 'x')}", "token": S},
    ],
)
def test_secrets_are_blank_wherever_they_stand(spec: Any) -> None:
    text = json.dumps(shown(spec))
    assert S not in text
    assert "202611" not in text
    assert HIDDEN in text


ORDINARY: list[Any] = [
    {
        "volumes": [
            {"secret": {"secretName": "certs", "defaultMode": 420, "items": [{"key": "a", "path": "b"}]}}
        ]
    },
    {"projected": [{"serviceAccountToken": {"audience": "istio-ca", "path": "istio-token"}}]},
    {"projected": [{"secret": {"name": "certs", "optional": True}}]},
    {"secrets": [{"name": "default-token"}], "imagePullSecrets": [{"name": "regcred"}]},
    {"token_secret": {"name": "x", "sds_config": {"path_config_source": {"path": "/etc/x"}}}},
    {"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]},
    {"env": [{"name": "MODE", "value": "production"}]},
    {"token_bucket": {"max_tokens": 100, "tokens_per_fill": 10, "fill_interval": "1s"}},
    {"consistentHash": {"httpCookie": {"name": "user", "ttl": "0s"}}},
    {"fromHeaders": [{"name": "x-jwt-token", "prefix": "Bearer "}]},
    {"automountServiceAccountToken": False, "password": None, "token": ""},
    {"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a"]}]}},
    {"text": "one: two\nthe password is secret: ask\nname: x\n"},
    {"uri": "https://host/path?x=1", "at": "me@example.com", "image": "r/a@sha256:abc"},
    {"args": ["--port", "80", "--log-level=debug"]},
    {"keys": ["a"], "key": "k"},
    {"text": "location / {\n  proxy_pass http://backend;\n}\n"},
    {"image": "repository/db-secret:1.2", "other": "db-token:1.2.3"},
    {"url": "https://host:8080/a@b", "ssh": "ssh://git@host/a"},
    {"args": ["--token-file", "/var/run/token", "-v"], "text": "run --secret-name db --wait"},
]


@pytest.mark.parametrize("spec", ORDINARY)
def test_what_is_no_secret_is_shown(spec: Any) -> None:
    assert shown(spec) == spec


KEYS_OF = [
    "access", "account", "api", "app", "application", "auth", "ca", "cipher", "client", "cookie", "crypt",
    "encryption", "fernet", "hmac", "host", "jwt", "license", "master", "private", "secret", "server",
    "service", "session", "shared", "signing", "ssh", "storage", "subscription", "tls", "webhook",
]  # fmt: skip
ENDINGS = [
    "password", "passwd", "passphrase", "passcode", "secret", "token", "credential", "apikey", "accesskey",
    "encryptionkey", "privatekey", "secretkey", "signingkey", "basicauth", "masterauth", "keypass",
    "requirepass", "storepass",
]  # fmt: skip
FORMS = [
    "base", "b64", "data", "encoded", "hash", "json", "plain", "plaintext", "string", "text", "value",
]  # fmt: skip
WORDS = ["pass", "pwd", "psk", "otp", "keytab", "kubeconfig", "dockerconfigjson", "dockercfg"]


def test_every_word_that_makes_a_name_one_of_a_secret() -> None:
    names = [f"{word}_key" for word in KEYS_OF] + [f"{word}Keys" for word in KEYS_OF]
    names += [f"my{ending}" for ending in ENDINGS] + [f"my-{ending}s" for ending in ENDINGS]
    names += [f"password_{form}" for form in FORMS] + WORDS + [f"{word}s" for word in WORDS]
    assert [name for name in names if not is_secret_name(name)] == []
    others = [f"my{word}" for word in WORDS] + [f"{form}_key" for form in FORMS] + ["x_key", "key_api"]
    others += [f"{name}_pass" for name in ("fastcgi", "grpc", "memcached", "proxy", "scgi", "uwsgi")]
    assert [name for name in others if is_secret_name(name)] == []


COUNTS = ["count", "expiry", "length", "limit", "max", "min", "num", "size", "total", "ttl"]


def test_numbers_below_a_secrets_name_that_count_something_are_shown() -> None:
    spec = {"credentials": {f"token_{word}": 3600 for word in COUNTS} | {"refreshMax": 9}}
    assert shown(spec) == spec
    texts = {"credentials": {f"a_{word}": S for word in COUNTS}}
    assert shown(texts) == {"credentials": dict.fromkeys(texts["credentials"], HIDDEN)}
    assert shown({"credentials": {"pin": 3600}}) == {"credentials": {"pin": HIDDEN}}


@pytest.mark.parametrize("naming", ["name", "key", "header"])
@pytest.mark.parametrize("label", ["DB_PASSWORD", "authorization"])
def test_every_field_that_stands_beside_a_secrets_name(naming: str, label: str) -> None:
    fields = dict.fromkeys(("value", "values", "default", "defaultValue", "default_value"), "x9")
    found = shown({"a": [{naming: label, **fields, "other": "x9"}]})
    assert found == {"a": [{naming: label, **dict.fromkeys(fields, HIDDEN), "other": "x9"}]}


def test_whatever_refers_to_a_secret_and_holds_none() -> None:
    secret = {"secretName": "a", "name": "a", "items": ["a"], "defaultMode": 1, "optional": "a"}
    token = {"audience": "a", "expirationSeconds": 1, "path": "a"}
    named = ("name", "namespace", "kind", "apiVersion", "uid", "resourceVersion", "fieldPath")
    spec = {"secret": secret, "serviceAccountToken": token, "secrets": [dict.fromkeys(named, "a")]}
    spec["token"] = {"sdsConfig": "a", "other": "b"}
    assert shown(spec) == spec
    spec = {"secret": {**secret, "pin": "a"}}
    assert shown(spec) == {"secret": {**dict.fromkeys(secret, HIDDEN), "items": [HIDDEN], "pin": HIDDEN}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://u:%s@h/", "https://u:*@h/"),
        ("https://token-%s@h/", "https://*@h/"),
        ("https://short-name@h/", None),
        ("Bearer %s!", "Bearer *!"),
        ("basic  %s", "basic  *"),
        ("a token = 'x\\'%s' b", "a token = '*' b"),
        ('{\\"token\\": \\"%s\\"}', '{\\"token\\": \\"*\\"}'),
        ("{'token': nan, 'x': 123}", None),
        ("{'token': 123}", "{'token': *}"),
        ("x&token=%s&b=c", "x&token=*&b=c"),
        ("run --token %s -v", "run --token * -v"),
        ("run -token=%s", "run -token=*"),
        ("{a: b, token: %s}", "{a: b, token: *}"),
        ("{token: %s, a: b}", "{token: *, a: b}"),
        ("<token>%s</token>", "<token>*</token>"),
        ("curl -u me:%s x", "curl -u me:* x"),
        ("curl --user=me:%s x", "curl --user=me:* x"),
        ("machine a login b password %s macdef", "machine a login b password * macdef"),
        ("at eyJhbGciOiJI.eyJzdWIiOiIx.c2ln end", "at * end"),
        *[
            (f"at {sign}0123456789abcdef end", "at * end")
            for sign in (
                "gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_", "glpat-", "xoxb-", "rk_live_",
                "sk_live_", "dckr_pat_", "npm_", "hvs.", "AIza", "SG.",
            )
        ],
        ("//hooks.slack.com/services/T00/B00", "//hooks.slack.com/*"),
        ("port 1\nmasterauth %s\nb c\n", "port 1\nmasterauth *\nb c\n"),
        ("a: b\n- export token: %s,\nc: d\n", "a: b\n- export token: *,\nc: d\n"),
    ],
)  # fmt: skip
def test_every_spelling_of_a_secret_in_a_text(text: str, expected: str | None) -> None:
    text = text.replace("%s", S)
    assert masked(text) == (text if expected is None else expected.replace("*", HIDDEN))


def test_a_schema_names_secrets_and_holds_none() -> None:
    spec = {"properties": {"password": {"type": "string", "description": "words"}}}
    assert shown(spec, kind="CustomResourceDefinition") == spec


def test_what_stays_visible_beside_a_secret() -> None:
    assert shown({"url": f"redis://me:{S}@redis:6379/0"}) == {"url": f"redis://me:{HIDDEN}@redis:6379/0"}
    assert shown({"args": ["a", f"--token={S}"]}) == {"args": ["a", f"--token={HIDDEN}"]}
    text = f"user: me\npassword: {S}\nport: 1\n"
    assert shown({"t": text}) == {"t": f"user: me\npassword: {HIDDEN}\nport: 1\n"}


def test_a_secret_in_a_text_that_changed_shows_that_it_changed() -> None:
    def obj(password: str, port: int) -> dict[str, Any]:
        text = f"password: {password}\nport: {port}\n"
        return {"kind": "ConfigMap", "metadata": {}, "data": {"t": text}}

    _old, new = for_display(obj("a", 1), obj("b", 1))
    assert new["data"]["t"] == "password: <hidden, changed>\nport: 1\n"
    _old, new = for_display(obj("a", 1), obj("a", 2))
    assert new["data"]["t"] == f"password: {HIDDEN}\nport: 2\n"


class TestFieldsThatAPersonNames:
    def test_paths(self) -> None:
        assert pattern_of("spec.values[0].pin") == ("spec", "values", 0, "pin")
        assert pattern_of("data[app.ini]") == ("data", "app.ini")
        assert pattern_of("a[*].b") == pattern_of("a[].b") == ("a", None, "b")
        assert pattern_of("[a.b/c].d") == ("a.b/c", "d")

    @pytest.mark.parametrize("text", ["", ".", "a..b", "a[", "a]b", "a[0", "[0]]", "a."])
    def test_what_is_no_path(self, text: str) -> None:
        with pytest.raises(ValueError, match="is no path of a field"):
            pattern_of(text)

    def test_they_are_blank_whatever_they_hold(self) -> None:
        spec = {"pin": 1234, "deep": {"a": [S]}, "list": [{"id": S, "b": 1}, {"id": S}], "open": S[:6]}
        found = shown(spec, "spec.pin", "spec.deep", "spec.list[*].id")
        assert found == {
            "pin": HIDDEN,
            "deep": HIDDEN,
            "list": [{"id": HIDDEN, "b": 1}, {"id": HIDDEN}],
            "open": S[:6],
        }
        assert shown({"list": [S, "b"]}, "spec.list[1]") == {"list": [S, HIDDEN]}
        assert shown({"other": S}, "spec.pin") == {"other": S}

    def test_all_that_they_hold_is_hidden_elsewhere_too(self) -> None:
        spec = {"deep": [{"a": "one-1"}, ["two-2", 12345, None, True]], "empty": None}
        found = secret_values({"spec": spec}, [pattern_of("spec.deep"), pattern_of("spec.empty")])
        assert {one for one in found if not one.endswith("=")} == {"one-1", "two-2", "12345"}

    def test_a_change_below_shows_as_a_change(self) -> None:
        def obj(value: Any) -> dict[str, Any]:
            return {"kind": "X", "metadata": {}, "spec": {"deep": value}}

        fields = [pattern_of("spec.deep")]
        assert for_display(obj({"a": 1}), obj({"a": 2}), fields)[1]["spec"] == {"deep": "<hidden, changed>"}
        assert for_display(obj({"a": 1}), obj({"a": 1}), fields)[1]["spec"] == {"deep": HIDDEN}

    def test_also_in_a_schema(self) -> None:
        spec = {"a": {"default": S}}
        assert shown(spec, "spec.a.default", kind="CustomResourceDefinition") == {"a": {"default": HIDDEN}}


def test_secrets_in_all_their_spellings() -> None:
    encoded = base64.b64encode(S.encode()).decode()
    secret = {
        "kind": "Secret",
        "metadata": {"name": "n"},
        "data": {"a": encoded},
        "stringData": {"b": "x\ny"},
    }
    assert {S, encoded, "x\ny"} <= secret_values(secret)
    assert secret_values({"kind": "ConfigMap", "data": {"a": S}}) == set()
    named = secret_values({"kind": "X", "spec": {"pin": 123456}}, [pattern_of("spec.pin")])
    assert "123456" in named
    assert secret_values(None) == set()
    assert S in secret_values({"token": S})
    assert secret_values({"token": "   "}) == set(), "blanks would be taken out of everything"
    assert secret_values([{"password": S}]) >= {S}


@pytest.mark.parametrize(
    ("plain", "spelled"),
    [
        (b"pin", {"pin"}),
        (b"pin\nof\r\n ", {"pin\nof\r\n ", "pin", "of"}),  # each line, however short: somebody may print it
        (b"a\tb", set()),  # no text of a person, and its letters occur anywhere
        (b"a\tb\n", {"a\tb\n", "a\tb"}),
        (b"\xff\xfe\n", set()),
        (b"   ", set()),
    ],
)
def test_what_a_secret_in_base64_says_is_secret_too(plain: bytes, spelled: set[str]) -> None:
    encoded = base64.b64encode(plain).decode()
    twice = base64.b64encode(encoded.encode()).decode()
    secret = {"kind": "Secret", "data": {"a": encoded}}
    assert secret_values(secret) == {encoded, twice, *spelled}


@pytest.mark.parametrize(
    "line",
    [
        f"error: token {S}: password={S}",
        f"login failed for --client-secret {S}",
        f"GET https://u:{S}@idp/ failed",
        f"Authorization: Bearer {S}",
        f"API_TOKEN={S} is wrong",
    ],
)
def test_a_line_of_a_program_is_shown_without_its_secrets(line: str) -> None:
    found = without_secrets(line)
    assert S not in found.replace(f"token {S}:", "")


def test_parts_have_paths() -> None:
    obj = {"kind": "X", "spec": [{"password": S}, {"env": [{"name": "TOKEN", "value": S}]}]}
    assert set(secret_parts(obj)) == {("spec", 0, "password"), ("spec", 1, "env", 0, "value")}


def test_every_shape_is_walked_without_a_defect() -> None:
    for text in ("null", "5", "[]", "{}", "[[[1]]]", "{kind: Secret, data: [1]}", "{kind: Secret, data: x}"):
        obj = yaml.safe_load(text)
        secret_parts(obj)
        secret_values(obj)
    url = {"url": f"https://me:{S}@host/"}
    for field in ("data", "stringData"):
        assert secret_parts({"kind": "Secret", field: url}) == {(field, "url"): HIDDEN}, "all of it"
    assert secret_parts({"kind": "Secret", "data": {"pin": 123456}}) == {("data", "pin"): HIDDEN}
    assert secret_parts({"kind": "Secret", "data": S}) == {("data",): HIDDEN}


def test_what_may_be_quoted_of_headers() -> None:
    """Of a Bearer token and of a user's password (printf 'me:word' | base64)."""
    found = header_secrets(["Bearer token-1", "Basic bWU6d29yZA==", "plain"])
    assert found >= {"token-1", "bWU6d29yZA==", "me:word", "word", "plain"}
    assert not found & {"Bearer", "Basic", "me", ""}
    assert base64.b64encode(b"token-1").decode() in found
    assert header_secrets(["", " "]) == set()
