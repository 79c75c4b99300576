"""Find secrets in text from outside, and remove them: the one place that says what a secret looks like.

Everything that a registry sends passes `redact` or `redact_named` before it becomes a value of m2g, and so does every
error message. `m2g validate` searches what people wrote by the same rules. Nothing here guesses by randomness: a
digest, a commit and a run id look as random as a key.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping

import msgspec

HIDDEN = "REDACTED"
"""What stands in place of a secret. It is plain text in YAML, JSON and URLs."""
_MARGIN = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u00[0-9A-Fa-f]{2}))"
"""Where a word begins: also after what JSON or a URL spells with letters (`\\n`, `%20`, `\\u0026`)."""
_MARK = r"(?:%(?:25){0,3}|\\u00|\\x)"
"""What stands before the number of a character in a URL, in a URL inside of another, or in JSON."""


class Secret(msgspec.Struct, frozen=True, order=True):
    """A part of a text that looks like a secret, and what it looks like. Never show the part itself."""

    start: int
    end: int
    what: str


class _Shape(msgspec.Struct, frozen=True):
    """`pattern` may name the part to remove `secret`. Every match contains one of `marks`, in lower case, so that a
    text without them is not searched. Patterns take linear time: they are bounded, or begin at the start of a word."""

    what: str
    pattern: str
    marks: tuple[str, ...]


def _token(what: str, pattern: str, *marks: str) -> _Shape:
    return _Shape(what, f"{_MARGIN}(?:{pattern})", marks)


_AUTHORITY = r"[^\s/?#\"<>\\`]"
_NO_PASSWORD = r"wasbs?|abfss?|r2|(?:git\+)?ssh|sftp"  # noqa: S105  # names of schemes
"""Schemes where a name before the `@` is a container, an account or a login, and no secret on its own."""
_QUERY = (
    r"(?:x-amz-|x-goog-)?(?:signature|credential|security-token)|sig|sas|awsaccesskeyid|googleaccessid|key-pair-id|"
    r"(?:access_|auth_|private_|refresh_|id_|api_|session_)?token|api[_-]?key|subscription-key|"
    r"pass(?:w(?:or)?d|phrase)?|pwd|(?:client_)?secret"
)
_QUERY_ENDS = (
    *("signature", "credential", "token", "sig", "sas", "accesskeyid", "accessid", "pair-id", "apikey", "api-key"),
    *("api_key", "subscription-key", "password", "passwd", "passphrase", "pass", "pwd", "secret"),
)
"""How the names that `_QUERY` matches end."""
_QUOTE = r"(?:\\{0,4}[\"'])"
_IS = rf"{_QUOTE}?\s{{0,8}}(?::=|=>|={{1,2}}|:|{_MARK}3[ad])\s{{0,8}}(?:[|>][+-]?\s{{1,40}})?"
"""What stands between a name and its value, in files of settings and in code."""
_ASSIGNED = (
    r"(?:[a-z0-9]{1,30}[_.-]){0,4}(?:(?:pg|db|user|root|admin)?pass(?:word|wd|phrase)|pwd|client[_-]?secret|"
    r"(?:secret|private)[_-]?access[_-]?key|(?:secret|signing)[_-]key|(?:shared[_-]?)?a(?:ccount|pi|ccess)[_-]?key|"
    r"(?:access|auth|private|bearer|session|job|deploy)[_-]?token|shared[_-]?access[_-]?signature)"
)
_ASSIGNED_ENDS = (
    *("password", "passwd", "passphrase", "pwd"),
    *(
        f"{start}{dash}{end}"
        for starts, end in (
            (("client",), "secret"),
            (("account", "api", "access", "secret", "signing"), "key"),
            (("access", "auth", "private", "bearer", "session", "job", "deploy"), "token"),
            (("access",), "signature"),
        )
        for start in starts
        for dash in ("", "_", "-")
    ),
)
"""How the names that `_ASSIGNED` matches end."""
_PLAIN = r"[^\s\"'`&;,<>(){}\[\]$*\\]"
_VALUE = rf"(?P<secret>{_PLAIN}{{4,1200}}+(?![({{\[$*]){_PLAIN}*+)"
"""A value without quotes that is no call, no template and no pattern."""
_LINE = r"[^\n]{0,80}"

_SHAPES = (
    _Shape(
        "a private key",
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?:\s|\\n|\\r)*(?:Proc-Type|DEK-Info|Comment|Version): [^\r\n\\]*)*[A-Za-z0-9+/=\s\\]*"
        r"(?:-----END [A-Z0-9 ]{0,30}-----)?",
        ("private key",),
    ),
    _Shape(
        "a password in a URL",
        rf"(?i:\b(?!(?:{_NO_PASSWORD}):)[a-z][a-z0-9+.-]{{0,19}}:|(?<![:\\/]))(?:\\?/){{2}}(?P<secret>{_AUTHORITY}+)@(?!sha256:)",
        ("@",),
    ),
    _Shape(
        "a password in a URL",
        rf"(?i:\b(?:{_NO_PASSWORD}):)(?:\\?/){{2}}(?P<secret>{_AUTHORITY}*:{_AUTHORITY}*)@",
        ("@",),
    ),
    _Shape(  # a password with a slash, which ends the host for every parser but not for the person who wrote it
        "a password in a URL",
        r"(?i:\b[a-z][a-z0-9+.-]{0,19}:)(?:\\?/){2}"
        r"(?P<secret>[^\s/?#@:\[\"<>\\`]+:(?!\d{1,5}(?:[/?#\s]|$))[^\s@\"<>`]*(?:@[^\s@\"<>`/]*(?=@))*)@(?!sha256:)",
        ("@",),
    ),
    _Shape(
        "a password in a URL",
        r"(?i:%(?:25){0,3}3a(?:%(?:25){0,3}2f){2})(?P<secret>[^\s/?#&\"<>]+?)%(?:25){0,3}40(?![^\s/?#&\"<>]*%(?:25){0,3}40)",
        ("%40", "%2540", "%252540", "%25252540"),
    ),
    _Shape(
        "a password in a URL", r"(?i:\bjdbc:oracle:[a-z]{1,9}:)(?P<secret>[^\s/@\"]+/[^\s@\"]+)@", ("jdbc:oracle:",)
    ),
    _Shape(
        "a password for curl",
        rf"\bcurl\s(?:[^\n]{{0,200}}\s)?(?:-u|--user)[\s=]{{0,8}}[\"']?[^\s:\"'/]{{0,100}}:{_VALUE}",
        ("curl",),
    ),
    _Shape(
        "a signature or token in a URL",
        rf"(?i:(?:[?&;#]|{_MARK}(?:3f|26|23))(?:{_QUERY})(?:=|{_MARK}3d))"
        r"(?P<secret>[^&;\s\"'<>#`%\\]+(?:%(?!(?:25){0,3}26)[^&;\s\"'<>#`%\\]*)*)",
        tuple(f"{name}{mark}" for name in _QUERY_ENDS for mark in ("=", "%3d", "%25", "\\u003d")),
    ),
    _Shape(
        "a shared access signature",
        r"(?i:\b(?:sig|sharedaccesssignature|x-amz-signature|x-goog-signature)=)(?P<secret>[A-Za-z0-9%+/=_-]{20,})",
        ("sig=", "signature="),
    ),
    _Shape(
        "an assigned password",
        rf"(?i:{_MARGIN}{_ASSIGNED}{_IS}{_QUOTE}?|(?<![^\s\"'])--?{_ASSIGNED}\s{{1,8}}{_QUOTE}?){_VALUE}",
        _ASSIGNED_ENDS,
    ),
    _Shape(
        "an assigned password",
        rf"(?i:{_MARGIN}{_ASSIGNED}{_IS})(?P<quote>{_QUOTE})(?P<secret>(?!(?:[^\s\"']+\s+){{7}})"
        r"(?:(?!(?P=quote))[^\r\n]){4,400})(?P=quote)",
        _ASSIGNED_ENDS,
    ),
    _Shape(
        "an assigned password",
        rf"(?i:\b(?:key|name){_QUOTE}?\s{{0,8}}[:=]\s{{0,8}}{_QUOTE}?{_ASSIGNED}{_QUOTE}?[,\s]{{1,40}}"
        rf"{_QUOTE}?value{_QUOTE}?\s{{0,8}}[:=]\s{{0,8}}{_QUOTE}?){_VALUE}",
        _ASSIGNED_ENDS,
    ),
    _Shape(
        "a password in XML", rf"(?i:<(?:\w{{1,30}}:)?{_ASSIGNED}>)\s*(?P<secret>[^\s<][^<]{{3,200}})</", _ASSIGNED_ENDS
    ),
    _Shape(
        "a secret, by the variable's name",
        rf"{_MARGIN}(?:[A-Z][A-Z0-9]{{0,30}}_){{1,5}}(?:TOKEN|SECRET|PAT|PASS|SECRET_KEY){_IS}{_QUOTE}?(?=\S{{8}}){_VALUE}",
        ("_token", "_secret", "_pat", "_pass", "_key"),
    ),
    _Shape(
        "a password of a command",
        rf"\b(?:(?:mysql|mariadb)[a-z-]{{0,12}}\s(?:{_LINE}\s)?-p|sshpass\s{{1,8}}-p\s{{0,8}}|redis-cli\s(?:{_LINE}\s)?-a\s{{1,8}}|"
        rf"login\s(?:{_LINE}\s)?-p[\s=]{{1,8}}|login\s{{1,8}}\S{{1,100}}\s{{1,8}}password\s{{1,8}}){_QUOTE}?{_VALUE}",
        ("mysql", "mariadb", "sshpass", "redis-cli", "login"),
    ),
    _Shape(
        "a login of an image registry",
        rf"{_QUOTE}auth{_QUOTE}\s{{0,8}}:\s{{0,8}}{_QUOTE}(?P<secret>(?=[^\"'\\]*[0-9=])[A-Za-z0-9+/]{{12,}}={{0,2}}){_QUOTE}",
        ('auth"', "auth'", "auth\\"),
    ),
    _Shape(
        "a private key",
        r"LS0tLS1CRUdJTi(?:BQUklWQVRF|BSU0EgUFJJVkFURS|BFQyBQUklWQVRF|BEU0EgUFJJVkFURS|BPUEVOU1NIIFBSSVZBVE|BFTkNSWVBURUQg)"
        r"[A-Za-z0-9+/=]*+",
        ("ls0tls1crudjti",),
    ),
    _Shape("a private key", r"Private-Lines: [0-9]+\s+(?P<secret>[A-Za-z0-9+/=\s]{4,}+)", ("private-lines",)),
    _Shape(
        "an authorization header",
        r"(?i:authorization\\{0,4}[\"']?\s{0,8}[:=,]\s{0,8}\\{0,4}[\"']?(?:bearer|basic|token)\s{1,8})(?P<secret>[A-Za-z0-9._~+/=-]{8,})",
        ("authorization",),
    ),
    _token("an AWS access key", r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}", "akia", "asia", "abia", "acca"),
    _token("an AWS Bedrock key", r"ABSK[A-Za-z0-9+/]{80,}={0,2}", "absk"),
    _token("a Google API key", r"AIza[A-Za-z0-9_-]{35}", "aiza"),
    _token("a Google OAuth token", r"ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{28}", "ya29.", "gocspx-"),
    _token("a Google HMAC key", r"GOOG1[A-Z0-9]{30,}", "goog1"),
    _token("an Azure client secret", r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}", "q~"),
    _token("an Azure storage key", r"[A-Za-z0-9+/]{76}\+ASt[A-Za-z0-9+/]{4,8}={0,2}", "+ast"),
    _token("an Azure DevOps token", r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}", "azdo"),
    _token(
        "a GitHub token",
        r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}",
        *(f"gh{kind}_" for kind in "pousr"),
        "github_pat_",
    ),
    _token(
        "a GitLab token",
        r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct|oas|wt)-[A-Za-z0-9_.-]{20,}|GR1348941[A-Za-z0-9_-]{20}",
        *(f"gl{kind}-" for kind in "pat dt rt cbt ptt ft imt agent soat ffct oas wt".split()),
        "gr1348941",
    ),
    _token("a Bitbucket token", r"ATBB[A-Za-z0-9]{32}|AT[AC]TT3[A-Za-z0-9_=-]{50,}", "atbb", "atatt3", "atctt3"),
    _token("a Hugging Face token", r"hf_[A-Za-z0-9]{30,}|api_org_[A-Za-z0-9]{30,}", "hf_", "api_org_"),
    _token("a Slack token", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}", "xox", "xapp-"),
    _Shape(
        "a webhook of a chat",
        r"(?:hooks\.slack\.com/(?:services|workflows)|discord(?:app)?\.com/api/webhooks|webhook\.office\.com/webhookb2)/"
        r"(?P<secret>[A-Za-z0-9/@_-]{20,})",
        ("slack.com", "discord", "office.com"),
    ),
    _token("a Telegram token", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}", ":aa"),
    _token("a Databricks token", r"dapi[0-9a-f]{32}(?:-[0-9]+)?", "dapi"),
    _Shape(
        "a JSON web token",
        r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?",
        (".eyj",),
    ),
    _token(
        "an OpenAI or Anthropic key", r"sk-(?:proj|ant|svcacct|admin|or)-[A-Za-z0-9_-]{20,}|sk-[A-Za-z0-9]{40,}", "sk-"
    ),
    _token("an npm token", r"npm_[A-Za-z0-9]{36}", "npm_"),
    _token("a PyPI token", r"pypi-[A-Za-z0-9_-]{50,}", "pypi-"),
    _token("a Docker token", r"dckr_[a-z]{3}_[A-Za-z0-9_-]{20,}", "dckr_"),
    _token("a Vault token", r"hv[sbr]\.[A-Za-z0-9_-]{24,}", "hvs.", "hvb.", "hvr."),
    _token("a Grafana token", r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_[A-Za-z0-9+/]{32,}", "glsa_", "glc_"),
    _token("a Stripe key", r"[sr]k_(?:live|test)_[A-Za-z0-9]{20,}", "k_live_", "k_test_"),
    _token("a SendGrid key", r"SG\.[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{39,50}", "sg."),
    _token("a DigitalOcean token", r"do[opr]_v1_[0-9a-f]{64}", "_v1_"),
    _token("an NVIDIA key", r"nvapi-[A-Za-z0-9_-]{60,}", "nvapi-"),
    _token("a Replicate token", r"r8_[A-Za-z0-9]{37}", "r8_"),
    _token("a Groq key", r"gsk_[A-Za-z0-9]{40,}", "gsk_"),
    _token("a LangSmith key", r"lsv2_[a-z]{2}_[0-9a-f]{32}_[0-9a-f]{10}", "lsv2_"),
    _token("a Pinecone key", r"pcsk_[A-Za-z0-9_]{40,}", "pcsk_"),
    _token("a Neptune token", r"eyJhcGlfYWRkcmVzcyI6[A-Za-z0-9+/_-]{20,}={0,2}", "eyjhcglfywrkcmvzcyi6"),
    _token("a Weights & Biases key", r"wandb_v1_[A-Za-z0-9_]{40,}|local-[0-9a-f]{40}", "wandb_v1_", "local-"),
    _token("a Kaggle token", r"KGAT_[0-9a-f]{32}", "kgat_"),
    _token("an Artifactory token", r"AKCp[A-Za-z0-9]{60,}|cmVmdGtuO[A-Za-z0-9]{50,}", "akcp", "cmvmdgtuo"),
    _token("an Alibaba Cloud key", r"LTAI[A-Za-z0-9]{12,20}(?![A-Za-z0-9])", "ltai"),
    _token("a Tencent Cloud key", r"AKID[A-Za-z0-9]{32}", "akid"),
    _token("a Scaleway key", r"SCW[A-Z0-9]{17}(?![A-Za-z0-9])", "scw"),
    _token("a Terraform token", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}", ".atlasv1."),
    _token("a Notion token", r"ntn_[A-Za-z0-9]{40,}", "ntn_"),
    _token("a Tailscale key", r"tskey-[a-z]{3,12}-[A-Za-z0-9-]{20,}", "tskey-"),
    _token("an age key", r"AGE-SECRET-KEY-1[0-9A-Z]{58}", "age-secret-key-1"),
)

_MARKS = tuple((mark, index) for index, shape in enumerate(_SHAPES) for mark in shape.marks)

_PASSWORD_NAME = re.compile(r"(.*_)?(PG|DB|USER|ROOT|ADMIN)?(PASSWORD|PASSWD|PASSPHRASE|PWD)")
_SECRET_NAME = re.compile(
    r"(.*_)?(SECRETS?|TOKEN|API_?KEY|PASS|PASSCODE|CREDENTIALS?|AUTHORIZATION|PAT|(SECRET|PRIVATE|SIGNING|SSH)_(ACCESS_)?KEY|(STORAGE_)?(ACCESS|ACCOUNT)_KEY|CONNECTION_STRING)"
)
_NO_SECRET = re.compile(
    r"\*+|x+|Ag[AB][A-Za-z0-9+/]{100,}={0,2}|/.*|[$<\[{(].*|ENC\[.*|(true|false|none|null|str|string|required|optional)|os\.environ.*|process\.env.*|.*getenv.*",
    re.IGNORECASE,
)
"""Values that refer to a secret, stand for one, or say that there is one."""
_NUMBER = re.compile(r"[0-9.eE+-]*")
_SHORT = 8


@functools.lru_cache(maxsize=8)  # several rules look at the same long value, one after the other
def find_secrets(text: str) -> tuple[Secret, ...]:
    """The parts of a text that look like secrets, in order, without overlaps."""
    lower = text.lower()
    shapes = {index for mark, index in _MARKS if mark in lower}
    found = sorted(secret for index in shapes for secret in _search(text, _SHAPES[index].what, _compile(index)))
    kept: list[Secret] = []
    for secret in found:
        if not kept or secret.start >= kept[-1].end:
            kept.append(secret)
        elif secret.end > kept[-1].end:
            kept[-1] = Secret(kept[-1].start, secret.end, kept[-1].what)
    return tuple(kept)


def redact(text: str) -> str:
    """The text with REDACTED in place of each secret. A second time changes nothing."""
    parts: list[str] = []
    end = 0
    for secret in find_secrets(text):
        parts += (text[end : secret.start], HIDDEN)
        end = secret.end
    return "".join((*parts, text[end:])) if parts else text


def redact_bytes(content: bytes) -> bytes:
    """Like `redact`, for the content of a file. Bytes that are not UTF-8 stay as they are."""
    text = content.decode("utf-8", "surrogateescape")
    clean = redact(text)
    return content if clean == text else clean.encode("utf-8", "surrogateescape")


def redact_named(values: Mapping[str, str]) -> dict[str, str]:
    """Like `redact`, for named values: a name such as `db_password` makes any value a secret."""
    if not find_secrets("\n".join((*values, *values.values()))) and not any(map(is_secret_name, values)):
        return dict(values)
    return {redact(name): HIDDEN if is_secret_value(name, value) else redact(value) for name, value in values.items()}


@functools.lru_cache(maxsize=1 << 12)  # parameters and tags have the same names in every run
def is_secret_name(name: str) -> bool:
    """Whether a variable, parameter or tag with this name holds a secret: `DB_PASSWORD`, `apiKey`, `hf.token`."""
    plain = _plain_name(name)
    return _PASSWORD_NAME.fullmatch(plain) is not None or _SECRET_NAME.fullmatch(plain) is not None


def is_secret_value(name: str, value: str) -> bool:
    """Whether the value of a variable with this name is a secret in plain text. A password may have any length."""
    if not is_secret_name(name) or not value or value == HIDDEN or _NO_SECRET.fullmatch(value):
        return False
    if _PASSWORD_NAME.fullmatch(_plain_name(name)):
        return True
    return len(value) >= _SHORT and not _NUMBER.fullmatch(value)


def _plain_name(name: str) -> str:
    """In upper case with `_` between words. Of a path only the last part counts, if it does not lead anywhere."""
    last = name if name.startswith((".", "/")) else name.rpartition("/")[2]
    return re.sub(r"[-. ]", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", last[-200:])).upper()


def _search(text: str, what: str, pattern: re.Pattern[str]) -> Iterator[Secret]:
    for match in pattern.finditer(text):
        start, end = match.span("secret" if "secret" in pattern.groupindex else 0)
        if not _NO_SECRET.fullmatch(text, start, end) and text[start:end] != HIDDEN:
            yield Secret(start, end, what)


@functools.cache  # compiling takes longer than searching a whole fleet for the marks
def _compile(index: int) -> re.Pattern[str]:
    return re.compile(_SHAPES[index].pattern)
