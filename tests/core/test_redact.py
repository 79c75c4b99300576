"""What a secret looks like, what does not, and that no text takes long to search."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2g.core.errors import InputError
from m2g.core.redact import HIDDEN, find_secrets, is_secret_value, redact, redact_bytes, redact_named
from tests.support.machine import seconds

pytestmark = pytest.mark.attack

HUSH = "hush7Secret"
HEX = "0123456789abcdef" * 4
ABC = "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789" * 4

IN_URLS = {
    "user and password": f"https://ada:{HUSH}@host/x",
    "an @ in the password": f"https://ada:p@ss@{HUSH}@host/x",
    "a slash in the password": f"https://ada:p/{HUSH}@host/x",
    "a question mark and a hash in it": f"https://ada:p?{HUSH}#{HUSH}@host/x",
    "no user": f"redis://:{HUSH}@host/0",
    "a token as user": f"https://{HUSH}@github.com/acme/models",
    "in capitals": f"HTTPS://ada:{HUSH}@host/x",
    "without a scheme": f"//ada:{HUSH}@host/x",
    "pip's form": f"git+https://ada:{HUSH}@host/x.git@v1#egg=x",
    "a database": f"postgresql+psycopg2://ada:{HUSH}@host:5432/db",
    "a container with a password": f"wasbs://models:{HUSH}@acme.blob.core.windows.net/x",
    "with escaped slashes": rf"https:\/\/ada:{HUSH}@host\/x",
    "percent-encoded in another URL": f"https://sso/?next=https%3A%2F%2Fada%3A{HUSH}%40host%2Fx",
    "Azure's signature": f"https://acme.blob.core.windows.net/c/p?sv=2022-11-02&sig={HUSH}%2Bx%3D&se=2030",
    "S3's signature": f"https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature={HUSH}&X-Amz-Expires=9",
    "S3's older signature": f"https://b.s3.amazonaws.com/k?AWSAccessKeyId=A&Expires=9&Signature={HUSH}",
    "S3's session": f"https://b.s3.amazonaws.com/k?X-Amz-Security-Token={HUSH}",
    "Google's signature": f"https://storage.googleapis.com/b/k?X-Goog-Signature={HUSH}",
    "CloudFront's signature": f"https://d1.cloudfront.net/k?Policy=x&Signature={HUSH}&Key-Pair-Id=K",
    "a token in a query": f"https://host/x?access_token={HUSH}",
    "a token in a matrix parameter": f"https://host/x;token={HUSH}",
    "a signature in an encoded URL": f"https://sso/?next=https%3A%2F%2Fhost%2Fx%3Fsig%3D{HUSH}%26se%3D1",
    "Oracle": f"jdbc:oracle:thin:ada/{HUSH}@host:1521:x",
    "JDBC": f"jdbc:postgresql://host/db?user=ada&password={HUSH}",
}
IN_TEXT = {
    "an option": f"train.py --password {HUSH} --lr 0.1",
    "an option with =": f"train.py --db-password={HUSH}",
    "a variable of PostgreSQL": f"PGPASSWORD={HUSH} psql -h host",
    "an option of curl": f"curl -s -u ada:{HUSH} https://host/x",
    "a property": f"spring.datasource.password={HUSH}",
    "YAML": f"db_password: '{HUSH}'",
    "JSON": f'{{"clientSecret": "{HUSH}", "x": 1}}',
    "a connection string": f"Server=x;User Id=sa;Password={HUSH};",
    "an account key": f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={HUSH}+/==;EndpointSuffix=y",
    "a cloud key": f"aws_secret_access_key = {HUSH}",
    "a bare signature": f"sv=2022&sig={HUSH}{HUSH}{HUSH}",
    "a header": f"Authorization: Bearer {HUSH}",
    "a private key": f"-----BEGIN PRIVATE KEY-----\n{HUSH}+/=\n-----END PRIVATE KEY-----",
    "an encrypted key": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"
    f"{HUSH}\n-----END RSA PRIVATE KEY-----",
    "a key that is cut": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{HUSH}",
    "a service account": rf'{{"private_key": "-----BEGIN PRIVATE KEY-----\n{HUSH}\n-----END PRIVATE KEY-----\n"}}',
}
WITH_SECRETS = IN_URLS | IN_TEXT
TOKENS = {
    "AWS": "AKIA" + HEX[:16].upper(),
    "AWS, temporary": "ASIA" + HEX[:16].upper(),
    "AWS Bedrock": "ABSK" + ABC[:110],
    "Google": "AIza" + ABC[:35],
    "Google OAuth": "ya29." + ABC[:60],
    "Google client": "GOCSPX-" + ABC[:28],
    "Azure client": "aB3" + "8Q~" + ABC[:34],
    "Azure storage": ABC[:76] + "+ASt" + "aBcDeF==",
    "Azure DevOps": ABC[:76] + "AZDO" + "1a2B",
    "GitHub": "ghp_" + ABC[:36],
    "GitHub, of a job": "ghs_" + ABC[:36],
    "GitHub, fine-grained": "github_pat_" + ABC[:82],
    "GitLab": "glpat-" + ABC[:20],
    "GitLab, deployment": "gldt-" + ABC[:20],
    "Bitbucket": "ATBB" + ABC[:32],
    "Atlassian": "ATATT3" + ABC[:100],
    "Hugging Face": "hf_" + ABC[:34],
    "Hugging Face, organisation": "api_org_" + ABC[:34],
    "Slack": "xoxb-" + "1234567890-" + ABC[:24],
    "Slack, app": "xapp-" + "1-" + ABC[:40],
    "Databricks": "dapi" + HEX[:32],
    "JWT": f"eyJ{ABC[:30]}.eyJ{ABC[:60]}.{ABC[:43]}",
    "JWT without signature": f"eyJ{ABC[:30]}.eyJ{ABC[:60]}.",
    "OpenAI": "sk-" + "proj-" + ABC[:48],
    "Anthropic": "sk-" + "ant-api03-" + ABC[:48],
    "npm": "npm_" + ABC[:36],
    "PyPI": "pypi-" + ABC[:100],
    "Docker": "dckr_" + "pat_" + ABC[:27],
    "Vault": "hvs." + ABC[:90],
    "NVIDIA": "nvapi-" + ABC[:64],
}
ORDINARY = (
    "wine-quality",
    "team/wine quality v2 🍷",
    "sk-learn-random-forest-model-v2-for-everybody-who-wants-one",
    "hf_model",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    HEX,
    "m-" + HEX[:32],
    f"sha256:{HEX}",
    f"oci://ghcr.io/acme/wine:1@sha256:{HEX}",
    f"oci://wine:1@sha256:{HEX}",
    f"ghcr.io/acme/wine:1@sha256:{HEX}",
    "s3://bucket/1/models/m-1/artifacts/",
    "gs://bucket/path@v1",
    "wasbs://container@account.blob.core.windows.net/path",
    "abfss://container@account.dfs.core.windows.net/path",
    "r2://bucket@account.r2.cloudflarestorage.com/path",
    "mlflow-artifacts:/1/abc/artifacts/model",
    "mlflow-artifacts://host:5000/1/abc",
    "https://account.blob.core.windows.net/container/path",
    "ssh://git@github.com/acme/models.git",
    "git+ssh://git@github.com/acme/models.git@v1",
    "git@github.com:acme/models.git",
    "https://github.com/acme/models@v1",
    "https://medium.com/@ada/a-story",
    "http://[::1]:5000/x@y",
    "http://host:8080/x@y",
    "sqlite:///C:/models/mlflow@2.db",
    "https://host/?q=key&page_token=3&max_results=9&monkey=1",
    "models:/wine@champion",
    "the password is wrong, so set another one",
    "password: ${DB_PASSWORD}",
    "password: ENC[AES256_GCM,data:abc]",
    "token: ${{ secrets.GITHUB_TOKEN }}",
    "--tokenizer bert-base-uncased --max-tokens 512 --pad-token [PAD]",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    "mlflow[extras]==2.19.0 ; python_version >= '3.10'",
    "/home/ada/train.py",
    f"https://{HIDDEN}@host/?sig={HIDDEN}&password={HIDDEN}",
)


@pytest.mark.parametrize("text", WITH_SECRETS.values(), ids=WITH_SECRETS)
def test_a_secret_is_removed_and_the_rest_stays(text: str) -> None:
    clean = redact(text)
    assert HUSH not in clean
    assert HIDDEN in clean
    assert redact(clean) == clean, "a second time changes nothing"
    assert clean.startswith((text[:2], HIDDEN)), "what says where the text came from"


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize("around", ["%s", "token=%s", "see (%s).", "a\n%s\nb", "x/%s/y", "'%s'"])
def test_a_published_token_is_removed_wherever_it_stands(token: str, around: str) -> None:
    clean = redact(around % token)
    assert HIDDEN in clean
    assert token[8:24] not in clean
    assert token[-8:] not in clean


@pytest.mark.parametrize("text", ORDINARY)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text
    assert redact_named({"value": text}) == {"value": text}


NAMED = {
    ("PASSWORD", "hunter2"): True,
    ("db_password", "1234"): True,
    ("dbPassword", "y"): True,
    ("mlflow.db-password", "hunter2"): True,
    ("apiKey", "abcdefgh1"): True,
    ("HF_TOKEN", "not-the-shape"): True,
    ("vault/token", "not-the-shape"): True,
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI"): True,
    ("PASSWORD", "$(DB_PASSWORD)"): False,
    ("PASSWORD", "${DB_PASSWORD}"): False,
    ("PASSWORD", "/run/secrets/db"): False,
    ("PASSWORD_FILE", "hunter2hunter2"): False,
    ("tokenizer", "bert-base-uncased"): False,
    ("pad_token", "[PAD]"): False,
    ("eos_token", "<|endoftext|>"): False,
    ("max_new_tokens", "4096000000"): False,
    ("use_auth_token", "True"): False,
    ("monkey", "abcdefghijkl"): False,
}


@pytest.mark.parametrize(
    ("pair", "hidden"),
    NAMED.items(),
    ids=lambda value: "-".join(map(str, value))[:40] if isinstance(value, tuple) else str(value),
)
def test_a_name_makes_a_value_a_secret(pair: tuple[str, str], hidden: bool) -> None:
    name, value = pair
    assert is_secret_value(name, value) is hidden
    assert redact_named({name: value, "lr": "0.1"}) == {name: HIDDEN if hidden else value, "lr": "0.1"}


def test_files_lose_their_secrets_and_no_other_byte() -> None:
    assert redact_bytes(b"\xff\x00https://u:p@h\xfe") == f"\xff\x00https://{HIDDEN}@h\xfe".encode("latin-1")
    assert redact_bytes(content := b"\xff\x00plain\r\n\xfe") is content


def test_an_error_never_repeats_a_secret() -> None:
    error = InputError("cannot read " + IN_URLS["JDBC"], hint=IN_URLS["an @ in the password"])
    assert HUSH not in f"{error} {error!r} {error.message} {error.hint} {error.args}"


@given(st.text(alphabet="ahtps:/@?&=sigkey-_.%3A2F40BEGIN PRIVATE\n\"'", max_size=200))
def test_any_text_is_redacted_once_and_for_all(text: str) -> None:
    clean = redact(text)
    assert redact(clean) == clean
    assert find_secrets(clean) == []


BOMBS = {
    "slashes": "//" * 200_000,
    "schemes": "https://" * 100_000,
    "colons": "https://" + "a:" * 300_000,
    "ats": "https://a:" + "b@" * 200_000 + "/",
    "passwords with slashes": "https://a:x" + "@b/" * 100_000,
    "names": "a_" * 300_000 + "=",
    "assignments": "password=" * 100_000,
    "words": "password " * 100_000,
    "dots": "pass." * 200_000,
    "JWT": "-eyJaaaaaaaaaaa" * 60_000,
    "PEM": "-----BEGIN PRIVATE KEY-----" * 40_000,
    "queries": "?sig=" * 200_000,
    "Azure": "A" * 600_000 + "+ASt",
    "encoded": "%3a%2f%2f" * 100_000 + "%40",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_no_text_takes_long(bomb: str) -> None:
    started = time.monotonic()
    redact(bomb)
    assert time.monotonic() - started < seconds(5)
