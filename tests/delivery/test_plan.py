"""What becomes of a proposal: a table of wanted files, branches and pull requests. Nothing here touches anything."""

from __future__ import annotations

import pytest

from m2g.core.proposal_types import Proposals
from m2g.core.results import ChangeKind
from m2g.delivery.grouping import Names
from m2g.delivery.marker import Marker, read_marker, replace_marker, write_marker
from m2g.delivery.plan import Rules, State, find_declined, find_uncovered, make_plan
from m2g.delivery.values import Head, Moved, Wanted
from m2g.delivery.words import digest_files, list_identities, list_trailers, write_body, write_title
from m2g.forge import Pull, PullState

BRANCH = "m2g/prod/wine"
NAMES = Names(prefix="m2g/")
OWN, OLD, FOREIGN = (
    Head(oid="a" * 40, own=True, fresh=True),
    Head(oid="b" * 40, own=True),
    Head(oid="c" * 40, own=False),
)


def moved(after: str = "2", model: str = "wine", **changes: str) -> Moved:
    values = {"slug": "wine", "environment": "prod", "before": "1", **changes}
    return Moved(kind=ChangeKind.CHANGED, model=model, after=after, **values)


def wanted(after: str = "2", branch: str = BRANCH, blocked: str = "") -> Wanted:
    files = {"models/wine/releases/prod.json": after.encode()}
    return Wanted(branch=branch, moved=(moved(after),), files=files, removals=frozenset(), blocked=blocked)


def pull(
    one: Wanted,
    state: PullState = PullState.OPEN,
    number: int = 1,
    *,
    labels: tuple[str, ...] = ("env/prod",),
    **changes: object,
) -> Pull:
    marker = Marker(identities=list_identities(one), files=digest_files(one), **changes)  # type: ignore[arg-type]
    return Pull(
        number=number, url="", branch=one.branch, base="main", state=state, body=write_marker(marker), labels=labels
    )


def plan(
    *ones: Wanted,
    head: Head | None = None,
    pulls: tuple[Pull, ...] = (),
    rules: Rules | None = None,
    certain: bool = True,
) -> list[tuple[str, str, bool, bool]]:
    """(action, why, push, delete) of each step."""
    there = {one.branch: one for one in pulls if one.state is PullState.OPEN}
    closed = tuple(one for one in pulls if one.state is not PullState.OPEN)
    state = State(heads={} if head is None else {BRANCH: head}, open=there, closed=closed)
    steps = make_plan(ones, state, rules or Rules(), is_certain=lambda branch: certain)
    return [(str(one.action), one.why, one.push, one.delete) for one in steps]


@pytest.mark.parametrize(
    ("ones", "head", "pulls", "expected"),
    [
        ((wanted(),), None, (), ("create", "new", True, False)),
        ((wanted(),), OWN, (), ("create", "its branch is there, its pull request is not", False, False)),
        ((wanted(),), OWN, (pull(wanted()),), ("leave", "up to date", False, False)),
        ((wanted("3"),), OLD, (pull(wanted("2")),), ("update", "supersedes version 2", True, False)),
        ((wanted("3"),), OWN, (pull(wanted("2")),), ("update", "supersedes version 2", False, False)),
        ((wanted(),), OLD, (pull(wanted()),), ("update", "its files are not what m2g writes on top of", True, False)),
        ((wanted(),), OWN, (pull(wanted(), closed=True),), ("update", "its description", False, False)),
        ((wanted(),), None, (pull(wanted("1"), PullState.MERGED),), ("create", "new; #1 was merged", True, False)),
        ((wanted(),), FOREIGN, (pull(wanted()),), ("leave", "has a commit that is not m2g's", False, False)),
        ((wanted(blocked="waits"),), None, (), ("wait", "waits", False, False)),
        ((), OWN, (pull(wanted()),), ("close", "nothing left to change", False, True)),
        ((), OWN, (), ("close", "nothing left to change", False, True)),
        ((), FOREIGN, (), ("leave", "has a commit that is not m2g's", False, False)),
        ((), None, (pull(wanted()),), ("close", "nothing left to change", False, False)),
    ],
)
def test_one_branch(
    ones: tuple[Wanted, ...], head: Head | None, pulls: tuple[Pull, ...], expected: tuple[str, str, bool, bool]
) -> None:
    ((action, why, push, delete),) = plan(*ones, head=head, pulls=pulls)
    assert (action, push, delete) == (expected[0], *expected[2:])
    assert expected[1] in why


def test_what_this_run_does_not_know_is_not_closed() -> None:
    ((action, why, _, delete),) = plan(head=OWN, pulls=(pull(wanted()),), certain=False)
    assert (action, delete) == ("leave", False)
    assert "does not know" in why


def test_labels_that_are_missing_are_added() -> None:
    rules = Rules(labels=("m2g",))
    assert plan(wanted(), head=OWN, pulls=(pull(wanted()),), rules=rules)[0][0] == "update"
    assert (
        plan(wanted(), head=OWN, pulls=(pull(wanted(), labels=("m2g", "env/prod", "x")),), rules=rules)[0][0] == "leave"
    )


def test_limits_let_the_rest_wait() -> None:
    ones = [wanted(branch=f"m2g/prod/m{number}") for number in range(4)]
    assert [step[0] for step in plan(*ones, rules=Rules(max_per_run=2))] == ["create", "create", "wait", "wait"]
    there = pull(wanted(branch="m2g/prod/m0"))
    assert [step[0] for step in plan(*ones, pulls=(there,), rules=Rules(max_open=2))][1:] == ["create", "wait", "wait"]


@pytest.mark.parametrize(
    ("pulls", "reopen", "declined"),
    [
        ((), (), False),
        ((pull(wanted(), PullState.CLOSED),), (), True),
        ((pull(wanted(), PullState.CLOSED),), ("wine",), False),
        ((pull(wanted(), PullState.CLOSED),), ("churn",), True),
        ((pull(wanted(), PullState.CLOSED, closed=True),), (), False),  # m2g closed it
        ((pull(wanted(), PullState.MERGED),), (), False),
        ((pull(wanted("3"), PullState.CLOSED),), (), False),  # another version
        ((pull(wanted(), PullState.CLOSED), pull(wanted(), PullState.OPEN, 2)), (), False),  # opened again
        ((pull(wanted(), PullState.MERGED, 2), pull(wanted(), PullState.CLOSED)), (), False),  # the newest decides
    ],
)
def test_what_somebody_closed_stays_closed_for_that_version(
    pulls: tuple[Pull, ...], reopen: tuple[str, ...], declined: bool
) -> None:
    there = {one.branch: one for one in pulls if one.state is PullState.OPEN}
    state = State(heads={}, open=there, closed=tuple(one for one in pulls if one.state is not PullState.OPEN))
    new = find_uncovered([moved()], lambda one: BRANCH, state)
    assert bool(find_declined(new, state, reopen)) is declined


def test_another_image_of_a_version_is_not_declined_and_other_facts_are() -> None:
    digest = "sha256:" + "0" * 64
    assert moved(image=f"a/b@{digest}").identity == moved(image=f"c/d@{digest}").identity != moved().identity
    assert moved(run="r1", model="Wine").identity == moved(run="r2").identity


def test_the_upgrade_is_declined_by_its_files() -> None:
    upgrade = Wanted(branch=NAMES.upgrade, moved=(), files={"models/wine/base/a.yaml": b"1"}, removals=frozenset())
    state = State(heads={}, open={}, closed=(pull(upgrade, PullState.CLOSED),))
    assert [step.action for step in make_plan([upgrade], state, Rules())] == ["leave"]
    assert [step.action for step in make_plan([upgrade], state, Rules(reopen=frozenset({"upgrade"})))] == ["create"]


HOSTILE = [
    "-->",
    "a\nM2g-Tree: x",
    "<!-- m2g:proposal {} -->",
    "@ada #1",
    "${{ secrets.X }}",
    "`$(id)`",
    "\u202e\x1b[31m",
    "x" * 9000,
]


@pytest.mark.attack
@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_of_the_registry_stays_data(name: str) -> None:
    one = Wanted(branch=BRANCH, moved=(moved(model=name),), files={}, removals=frozenset())
    assert NAMES.name(one.moved[0], Proposals(), {}) == BRANCH
    assert write_title(one) == "wine (prod): 1 → 2"
    body, marker = write_body(one, "review", None)
    assert read_marker(body) == marker
    assert body.count("-->") == 1
    assert all("\n" not in key for key, _ in list_trailers(one))


@pytest.mark.attack
def test_a_marker_survives_what_is_in_it() -> None:
    marker = Marker(identities=("--><!-- \u2028 & </a>",), superseded=("x",))
    line = write_marker(marker)
    assert line.count("-->") == 1
    assert "\n" not in line
    assert read_marker(f"before\n{line}\nafter") == marker
    assert read_marker("<!-- m2g:proposal {broken -->") is None
    edited = replace_marker(f"mine\n{line}\nmore", Marker(edited="abc"))
    assert read_marker(edited) == Marker(edited="abc")
    assert edited.startswith("mine\n")


@pytest.mark.parametrize("environment", ["prod", "model", "env", "group", "fleet", "upgrade"])
def test_no_branch_is_in_the_way_of_another(environment: str) -> None:
    rules = [
        Proposals(per="model-and-environment"),
        Proposals(per="model"),
        Proposals(per="environment"),
        Proposals(per="group", groups={"g": ("*",)}),
        Proposals(per="fleet"),
    ]
    names = {NAMES.name(moved(environment=environment), one, {}) for one in rules} | {NAMES.upgrade}
    assert len(names) == 6
    assert not any(one != other and f"{other}/".startswith(f"{one}/") for one in names for other in names)
    for name in names - {NAMES.upgrade}:
        assert NAMES.concerns(name, "wine", environment)
