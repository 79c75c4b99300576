"""What a secret looks like, what does not, and that no text takes long to search."""

from __future__ import annotations

import base64
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
    "JSON that escapes the &": rf"https://b.s3.amazonaws.com/k?X-Amz-Date=1\u0026X-Amz-Signature={HUSH}\u0026x=1",
    "the same with a token": rf"https://host/x?a=1\u0026access_token={HUSH}",
    "a fragment": f"https://host/callback#token={HUSH}",
    "a signature in a URL in a URL": f"https://sso/?u=https%253A%252F%252Fhost%252Fx%253Fa%253D1%2526sig%253D{HUSH}",
    "a password in a URL in a URL": f"https://sso/?u=https%253A%252F%252Fada%253A{HUSH}%2540host",
    "ODBC in a URL": f"mssql+pyodbc:///?odbc_connect=Driver%3D%7BX%7D%3BUID%3Da%3BPWD%3D{HUSH}",
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
    "a block of YAML": f"db_password: |\n  {HUSH}\n",
    "a folded block of YAML": f"db_password: >-\n    {HUSH}\n",
    "a variable of a container": f"- name: DB_PASSWORD\n  value: {HUSH}\n",
    "a variable in JSON": f'{{"name": "DB_PASSWORD", "value": "{HUSH}"}}',
    "JSON in JSON": rf'{{"conf": "{{\"db_password\": \"{HUSH}\"}}"}}',
    "after a break that JSON escapes": rf'{{"env": "A=1\npassword={HUSH}\n"}}',
    "XML": f"<server><password>{HUSH}</password></server>",
    "attributes of XML": f'<add key="Password" value="{HUSH}"/>',
    "Ruby": f"password => '{HUSH}'",
    "Go": f'password := "{HUSH}"',
    "words in quotes": f'password = "my {HUSH} ; is long"',
    "a long value": f"aws_session_token = {HUSH * 90}",
    "netrc": f"machine host login ada password {HUSH}",
    "an option of MySQL": f"mysqldump -u root -p{HUSH} db",
    "an option of sshpass": f"sshpass -p {HUSH} ssh ada@host",
    "a login to images": f"docker login -u ada -p {HUSH} r.test",
    "a variable of a token": f"HF_TOKEN={HUSH}",
    "MLflow's token": f"export MLFLOW_TRACKING_TOKEN='{HUSH}'",
    "a header of GitLab": f"JOB-TOKEN: {HUSH}",
    "a header in code": f"session.headers.set('Authorization', 'Bearer {HUSH}')",
    "a webhook of Discord": f"https://discord.com/api/webhooks/123456789012345678/{HUSH}{HUSH}",
    "a webhook of Teams": f"https://acme.webhook.office.com/webhookb2/0@1/IncomingWebhook/{HUSH}/0",
    "a key of PuTTY": f"PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\n{HUSH}AAAA\n",
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
    "GitLab, of a workspace": "glwt-" + ABC[:20],
    "Groq": "gsk_" + ABC[:52],
    "LangSmith": "lsv2_" + "pt_" + HEX[:32] + "_" + HEX[:10],
    "Pinecone": "pcsk_" + ABC[:60],
    "Neptune": base64.b64encode(b'{"api_address":"https://n.test","api_key":"' + ABC[:40].encode()).decode(),
    "Weights & Biases": "wandb_v1_" + ABC[:60],
    "Kaggle": "KGAT_" + HEX[:32],
    "Artifactory": "AKCp" + ABC[:69],
    "Alibaba": "LTAI" + ABC[:20],
    "Tencent": "AKID" + ABC[:32],
    "Terraform": ABC[:14] + ".atlasv1." + ABC[:67],
    "Telegram": "123456789" + ":AA" + ABC[:33],
    "a key in base64": base64.b64encode(b"-----BEGIN RSA PRIVATE KEY-----\n" + ABC[:90].encode()).decode(),
    "an SSH key in base64": base64.b64encode(b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + ABC[:90].encode()).decode(),
    "a login of images in base64": '"auth": "' + base64.b64encode(ABC[:30].encode()).decode() + '"',
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
    "secretKey: password",
    "PAD_TOKEN = [PAD]",
    "GITHUB_TOKEN: ${{ secrets.GITHUB_TOKEN }}",
    'token = os.environ["MLFLOW_TRACKING_TOKEN"]',
    "mysql -port 3306",
    "docker login -u ada --password-stdin r.test",
    '{"auth": "required", "author": "Ada"}',
    "<password></password>",
    '{"name": "password", "type": "string", "required": true}',
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
@pytest.mark.parametrize(
    "around", ["%s", "token=%s", "see (%s).", "a\n%s\nb", r"a\n%s\nb", "a%%20%s", "x/%s/y", "'%s'"]
)
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
    assert find_secrets(clean) == ()


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
    "quotes": "password='" * 100_000,
    "logins": "docker login " * 80_000,
    "names of variables": "A_" * 300_000 + "TOKEN=",
    "elements": "<password>" * 90_000,
    "blocks": "password: |\n" * 80_000,
    "variables": "name: DB_PASSWORD value " * 40_000,
    "a value without an end": "password=" + "x" * 900_000 + "(",
    "encoded twice": "%253a%252f%252f" * 60_000 + "%2540",
    "encoded": "%3a%2f%2f" * 100_000 + "%40",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_no_text_takes_long(bomb: str) -> None:
    started = time.monotonic()
    redact(bomb)
    assert time.monotonic() - started < seconds(5)
