"""The part of m2g.yaml that says how `m2g sync` proposes changes."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from m2g.core.model import Value

_Text = Annotated[str, Meta(min_length=1, max_length=200)]
_Label = Annotated[
    str,
    Meta(
        max_length=50,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]*$",
        description="a label; use letters, digits, spaces and . _ : / -, at most 50 characters",
    ),
]
_Branch = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$",
        description="a branch; write it like main or release/2026",
    ),
]
_User = Annotated[
    str,
    Meta(
        max_length=100,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="the name of a user on the forge, without @",
    ),
]
_Address = Annotated[
    str,
    Meta(
        max_length=300,
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?$",
        description="an address that begins with https:// or http://, without a user",
    ),
]
GroupName = Annotated[
    str,
    Meta(
        max_length=36,
        pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
        description="the name of a group; use lower-case letters, digits and '-', starting with a letter",
    ),
]


_Title = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=150,
        pattern=r"^([^{}\x00-\x1f\x7f]|\{(title|model|environment|version|before)\})+$",
        description="a title; it may contain {title}, {model}, {environment}, {version} and {before}",
    ),
]


class TagGroup(Value, frozen=True, kw_only=True):
    """The registered models with a tag."""

    tag: Annotated[str, Meta(min_length=1, max_length=500)]
    """The key, or `key=value`."""


class Author(Value, frozen=True, kw_only=True):
    """Who makes the commits."""

    name: Annotated[str, Meta(max_length=100, pattern=r"^[^<>\x00-\x1f\x7f]*[^<>\x00-\x20\x7f]$")] = "m2g"
    email: Annotated[str, Meta(max_length=200, pattern=r"^[^<>@\s\x00-\x1f]+@[^<>@\s\x00-\x1f]+$")] = (
        "m2g@users.noreply.github.com"
    )


class Proposals(Value, frozen=True, kw_only=True):
    """How `m2g sync` proposes changes: what one pull request contains, and how many there may be."""

    per: Literal["model-and-environment", "model", "environment", "group", "fleet"] = "model-and-environment"
    """What one pull request contains: the change of one model in one environment, all changes of a model, of an
    environment or of a group of models, or everything."""
    groups: dict[GroupName, tuple[_Text, ...] | TagGroup] = {}
    """With `per: group`, name to patterns of registered models (`*`, `?`, `[…]`), or to a tag of theirs
    (`{tag: team=risk}`). The first group that fits takes the model; a model without a group has pull requests of its
    own."""
    direct: tuple[_Text, ...] = ()
    """Environments whose changes m2g commits to the branch itself, without a pull request."""
    forge: Literal["auto", "github", "gitlab", "gitea", "none"] = "auto"
    """The service that has the pull requests. `auto` takes what the address of the remote or the variables of CI name;
    `none` only pushes branches."""
    api: _Address | UnsetType = UNSET
    """The address of the forge's API, if it is not where the forge usually has it on the remote's host. The token goes
    there."""
    branch: _Branch | UnsetType = UNSET
    """The branch to change. The default is the default branch of the remote."""
    branch_prefix: Annotated[
        str,
        Meta(
            max_length=60,
            pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$",
            description="the beginning of the names of branches; use lower-case letters, digits and . _ - /",
        ),
    ] = "m2g"
    """How the names of m2g's branches begin: `m2g/prod/wine`. If m2g.yaml is in a folder of the repository, the folder
    follows: `m2g.fleet/prod/wine`. Branches with another prefix are not m2g's any more: close their pull requests
    first."""
    title: _Title = "{title}"
    """The title of each pull request and commit: `feat: {title}`. `{title}` is what m2g would write; `{model}` (the
    slug), `{environment}`, `{version}` and `{before}` say it in your own words, and are empty where a pull request has
    several."""
    labels: tuple[_Label, ...] = ("m2g",)
    """Labels of each pull request."""
    reviewers: tuple[_User, ...] = ()
    """Users who are asked to review each pull request."""
    assignees: tuple[_User, ...] = ()
    """Users to whom each pull request is assigned."""
    draft: bool = False
    """Open pull requests as drafts, where the forge has them."""
    auto_merge: tuple[_Text, ...] = ()
    """Environments whose pull requests the forge merges by itself as soon as its own rules allow it: protect the branch
    with required checks. m2g asks for that only if its own validation has no finding and no change is riskier than
    `routine`. GitHub, GitLab, Gitea and Forgejo can do this."""
    max_open: Annotated[int, Meta(ge=1, le=1000)] = 20
    """How many pull requests of m2g may be open at once. The others wait."""
    max_per_run: Annotated[int, Meta(ge=1, le=1000)] = 20
    """How many pull requests one run opens. The others wait for the next run."""
    max_per_hour: Annotated[int, Meta(ge=1, le=10_000)] = 200
    """How many pull requests of m2g may be opened within an hour. The others wait. GitHub allows 500 new issues, pull
    requests and comments in an hour."""
    author: Author = Author()
    """Who makes the commits."""
