"""Answers of MLflow's scoring server: wrapped in `predictions`, and those of chat APIs, which are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m2g.core.errors import OutsideError
from m2g.core.model import Mlmodel
from m2g.smoke import ask, compare
from m2g.smoke.targets import Target

MLMODEL = Mlmodel(sha256="0", flavors=())
TARGET = Target(model="a", slug="a", version="1", profile="mlflow-image", mlmodel=MLMODEL, root=Path())


def agent(text: str, number: int) -> dict[str, compare.Json]:
    part: compare.Json = {"type": "output_text", "text": text, "annotations": []}
    message: compare.Json = {"type": "message", "id": f"msg_{number}", "role": "assistant", "content": [part]}
    return {"object": "response", "id": f"resp_{number}", "created_at": number, "output": [message], "error": None}


def judge(answer: compare.Json, expected: compare.Json) -> str:
    asked = ask.Asked(url="http://host", answer=json.dumps(answer))
    return ask.judge_rest(asked, TARGET, compare.to_columns(expected)).answer


def test_an_agents_answer_is_compared_without_what_is_new_in_each() -> None:
    assert judge(agent("hello", 1), agent("hello", 2)) == "equal"
    assert judge({**agent("hello", 1), "usage": None}, agent("hello", 2)) == "equal"
    assert judge(agent("hello", 1), agent("good bye", 1)) == "different"
    assert judge({"choices": [{"index": 0}], "id": "1"}, {"choices": [{"index": 0}], "id": "2"}) == "equal"


def test_ids_that_a_model_predicts_count() -> None:
    assert judge({"predictions": [{"id": 1}]}, [{"id": 1}]) == "equal"
    assert judge({"predictions": [{"id": 1}]}, [{"id": 2}]) == "different"


@pytest.mark.parametrize("answer", [{"detail": "x"}, [1], None])
def test_what_is_no_answer_of_a_model_is_said(answer: compare.Json) -> None:
    with pytest.raises(OutsideError, match="has no predictions"):
        judge(answer, [1])
