"""Send the requests of a smoke test, and compare the answers with pyfunc's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import msgspec

from m2g.core.errors import OutsideError
from m2g.core.model import Value
from m2g.core.results import ApiTest
from m2g.inference import Protocol, find_path
from m2g.smoke import compare, probes, server
from m2g.smoke.client import Client
from m2g.smoke.program import Plan
from m2g.smoke.targets import Target


class Asked(Value, frozen=True, kw_only=True):
    """What a server answered by REST: the first answer as JSON text, and the seconds of each further request.

    `failed` has the problem if there is no answer.
    """

    url: str
    answer: str = ""
    seconds: tuple[float, ...] = ()
    failed: tuple[str, ...] = ()


def find_protocol(target: Target) -> Protocol:
    """The protocol of the target's server."""
    return "invocations" if target.profile == "mlflow-image" else "v2"


def ask_rest(client: Client, url: str, target: Target, body: str, times: int) -> Asked:
    """Send the request, and then again as often as `times` says."""
    path = find_path(target.slug, find_protocol(target))
    try:
        answer, _ = client.post(path, body)
        seconds = tuple(client.post(path, body)[1] for _ in range(times))
    except OutsideError as error:
        return Asked(url=url, failed=(describe(error),))
    return Asked(url=url, answer=json.dumps(answer), seconds=seconds)


def check_ready(client: Client, target: Target) -> None:
    """Raise NotReady if a deployed endpoint is not ready."""
    path = "/ping" if target.profile == "mlflow-image" else f"/v2/models/{target.slug}/ready"
    status = client.status(path)
    if status != 200:
        hint = "check the address; behind KServe's gateway, also name the model's host: --host NAME"
        raise server.NotReady(f"the endpoint is not ready: {path} answers {status}", hint=hint)


def judge_rest(asked: Asked, target: Target, expected: Sequence[compare.Column]) -> ApiTest:
    """Compare an answer with pyfunc's. Raises OutsideError if it is not an answer of a model."""
    read = compare.read_invocations if target.profile == "mlflow-image" else compare.read_v2
    answer: compare.Json = json.loads(asked.answer)
    answered = read(answer)
    if target.profile == "mlflow-image" and compare.is_chat(answer):
        expected, answered = compare.drop_volatile(expected), compare.drop_volatile(answered)
    return _summarize("rest", compare.find_differences(expected, answered), asked.seconds)


def judge_grpc(plan: Plan, to: probes.GrpcTarget, body: str, expected: Sequence[compare.Column]) -> ApiTest:
    """Ask by gRPC, and compare the answer with pyfunc's."""
    answers = probes.run_grpc(plan, body, to)
    if answers.problem:
        return ApiTest(way="grpc", answer="failed", problems=(answers.problem,))
    differences = compare.find_differences(expected, compare.read_v2(answers.answer))
    return _summarize("grpc", differences, answers.seconds)


def describe(error: OutsideError) -> str:
    """An error and its hint in one line."""
    return f"{error.message}; {error.hint}" if error.hint else error.message


def find_version(asked: Asked) -> str:
    """The model version that a server says it has; empty if it does not say it."""
    answer: compare.Json = json.loads(asked.answer) if asked.answer else None
    version = answer.get("model_version") if isinstance(answer, dict) else None
    return version if isinstance(version, str) else ""


def compare_version(answered: str, target: Target) -> tuple[str, str]:
    """Problem and hint if the version that answers is not the one in Git; otherwise empty."""
    expected = target.version
    if answered == expected:
        return "", ""
    if answered:
        hint = (
            "wait until Argo CD or Flux has synced and the rollout is done: "
            f"kubectl get inferenceservice {target.slug} -n NAMESPACE"
        )
        return f"version {answered} of {target.model} answers, but Git has version {expected}", hint
    hint = "render and deploy again (m2g render writes the version into MLServer's manifests), or add --any-version"
    return f"the server of {target.model} does not tell its version; Git has version {expected}", hint


def _summarize(way: Literal["rest", "grpc"], differences: Sequence[str], seconds: Sequence[float]) -> ApiTest:
    answer: Literal["equal", "different"] = "different" if differences else "equal"
    summary = ApiTest(way=way, answer=answer, problems=tuple(differences), requests=len(seconds))
    if not seconds:
        return summary
    p50, p90, p99, longest = (compare.percentile(seconds, share) for share in (0.5, 0.9, 0.99, 1.0))
    return msgspec.structs.replace(summary, p50=p50, p90=p90, p99=p99, longest=longest)
