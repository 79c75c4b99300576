"""Lists that the API server takes as maps: a key that is there twice is found, whatever the list."""

from __future__ import annotations

import pytest

from tests.support.rule_objects import answers, merged, service

_PORT = {"containerPort": 8080}


@pytest.mark.parametrize(
    ("predictor", "path"),
    [
        ({"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}, "imagePullSecrets[1].name"),
        ({"hostAliases": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}]}, "hostAliases[1].ip"),
        ({"model": {"ports": [_PORT, {**_PORT, "protocol": "TCP"}]}}, "model.ports[1].containerPort"),
        ({"model": {"env": [{"name": "A", "value": "1"}] * 2}}, "model.env[1].name"),
        ({"volumes": [{"name": "v", "emptyDir": {}}] * 2}, "volumes[1].name"),
    ],
)
def test_a_key_that_is_there_twice(predictor: dict[str, object], path: str) -> None:
    item = merged(service(), {"spec": {"predictor": predictor}})
    assert isinstance(item, dict)
    assert ("names-unique", f"spec.predictor.{path}") in answers(item)


def test_one_port_for_two_protocols_is_right() -> None:
    ports = [_PORT, {**_PORT, "protocol": "UDP"}]
    item = merged(service(), {"spec": {"predictor": {"model": {"ports": ports}}}})
    assert isinstance(item, dict)
    assert "names-unique" not in {rule for rule, _ in answers(item)}
