"""What somebody would like to slip into a cluster through the repository, merged by force."""

from __future__ import annotations

COMPONENT = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources: [{files}]
"""
OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [{files}]
"""
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: stray
spec:
  hostPID: true
  containers:
    - name: shell
      image: example.com/shell:1
"""
PRIVILEGED = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: stray
spec:
  selector:
    matchLabels: {app: stray}
  template:
    metadata:
      labels: {app: stray}
    spec:
      containers:
        - name: shell
          image: example.com/shell:1
          securityContext: {privileged: true}
          volumeMounts: [{name: host, mountPath: /host}]
      volumes: [{name: host, hostPath: {path: /}}]
"""
SECRET = """\
apiVersion: v1
kind: Secret
metadata:
  name: stray
stringData: {token: text}
"""
_BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: NAME
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: cluster-admin
subjects:
  - kind: ServiceAccount
    name: models
    namespace: NAMESPACE
"""
_ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: NAME
rules:
  - {apiGroups: [""], resources: [secrets], verbs: [get]}
"""
_ELSEWHERE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: stray
  namespace: NAMESPACE
data: {text: stray}
"""
_CHILD = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: NAME
  namespace: flux-system
spec:
  interval: 10m
  path: PATH
  prune: true
  sourceRef:
    kind: GitRepository
    name: models
"""
SOURCE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata:
  name: stray
  namespace: flux-system
spec:
  interval: 1m
  url: https://git.example.com/somebody/else.git
"""


def binding(name: str, namespace: str) -> str:
    """The models' account of a namespace becomes the administrator of the cluster."""
    return _BINDING.replace("NAMESPACE", namespace).replace("NAME", name)


def role(name: str) -> str:
    """A ClusterRole that reads all Secrets."""
    return _ROLE.replace("NAME", name)


def elsewhere(namespace: str) -> str:
    """A ConfigMap in a namespace of somebody else. Its kind is one that components may add."""
    return _ELSEWHERE.replace("NAMESPACE", namespace)


def child(path: str, name: str = "zz.dev") -> str:
    """A Kustomization of Flux that names no account."""
    return _CHILD.replace("PATH", path).replace("NAME", name)
