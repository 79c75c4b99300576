"""The Dockerfile of a build context, for docker, buildah and kaniko (1.8 and newer)."""

from __future__ import annotations

import functools
import json
import re
from urllib.parse import quote

import jinja2

from m2g.core.model import Profile, Value

_WITH_UVICORN = (2, 21)
"""From this MLflow version on, the scoring server is not a Flask application any more."""
MODEL_DIR = "/opt/ml/model"
MOUNTED = "/mnt/models"
"""Where KServe puts a model that is not in the image."""
_TEMPLATE = """\
# Written by {{ writer }}. Do not edit: m2g overwrites changes.
FROM {{ base }}

{% if environment %}
LABEL org.opencontainers.image.title={{ environment | text }} \\
      dev.m2g.serving-environment={{ environment | text }}
{% else %}
LABEL org.opencontainers.image.title={{ slug | text }} \\
      org.opencontainers.image.version={{ version | percent | text }} \\
      dev.m2g.model={{ model | percent | text }} \\
      dev.m2g.model-version={{ version | percent | text }} \\
      dev.m2g.profile={{ profile | text }}
{% endif %}
{% if packages %}

RUN apt-get update \\
 && apt-get install --yes --no-install-recommends {{ packages | join(" ") }} \\
 && rm -rf /var/lib/apt/lists/*
{% endif %}

# For a private index: docker build --secret id=pip_conf,src=pip.conf (kaniko: mount the file at /etc/pip.conf).
# pip installs only wheels with these hashes: it compiles nothing and installs nothing that is not locked.
COPY requirements.txt /opt/m2g/requirements.txt
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \\
    python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --no-deps \\
    --only-binary :all: --require-hashes --requirement /opt/m2g/requirements.txt
{% if profile == "mlflow-image" and not environment %}

COPY model {{ model_dir }}
{% endif %}

ENV PYTHONUNBUFFERED=1 \\
    PYTHONDONTWRITEBYTECODE=1 \\
    HOME=/tmp \\
{% if profile == "mlserver-image" %}
    MLSERVER_DEBUG=false \\
    MLSERVER_HTTP_PORT=8080 \\
    MLSERVER_GRPC_PORT=9000 \\
    MLSERVER_METRICS_PORT=8082 \\
    MLSERVER_MODEL_IMPLEMENTATION=mlserver_mlflow.MLflowRuntime \\
    MLSERVER_MODEL_URI=/mnt/models
{% else %}
    MLFLOW_MODELS_WORKERS=1 \\
    MLFLOW_DISABLE_TELEMETRY=true \\
    __pyfunc_model_path__={{ mounted if environment else model_dir }}
{% endif %}

WORKDIR /tmp
USER 1000:1000
{% if profile == "mlserver-image" %}
EXPOSE 8080 9000 8082
{% else %}
EXPOSE 8080
{% endif %}
CMD {{ command }}
"""


class DockerfileOptions(Value, frozen=True, kw_only=True):
    """What a Dockerfile depends on. `mlflow` is the locked version; `packages` are Debian packages.

    The image of a serving environment has its id as `environment`, and no model.
    """

    profile: Profile
    base: str
    mlflow: str
    environment: str = ""
    slug: str = ""
    model: str = ""
    version: str = ""
    packages: tuple[str, ...] = ()


def render_dockerfile(options: DockerfileOptions) -> str:
    """The text of the Dockerfile."""
    return _template().render(
        **{name: getattr(options, name) for name in options.__struct_fields__},
        command=json.dumps(_command(options)),
        model_dir=MODEL_DIR,
        mounted=MOUNTED,
        writer="`m2g environments context`" if options.environment else "`m2g image`",
    )


def _command(options: DockerfileOptions) -> list[str]:
    """The command of the server. It runs as the first process (exec), so that Kubernetes' SIGTERM reaches it."""
    if options.profile == "mlserver-image":
        # Not /mnt/models: a settings.json in the model's directory would override the environment variables.
        return ["mlserver", "start", "/opt/m2g"]
    parts = re.match(r"([0-9]+)\.([0-9]+)", options.mlflow)
    version = (int(parts[1]), int(parts[2])) if parts else _WITH_UVICORN
    workers = '--workers "${MLFLOW_MODELS_WORKERS:-1}"'
    if version >= _WITH_UVICORN:
        server = f"uvicorn --host 0.0.0.0 --port 8080 {workers} mlflow.pyfunc.scoring_server.app:app"
    else:
        server = f"gunicorn --bind 0.0.0.0:8080 --timeout 60 {workers} mlflow.pyfunc.scoring_server.wsgi:app"
    return ["sh", "-c", f"exec {server}"]


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701 - a Dockerfile is not HTML; the filters below escape it
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"text": _text, "percent": lambda text: quote(text, safe=" ")}
    return environment.from_string(_TEMPLATE)


def _text(text: str) -> str:
    """Quote a value so that Docker expands no variable in it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
