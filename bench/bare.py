"""The lowest possible time of the first contact: a bare HTTP client that reads the same lists and files.

    python -m bench.bare <tracking URI>

It uses as many connections at once as m2g, decodes the lists, and keeps nothing.
"""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode, urlsplit

from m2g.registry.rest import THREADS

FILES = ("MLmodel", "requirements.txt", "serving_input_example.json")
"""What m2g reads of the bench's versions."""
_API = "/api/2.0/mlflow/"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_CHUNK = 250


def main(uri: str) -> int:
    """Read everything. Return the number of files."""
    host = urlsplit(uri).netloc
    list(_pages(host, "registered-models/search", "registered_models", 1000))
    versions = list(_pages(host, "model-versions/search", "model_versions", 10_000))
    runs = [str(version["run_id"]) for version in versions]
    models = [str(version["source"]).removeprefix("models:/") for version in versions]
    for start in range(0, len(versions), _CHUNK):
        _search(host, "runs/search", "attributes.run_id", runs[start : start + _CHUNK])
        _search(host, "logged-models/search", "model_id", models[start : start + _CHUNK])
    paths = [f"{_ARTIFACTS}/1/models/{quote(model)}/artifacts/{file}" for model in models for file in FILES]
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(1 for content in pool.map(lambda path: _ask(host, path), paths) if content)


def _pages(host: str, path: str, field: str, size: int) -> Iterator[dict[str, object]]:
    token = ""
    while True:
        page = json.loads(_ask(host, f"{_API}{path}?{urlencode({'max_results': size, 'page_token': token})}"))
        yield from page.get(field, [])
        token = page.get("next_page_token", "")
        if not token:
            return


def _search(host: str, path: str, key: str, ids: list[str]) -> None:
    listed = ",".join(f"'{one}'" for one in ids)
    query = {"experiment_ids": ["1"], "filter": f"{key} IN ({listed})", "max_results": _CHUNK}
    json.loads(_ask(host, f"{_API}{path}", json.dumps(query)))


def _ask(host: str, path: str, body: str | None = None) -> bytes:
    """One connection for each request: MLflow's default server responds 40 ms later on a kept one."""
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request(
            "GET" if body is None else "POST", path, body, {"Content-Type": "application/json", "Connection": "close"}
        )
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{path}: HTTP {response.status}")
        return response.read()
    finally:
        connection.close()


if __name__ == "__main__":
    sys.stdout.write(f"{main(sys.argv[1])} files\n")
