"""Check what the objects in platform/ allow against the bounds of m2g.yaml: projects, roles, sources, accounts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeAlias

from msgspec import UNSET

from m2g.core.config_types import Bounds, Config
from m2g.core.finding import Finding, Severity
from m2g.core.manifest import Manifest, get_at, name_kind
from m2g.core.sanitize import make_visible
from m2g.core.schema_errors import Violation
from m2g.kustomize import RawFile
from m2g.repository import layout
from m2g.repository.layout import CONFIG
from m2g.validation.bounds import list_allowed_kinds
from m2g.validation.platform_flux import check_flux
from m2g.validation.platform_kustomizations import KINDS as KUSTOMIZATIONS
from m2g.validation.platform_kustomizations import check_kustomization
from m2g.validation.platform_namespaces import check_namespaces
from m2g.validation.platform_policies import check_policy

_PROJECT, _APPLICATIONS = "AppProject.argoproj.io", "ApplicationSet.argoproj.io"
_RBAC = ".rbac.authorization.k8s.io"
_ROLES = (f"Role{_RBAC}", f"ClusterRole{_RBAC}")
_BINDINGS = (f"RoleBinding{_RBAC}", f"ClusterRoleBinding{_RBAC}")
_FLUX = "Kustomization.kustomize.toolkit.fluxcd.io"
_SOURCE = "GitRepository.source.toolkit.fluxcd.io"
_READING = frozenset({"get", "list", "watch"})
_GLOB = re.compile(r"[*?\[\]{}!]")
_SHOWN = 100
Placed: TypeAlias = tuple[RawFile, int, Manifest]
"""A file, the index of one of its objects, and the object."""


def check_platform(config: Config, files: Iterable[RawFile]) -> Iterator[Finding]:
    """The findings about objects in platform/ that allow more than the bounds, or that contradict m2g.yaml."""
    installs = config.platform is not UNSET  # m2g's own, compared byte for byte with what m2g.yaml says
    files = list(files)
    objects = [
        (file, index, item)
        for file in files
        if layout.find_top_folder(file.file) == layout.PLATFORM and not (installs and layout.is_install(file.file))
        for index, item in enumerate(file.objects)
        if isinstance(item, dict)
    ]
    roles = {(name_kind(item), str(get_at(item, "metadata", "name"))) for _, _, item in objects}
    projects = {
        str(get_at(item, "metadata", "name"))
        for _, _, item in objects
        if name_kind(item) == _PROJECT and _find_reached(config, item)
    }
    accounts = {
        (str(get_at(item, "metadata", "namespace")), str(get_at(item, "metadata", "name")))
        for _, _, item in objects
        if name_kind(item) == "ServiceAccount"
    }
    checked = {file.file for file in files if not file.error}
    for placed in objects:
        file, _, item = placed
        match name_kind(item):
            case kind if kind in KUSTOMIZATIONS - set(config.sync.bounds.platform):
                yield from _locate(placed, check_kustomization(item, file.file, checked))
            case kind if kind == _PROJECT:
                yield from _locate(placed, _check_project(config, item))
            case kind if kind == _APPLICATIONS:
                yield from _locate(placed, _check_applications(item, projects))
            case kind if kind in _ROLES:
                yield from _locate(placed, _check_role(config, item))
            case kind if kind in _BINDINGS:
                yield from _locate(placed, _check_binding(item, roles, accounts))
            case kind if kind == _FLUX:
                yield from _locate(
                    placed, check_flux(item, accounts, layout.from_git_root(config.sync.path, layout.FLEET))
                )
                yield from _locate(placed, check_policy(item, [other for _, _, other in objects]))
    yield from _check_sources(config.sync.bounds, objects)
    yield from _check_namespaces(config, objects)
    yield from check_namespaces(config, files)


def _locate(placed: Placed, violations: Iterable[Violation]) -> Iterator[Finding]:
    file, index, _ = placed
    for violation in violations:
        yield Finding(
            rule="platform-bounds",
            file=file.file,
            line=file.find_line(index, violation.where),
            path=violation.path,
            message=violation.message,
            hint=violation.hint,
        )


def _check_project(config: Config, item: Manifest) -> Iterator[Violation]:
    if not _find_reached(config, item):
        return  # a project of its own, for something else than models
    allowed = list_allowed_kinds(config.sync.bounds)
    where = ("spec", "namespaceResourceWhitelist")
    listed = get_at(item, *where)
    if not isinstance(listed, list):
        kinds = ", ".join(_format_kind(kind) for kind in sorted(allowed))
        yield Violation(
            where=("spec",),
            message="allows every kind, because it has no namespaceResourceWhitelist",
            hint=f"set spec.namespaceResourceWhitelist: [{kinds}]",
        )
        return
    for field in ("namespaceResourceWhitelist", "clusterResourceWhitelist"):
        entries = get_at(item, "spec", field)
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            kind = _name_entry(entry)
            if kind not in allowed:
                yield Violation(
                    where=("spec", field, index),
                    message=f"allows {make_visible(kind, _SHOWN)}, which is outside the bounds of {CONFIG}",
                    hint="remove this entry; `copier update` brings the list of the scaffold",
                )
    for kind in sorted(allowed - {_name_entry(entry) for entry in listed}):
        yield Violation(
            where=where,
            message=f"does not allow {kind}, which is inside the bounds of {CONFIG}: Argo CD refuses it",
            hint=f"add this entry: {_format_kind(kind)}",
        )
    namespaces = {place.namespace for place in config.environments.values()}
    for index, namespace in enumerate(_list_destinations(item)):
        if _GLOB.search(namespace) or namespace not in {*namespaces, *config.sync.bounds.namespaces}:
            yield Violation(
                where=("spec", "destinations", index, "namespace"),
                message=f"allows the namespace {make_visible(namespace, _SHOWN)}",
                hint=f"name one namespace: {', '.join(sorted(namespaces))}",
            )


def _find_reached(config: Config, project: Manifest) -> list[str]:
    """The environments whose namespace a project allows."""
    patterns = [
        re.compile("".join(".*" if char == "*" else "." if char in "?[]{}!" else re.escape(char) for char in pattern))
        for pattern in _list_destinations(project)
    ]
    return [
        name
        for name, place in config.environments.items()
        if any(pattern.fullmatch(place.namespace) for pattern in patterns)
    ]


def _list_destinations(project: Manifest) -> list[str]:
    found = get_at(project, "spec", "destinations")
    return [str(get_at(entry, "namespace") or "*") for entry in found] if isinstance(found, list) else []


def _name_entry(entry: object) -> str:
    group = str(get_at(entry, "group") or "")
    return f"{get_at(entry, 'kind')}.{group}" if group else str(get_at(entry, "kind"))


def _format_kind(name: str) -> str:
    kind, _, group = name.partition(".")
    return f"{{group: {group or chr(34) * 2}, kind: {kind}}}"


def _check_applications(item: Manifest, projects: Collection[str]) -> Iterator[Violation]:
    where = ("spec", "template", "spec", "project")
    project = str(get_at(item, *where))
    if project not in projects:
        yield Violation(
            where=where,
            message=f"the project {make_visible(project, _SHOWN)} is not one of the models' projects in platform/",
            hint=f"use one of: {', '.join(sorted(projects))}"
            if projects
            else "write an AppProject for the environment",
        )

    for place in (("spec", "templatePatch"), *_find_templates(get_at(item, "spec", "generators"))):
        if get_at(item, *place) is not None:
            yield Violation(
                where=place,
                message="changes the Applications after their template: their project, source and cluster, too",
                hint="remove it; change spec.template in place of it",
            )


def _find_templates(node: object) -> Iterator[tuple[str | int, ...]]:
    """Where generators, also nested ones, have a template of their own. Argo CD merges it over the main one."""
    waiting: list[tuple[object, tuple[str | int, ...]]] = [(node, ("spec", "generators"))]
    while waiting:
        node, where = waiting.pop()
        if isinstance(node, Mapping):
            for key, value in node.items():
                if key == "template":
                    yield (*where, key)
                elif key not in ("elements", "values"):
                    waiting.append((value, (*where, str(key))))
        elif isinstance(node, list):
            waiting += ((value, (*where, index)) for index, value in enumerate(node))


def _check_role(config: Config, item: Manifest) -> Iterator[Violation]:
    rules = get_at(item, "rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        if reason := _find_excess(config, item, rule):
            yield Violation(
                where=("rules", index),
                message=f"allows {make_visible(reason, 2 * _SHOWN)}, which is outside the bounds of {CONFIG}",
                hint="remove this rule; `copier update` brings the rules of the scaffold",
            )
    if get_at(item, "aggregationRule"):
        yield Violation(where=("aggregationRule",), message="takes rules of other roles", hint="write the rules here")


def _find_excess(config: Config, role: Manifest, rule: object) -> str:
    """What a rule allows that an account of Argo CD or Flux does not need; empty for nothing."""
    groups, resources, verbs, names = (
        {str(one) for one in found} if isinstance(found := get_at(rule, key), list) else set[str]()
        for key in ("apiGroups", "resources", "verbs", "resourceNames")
    )
    if get_at(rule, "nonResourceURLs"):
        return "addresses of the API server"
    if "*" in groups | resources | verbs:
        return "everything (*)"
    whole = {f"{resource}.{group}".rstrip(".") for group in groups for resource in resources}
    if whole & {"secrets"}:
        return "Secrets"
    if verbs <= _READING:
        return ""
    namespace = str(get_at(role, "metadata", "namespace") or "")
    namespaces = {place.namespace for place in config.environments.values()}
    needed = (
        {name_resource(kind) for kind in list_allowed_kinds(config.sync.bounds)} if namespace in namespaces else set()
    )
    if names:
        needed |= {"serviceaccounts"} if namespace in namespaces else set()
        needed |= {"namespaces"} if names <= namespaces else set()
    if namespace and namespace not in namespaces:
        needed |= {"kustomizations.kustomize.toolkit.fluxcd.io"}
    excess = whole - needed
    if excess:
        return f"to change {', '.join(sorted(excess))}"
    special = verbs & {"impersonate", "bind", "escalate", "use"}
    return f"to {', '.join(sorted(special))}" if special else ""


def name_resource(kind: str) -> str:
    """The resource of a kind as Kubernetes guesses it (apimachinery, UnsafeGuessKindToResource), with its group."""
    name, dot, group = kind.partition(".")
    lower = name.lower()
    if lower.endswith("s"):
        plural = f"{lower}es"
    elif lower.endswith("y"):
        plural = f"{lower[:-1]}ies"
    else:
        plural = f"{lower}s"
    return f"{plural}{dot}{group}"


def _check_binding(
    item: Manifest, roles: Collection[tuple[str, str]], accounts: Collection[tuple[str, str]]
) -> Iterator[Violation]:
    kind, name = str(get_at(item, "roleRef", "kind")), str(get_at(item, "roleRef", "name"))
    if (f"{kind}{_RBAC}", name) not in roles:
        yield Violation(
            where=("roleRef",),
            message=f"gives the rights of {make_visible(kind, _SHOWN)} {make_visible(name, _SHOWN)}, which is not in "
            "platform/",
            hint="write a Role with the rights into the same file, and name that Role",
        )
    subjects = get_at(item, "subjects")
    for index, subject in enumerate(subjects if isinstance(subjects, list) else []):
        account = (str(get_at(subject, "namespace")), str(get_at(subject, "name")))
        if get_at(subject, "kind") != "ServiceAccount" or account not in accounts:
            shown = make_visible(f"{get_at(subject, 'kind')} {account[1]}", _SHOWN)
            yield Violation(
                where=("subjects", index),
                message=f"gives the rights to {shown}, which is no ServiceAccount in platform/",
                hint="name an account of platform/; give people their rights outside of this repository",
            )


def _check_sources(bounds: Bounds, objects: Iterable[Placed]) -> Iterator[Finding]:
    """The URLs that objects in platform/ read: those of the bounds, or the same one everywhere."""
    allowed = {_normalize(url) for url in bounds.sources}
    for placed in objects:
        for where, url in _list_sources(placed[2]):
            allowed = allowed or {_normalize(url)}
            if _normalize(url) not in allowed:
                shown = make_visible(url, 2 * _SHOWN)
                yield from _locate(
                    placed,
                    [
                        Violation(
                            where=where,
                            message=f"reads {shown}, and not {' or '.join(sorted(allowed))}",
                            hint=f"use that repository, or write every URL to {CONFIG}: "
                            f"sync: {{bounds: {{sources: [{', '.join(sorted({*bounds.sources, url}))}]}}}}",
                        )
                    ],
                )


def _list_sources(item: Manifest) -> Iterator[tuple[tuple[str | int, ...], str]]:
    kind = name_kind(item)
    if kind == _SOURCE:
        yield ("spec", "url"), str(get_at(item, "spec", "url"))
    elif kind == _PROJECT:
        found = get_at(item, "spec", "sourceRepos")
        for index, url in enumerate(found if isinstance(found, list) else []):
            yield ("spec", "sourceRepos", index), str(url)
    elif kind.endswith(".argoproj.io"):
        yield from _find_urls(item, ())


def _find_urls(node: object, where: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    waiting: list[tuple[object, tuple[str | int, ...]]] = [(node, where)]
    while waiting:
        node, where = waiting.pop()
        if isinstance(node, Mapping):
            for key, value in node.items():
                here = (*where, str(key))
                if key == "repoURL":
                    yield here, str(value)
                else:
                    waiting.append((value, here))
        elif isinstance(node, list):
            waiting += ((value, (*where, index)) for index, value in enumerate(node))


def _normalize(url: str) -> str:
    """Host and path: `git@host:a/b.git`, `ssh://git@host/a/b` and `https://host/a/b` are the same repository."""
    scheme, found, rest = url.partition("://")
    rest = rest if found else scheme.replace(":", "/", 1)
    return rest.rpartition("@")[2].removesuffix("/").removesuffix(".git").lower()


def _check_namespaces(config: Config, objects: Iterable[Placed]) -> Iterator[Finding]:
    """What m2g.yaml and the projects both say: the namespace of each environment."""
    projects = [item for _, _, item in objects if name_kind(item) == _PROJECT]
    reached = {name for item in projects for name in _find_reached(config, item)}
    for name, place in config.environments.items() if projects else ():
        if name not in reached:
            yield Finding(
                rule="project-missing",
                severity=Severity.WARNING,
                file=CONFIG,
                path=f"environments.{name}.namespace",
                environment=name,
                message=f"no AppProject in platform/ allows {place.namespace}, so Argo CD refuses the models",
                hint="bring platform/ in line: m2g scaffold; or, in an AppProject of your own, write: "
                f"destinations: [{{server: '*', namespace: {place.namespace}}}]",
            )
