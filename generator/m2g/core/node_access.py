"""Find what gives a pod access to its node: what the Pod Security Standard `baseline` of Kubernetes forbids.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from m2g.core.field_path import FieldPath
from m2g.core.manifest import get_at

_FLAGS = frozenset({"hostNetwork", "hostPID", "hostIPC", "hostProcess", "privileged"})
_CAPABILITIES = frozenset(
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID "
    "SYS_CHROOT".split()
)
_SYSCTLS = frozenset(
    "kernel.shm_rmid_forced net.ipv4.ip_local_port_range net.ipv4.ip_unprivileged_port_start net.ipv4.tcp_syncookies "
    "net.ipv4.ping_group_range net.ipv4.ip_local_reserved_ports net.ipv4.tcp_keepalive_time "
    "net.ipv4.tcp_fin_timeout net.ipv4.tcp_keepalive_intvl net.ipv4.tcp_keepalive_probes".split()
)
_SELINUX = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})


def find_node_access(item: object) -> Iterator[FieldPath]:
    """The fields of an object that do so, wherever they are: kinds without a schema may have pods, too."""
    waiting: list[tuple[object, tuple[str | int, ...]]] = [(item, ())]
    while waiting:
        node, where = waiting.pop()
        if isinstance(node, Mapping):
            for key, value in node.items():
                here = (*where, str(key))
                if _gives_access(str(key), value):
                    yield here
                elif isinstance(value, Mapping | list):
                    waiting.append((value, here))
        elif isinstance(node, list):
            waiting += ((value, (*where, index)) for index, value in enumerate(node))


def _gives_access(key: str, value: object) -> bool:
    match key:
        case "hostPath":
            return isinstance(value, Mapping)
        case "hostPort":
            return isinstance(value, int | str) and value not in (0, "", "0")
        case "procMount":
            return value not in (None, "Default")
        case "capabilities":
            added = get_at(value, "add")
            return isinstance(added, list) and any(str(name) not in _CAPABILITIES for name in added)
        case "seccompProfile" | "appArmorProfile":
            return get_at(value, "type") == "Unconfined"
        case "seLinuxOptions":
            kind = str(get_at(value, "type") or "")
            return bool(get_at(value, "user") or get_at(value, "role")) or kind not in _SELINUX
        case "sysctls":
            return isinstance(value, list) and any(str(get_at(entry, "name")) not in _SYSCTLS for entry in value)
        case "pod-security.kubernetes.io/enforce":  # of a namespace: no standard at all
            return value == "privileged"
        case annotation if annotation.startswith("container.apparmor.security.beta.kubernetes.io/"):
            return not str(value).startswith(("runtime/default", "localhost/"))
        case _:
            return key in _FLAGS and bool(value)
