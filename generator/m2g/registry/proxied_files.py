"""Read the files of models through the artifact API of an MLflow server, as MLflow's own clients do."""

from __future__ import annotations

import re
from urllib.parse import quote

from m2g.registry.api_types import ArtifactsPage
from m2g.registry.errors import ErrorResponse
from m2g.registry.model_files import LIMITS
from m2g.registry.rest import Request, RestClient

_API = "/api/2.0/mlflow-artifacts/artifacts"
_URI = re.compile(r"mlflow-artifacts:(?://(?P<host>[^/]*))?/+(?P<path>[^?#]+)")
_OFF = frozenset({401, 403, 404, 501, 503})
"""What servers and gateways answer on a route that they do not have or do not let through."""


class ProxiedFiles:
    """The files behind `mlflow-artifacts:` URIs of one server. Nothing is asked of another host that a URI names."""

    def __init__(self, rest: RestClient) -> None:
        self._rest = rest
        self._is_off = False
        """Whether the server refused the route before it ever answered: then no further version asks for it."""
        self._answered = False

    def find_path(self, uri: str) -> str | None:
        """The path of the artifacts in the API; None if this server does not serve them there."""
        match = _URI.fullmatch(uri)
        if self._is_off or match is None or match["host"] not in (None, "", self._rest.host):
            return None
        path = match["path"].strip("/")
        return None if ".." in path.split("/") else path

    def read(self, path: str, name: str) -> bytes | None:
        """One file of a model, or None if it does not exist. Raises the errors of `RestClient.get_json`."""
        request = Request(path=f"{_API}/{quote(path)}/{quote(name)}", limit=LIMITS[name])
        try:
            content = self._rest.get_file(request)
        except ErrorResponse as error:
            if error.is_missing or (error.status == 500 and not self._is_listed(path, name)):
                return None
            self._is_off = self._is_off or (not self._answered and error.status in _OFF and not error.code)
            raise
        self._answered = True
        return content

    def _is_listed(self, path: str, name: str) -> bool:
        """Whether the server lists a file that it cannot read. MLflow 2.22 responds with HTTP 500 for a missing one."""
        files = self._rest.get_json(Request(path=_API, query={"path": path}), ArtifactsPage).files
        return name in {file.path.rpartition("/")[2] for file in files}
