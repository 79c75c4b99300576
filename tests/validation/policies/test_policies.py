"""Policies over repositories as m2g renders them: what they find, what they say, and what may be overridden."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2g.commands.validate import ValidateOptions, validate
from m2g.core import resources
from m2g.core.finding import Finding, Severity
from tests.support.examples import SHARED_FIXTURES
from tests.support.fleet import narrowed
from tests.support.paths import GOLDEN

TODAY = date(2026, 11, 20)
STORAGE, IMAGE = "standard-storage", "container-image"


def repository(root: Path, case: str, **files: str) -> Path:
    """A golden repository with files in `policies/`, by name."""
    shutil.copytree(GOLDEN / case, root / case)
    for name, text in files.items():
        path = root / case / f"policies/{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return root / case


def policy(expression: str, **fields: str) -> str:
    """A file with one policy, `p`."""
    rest = "".join(f"  {name}: {value}\n" for name, value in fields.items())
    return f"policies:\n- id: p\n  expression: >-\n    {expression}\n{rest}"


def check(root: Path, **scope: str) -> tuple[Finding, ...]:
    chosen = narrowed(scope)
    return validate(root, ValidateOptions(scope=chosen, today=TODAY)).findings


def override(**changes: str) -> str:
    said = {"policy": "p", "model": "wine", "environment": "prod", "reason": "agreed in T-1", "expires": '"2026-11-20"'}
    return "overrides:\n- {" + ", ".join(f"{key}: {value}" for key, value in (said | changes).items()) + "}\n"


NEVER = policy("env.name != 'prod'", message="nothing goes to prod", hint="wait")


def test_a_policy_that_holds_says_nothing(tmp_path: Path) -> None:
    text = policy(
        "object.kind == 'InferenceService' && release.model == model.name && env.namespace.startsWith('models-')"
    )
    assert check(repository(tmp_path, STORAGE, a=text)) == ()


def test_a_broken_policy_names_object_source_and_policy(tmp_path: Path) -> None:
    rule = "!(env.name == 'prod' && object.spec.predictor.maxReplicas > 4)"
    (finding,) = check(repository(tmp_path, STORAGE, a=policy(rule, message="at most 4 replicas", hint="ask us")))
    assert (finding.rule, finding.severity, finding.environment) == ("policy/p", Severity.ERROR, "prod")
    assert finding.message == "InferenceService wine: at most 4 replicas"
    assert finding.path == "spec.predictor.maxReplicas"
    assert (finding.file, finding.line) == ("m2g.yaml", 8)
    assert finding.hint == "ask us; the policy is in policies/a.yaml:3"


def test_a_message_may_be_an_expression(tmp_path: Path) -> None:
    text = policy("env.name != 'prod'", messageExpression="model.slug + ' has version ' + release.version")
    (finding,) = check(repository(tmp_path, STORAGE, a=text))
    assert "wine has version" in finding.message


def test_where_the_message_cannot_be_made_the_plain_one_is_said(tmp_path: Path) -> None:
    text = policy("env.name != 'prod'", messageExpression="release.tags.owner", message="plain")
    (finding,) = check(repository(tmp_path, STORAGE, a=text))
    assert finding.message.endswith(": plain")


def test_without_any_words_the_expression_is_said(tmp_path: Path) -> None:
    (finding,) = check(repository(tmp_path, STORAGE, a=policy("env.name != 'prod'")))
    assert finding.message.endswith("does not comply with env.name != 'prod'")


@pytest.mark.parametrize(
    ("match", "count"),
    [
        ("{}", 2),
        ("{environments: [prod]}", 1),
        ("{environments: [p*, stag?ng]}", 2),
        ("{kinds: [ConfigMap]}", 0),
        ("{kinds: ['*']}", 2),
        ("{models: [wi*]}", 2),
        ("{models: [other]}", 0),
    ],
)
def test_match_chooses(match: str, count: int, tmp_path: Path) -> None:
    assert len(check(repository(tmp_path, STORAGE, a=policy("false", match=match)))) == count


def test_a_warning_is_one(tmp_path: Path) -> None:
    found = check(repository(tmp_path, STORAGE, a=policy("false", severity="warning")))
    assert {finding.severity for finding in found} == {Severity.WARNING}


def test_the_record_is_whole(tmp_path: Path) -> None:
    rule = "release.tags == {} && release.mlmodel != null && release.run.id != '' && release.version != ''"
    assert check(repository(tmp_path, STORAGE, a=policy(rule))) == ()


def test_a_missing_field_is_not_passed(tmp_path: Path) -> None:
    found = check(repository(tmp_path, STORAGE, a=policy("object.spec.predictor.nosuch == 1")))
    assert len(found) == 2
    assert "cannot be evaluated: there is no field 'nosuch'; test for it with has(…)" in found[0].message
    assert "policies/a.yaml:4" in found[0].hint or "policies/a.yaml:3" in found[0].hint


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("object.spec ==", "mismatched input"),
        ("objekt.spec == 1", "'objekt' is unknown; the variables are env, model, object, release"),
        ("has(object.spec) || nosuch(object)", "function nosuch() does not exist"),
        ("object.?spec.hasValue()", "unsupported syntax '.?'"),
    ],
)
def test_an_expression_that_nobody_can_ask_is_named_with_its_line(expression: str, words: str, tmp_path: Path) -> None:
    root = repository(tmp_path, STORAGE, a=policy(expression, match="{kinds: [Nothing]}"))
    (finding,) = check(root)
    assert (finding.rule, finding.file, finding.line) == ("policy-invalid", "policies/a.yaml", 3)
    assert words in finding.message


def test_an_answer_of_the_wrong_type_is_found(tmp_path: Path) -> None:
    found = check(repository(tmp_path, STORAGE, a=policy("object.spec")))
    assert "returns a map, not true or false" in found[0].message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("policies:\n- id: p\n", 2, "expression: is required"),
        ("policies:\n- {id: p, expression: 'true', when: x}\n", 2, "when: is not a known field"),
        ("policies:\n- {id: P_1, expression: 'true'}\n", 2, "id: is"),
        ("policies:\n- {id: p, expression: 'true', severity: fatal}\n", 2, "error, warning"),
        ("policies:\n- {id: p, expression: 'true'}\n- {id: p, expression: 'true'}\n", 3, "also exists in"),
        ("overrides:\n- {policy: p, model: wine, environment: prod, reason: x, expires: soon}\n", 2, "a day"),
        ("overrides:\n- {policy: p, model: wine, environment: a, expires: '2027-01-01'}\n", 2, "reason: is required"),
        ("- id: p\n", 1, "is a list"),
        (f"policies:\n- {{id: p, expression: '{'1' * 5000}'}}\n", 2, "maximum is 4096"),
    ],
)
def test_a_wrong_file_is_found_with_the_line(text: str, line: int, words: str, tmp_path: Path) -> None:
    findings = check(repository(tmp_path, STORAGE, a=text))
    finding = next(found for found in findings if found.rule == "policy-invalid")
    assert (finding.file, finding.line) == ("policies/a.yaml", line)
    assert words in f"{finding.path.rpartition('.')[2]}: {finding.message}"


@pytest.mark.parametrize(
    "text",
    ["a: [", "\x00", "a: &a [*a]", "overrides:\n- expires: 2027-01-01\n", "[" * 5000, "<<<<<<< HEAD\n", "a: 1\na: 2\n"],
)
def test_what_is_no_yaml_is_a_finding_and_the_other_files_count(text: str, tmp_path: Path) -> None:
    findings = check(repository(tmp_path, STORAGE, a=text, b=NEVER))
    assert [finding.rule for finding in findings if finding.file == "policies/a.yaml"] == ["yaml-invalid"]
    assert "policy/p" in {finding.rule for finding in findings}


def test_a_link_out_of_the_repository_is_not_read(tmp_path: Path) -> None:
    root = repository(tmp_path, STORAGE, b=NEVER)
    (tmp_path / "secret.yaml").write_text("token: 1\n")
    (root / "policies/a.yaml").symlink_to(tmp_path / "secret.yaml")
    assert "symlink" in next(found for found in check(root) if found.file == "policies/a.yaml").message


def test_an_override_holds_until_its_last_day(tmp_path: Path) -> None:
    root = repository(tmp_path, STORAGE, a=NEVER, overrides=override())
    assert check(root) == ()
    late = validate(root, ValidateOptions(today=date(2026, 11, 21))).findings
    assert sorted(finding.rule for finding in late) == ["override-expired", "policy/p"]
    (ended,) = (finding for finding in late if finding.rule == "override-expired")
    assert (ended.file, ended.line, ended.severity) == ("policies/overrides.yaml", 2, Severity.ERROR)
    assert "expired on 2026-11-20: agreed in T-1" in ended.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"policy": "q"}, "no policy 'q'"),
        ({"model": "beer"}, "no model 'beer'"),
        ({"environment": "live"}, "no environment 'live'"),
        ({"expires": '"2026-02-30"'}, "not a day of the calendar"),
    ],
)
def test_an_override_of_what_is_not_there_is_found_and_does_not_hold(
    changes: dict[str, str], words: str, tmp_path: Path
) -> None:
    findings = check(repository(tmp_path, STORAGE, a=NEVER, overrides=override(**changes)))
    assert sorted(finding.rule for finding in findings) == ["override-unknown", "policy/p"]
    assert words in next(finding for finding in findings if finding.rule == "override-unknown").message


def test_an_override_that_nothing_needs_is_a_warning(tmp_path: Path) -> None:
    root = repository(tmp_path, STORAGE, a=policy("true"), overrides=override())
    (finding,) = check(root)
    assert (finding.rule, finding.severity) == ("override-unused", Severity.WARNING)
    assert check(root, environments="staging") == ()


def test_an_override_is_for_one_environment_only(tmp_path: Path) -> None:
    findings = check(repository(tmp_path, STORAGE, a=policy("false"), overrides=override()))
    assert [finding.environment for finding in findings] == ["staging"]


def test_a_scope_asks_only_what_it_is_about(tmp_path: Path) -> None:
    assert check(repository(tmp_path, STORAGE, a=NEVER), environments="staging") == ()


def test_a_policy_over_containers(tmp_path: Path) -> None:
    every = "object.spec.predictor.containers.all(c, c.image.contains('@sha256:'))"
    rule = f"!has(object.spec.predictor.containers) || {every}"
    findings = check(repository(tmp_path, IMAGE, a=policy(rule, message="use a digest")))
    assert all(finding.rule == "policy/p" and "use a digest" in finding.message for finding in findings)


def test_an_endless_policy_ends_with_a_finding(tmp_path: Path) -> None:
    inner = "true"
    for name in "fedcba":
        inner = f"[1,2,3,4,5,6,7,8,9,0].map(i, i).all({name}, [1,2,3,4,5,6,7,8,9,0].all({name}{name}, {inner}))"
    findings = check(repository(tmp_path, STORAGE, a=policy(inner), b=NEVER.replace("id: p", "id: q")))
    assert sorted(finding.rule for finding in findings) == ["policy/p", "policy/p", "policy/q"]
    assert "processor time" in next(f.message for f in findings if f.rule == "policy/p")


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository(tmp_path_factory.mktemp("policy"), STORAGE, a="")


@settings(max_examples=10, deadline=None, suppress_health_check=SHARED_FIXTURES)
@given(st.text(max_size=80) | st.text("object.spec[]()&|!='\" 1", max_size=60))
def test_whatever_an_expression_says_m2g_answers(golden: Path, expression: str) -> None:
    import json

    (golden / "policies/a.yaml").write_text(f"policies:\n- {{id: p, expression: {json.dumps(expression)}}}\n")
    assert all(finding.message for finding in check(golden))


def test_every_example_of_the_scaffold_can_be_asked(tmp_path: Path) -> None:
    """Also those that are comments; on a model that is served from storage and one that is an image."""
    scaffolded = resources.find_root() / "template/policies/serving.yaml.jinja"
    active, more, examples = scaffolded.read_text().partition("# More policies")
    active = re.sub(r"\[%- elif.*?\[%- endif %\]", "", active, flags=re.DOTALL)  # those for KServe
    active = re.sub(r"\[%-.*?%\]\n", "", active)
    text = active + more + re.sub(r"^#(?=  )", "", examples, flags=re.MULTILINE)
    text = re.sub(r"\[\[ protected .*?\]\]", '"prod"', text)
    text = re.sub(r"\[\[ \(.*?\) \| to_json \]\]", '"s3://mlflow/"', text)
    for case in (STORAGE, IMAGE):
        findings = check(repository(tmp_path, case, serving=text))
        assert not [finding for finding in findings if finding.rule == "policy-invalid"], findings
        assert not [finding for finding in findings if "cannot be evaluated" in finding.message], findings
        assert {finding.rule for finding in findings} >= {"policy/owner", "policy/approved"}
