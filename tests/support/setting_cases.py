"""For each setting a value that works, where it is in the object, and a value that does not."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """`good` and `wrong` are YAML. `path` is that of the finding, below the setting. `beside` are other settings that
    the good value needs. `object` is what stands at the setting's place, if it is not the value itself."""

    good: str
    wrong: str
    path: str = ""
    beside: str = ""
    object: str = ""


_VOLUME = "volumes: [{name: certs, configMap: {name: certs}}]"
CASES = {
    "backend": Case("kserve", "Kserve!"),
    "profile": Case("mlserver", "mlServer", object="{name: mlflow}"),
    "image": Case("ghcr.io/acme/wine@sha256:" + "0" * 64, "''", beside="profile: mlflow-image"),
    "imageServer": Case("mlflow", "torchserve"),
    "runtime": Case("our-mlserver", "Our_Server"),
    "minReplicas": Case("1", "-1"),
    "maxReplicas": Case("3", "many"),
    "autoscaler": Case("none", "vpa"),
    "scaleMetric": Case("memory", "gpu"),
    "scaleTarget": Case("60", "0"),
    "containerConcurrency": Case("4", "-1"),
    "deploymentStrategy": Case("Recreate", "BlueGreen", object="{type: Recreate}"),
    "timeoutSeconds": Case("60", "0"),
    "startupSeconds": Case("60", "0"),
    "resources": Case("{limits: {cpu: 2}}", "{limit: {cpu: 2}}", "limit"),
    "class": Case("gpu-a100", "GPU"),
    "gpus": Case("1", "1.5"),
    "gpuResource": Case("amd.com/gpu", "gpu"),
    "batch": Case("{input: s3://b/i.csv, output: s3://b/o.json}", "{inputs: x}", "inputs"),
    "serviceAccountName": Case("reader", "a b"),
    "storageSecretName": Case("rclone", "R_clone"),
    "env": Case(
        "{A: {valueFrom: {secretKeyRef: {name: token, key: value}}}, B: b}",
        "{A: {valueFrom: {secretKeyRef: {name: token}}}}",
        "A.valueFrom.secretKeyRef.key",
    ),
    "labels": Case("{team: risk}", "[team]"),
    "annotations": Case("{team: risk}", "{team: 1}", "team"),
    "nodeSelector": Case("{pool: gpu}", "pool"),
    "visibility": Case("cluster-local", "private"),
    "tolerations": Case(
        "[{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]", "[{key: gpu, value: 1}]", "[0].value"
    ),
    "affinity": Case(
        "{podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
        "[{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: wine}}}]}}",
        "{podAntiAfinity: {}}",
        "podAntiAfinity",
    ),
    "topologySpreadConstraints": Case(
        "[{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway, "
        "labelSelector: {matchLabels: {app: wine}}}]",
        "[{maxSkew: 1, topologyKey: zone}]",
        "[0].whenUnsatisfiable",
    ),
    "priorityClassName": Case("models", "Models"),
    "runtimeClassName": Case("nvidia", "nvidia!"),
    "schedulerName": Case("volcano", "''"),
    "imagePullSecrets": Case("[{name: ghcr}]", "[ghcr]", "[0]"),
    "podSecurity": Case("restricted", "privileged"),
    "podSecurityContext": Case("{fsGroup: 1000, runAsUser: 1000}", "{fsGroup: staff}", "fsGroup"),
    "securityContext": Case("{readOnlyRootFilesystem: true}", "{readOnly: true}", "readOnly"),
    "volumes": Case(
        "[{name: certs, configMap: {name: certs}}, {name: scratch, emptyDir: {sizeLimit: 1Gi}}, "
        "{name: data, persistentVolumeClaim: {claimName: data}}, "
        "{name: vault, csi: {driver: secrets-store.csi.k8s.io, volumeAttributes: {secretProviderClass: v}}}]",
        "[{name: node, hostPath: {path: /}}]",
        "[0].hostPath",
    ),
    "volumeMounts": Case(
        "[{name: certs, mountPath: /etc/certs, readOnly: true}]", "[{name: certs}]", "[0].mountPath", _VOLUME
    ),
    "envFrom": Case(
        "[{secretRef: {name: token}}, {configMapRef: {name: flags}, prefix: F_}]", "[{secret: x}]", "[0].secret"
    ),
    "readinessProbe": Case(
        "{httpGet: {path: /ready, port: 8080, scheme: HTTP}, periodSeconds: 5}",
        "{period: 5}",
        "period",
        object="{httpGet: {path: /ready, port: 8080}, periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 3}",
    ),
    "livenessProbe": Case("{tcpSocket: {port: 8080}, periodSeconds: 20}", "{tcpSocket: {prt: 1}}", "tcpSocket.prt"),
    "startupProbe": Case(
        "{failureThreshold: 90}", "{failureThreshold: often}", "failureThreshold", object="{failureThreshold: 90}"
    ),
    "lifecycle": Case("{preStop: {sleep: {seconds: 5}}}", "{preStop: {wait: 5}}", "preStop.wait"),
    "autoScaling": Case(
        "{metrics: [{type: External, external: {metric: {backend: prometheus, serverAddress: http://prometheus:9090, "
        "query: 'sum(rate(requests[1m]))'}, target: {type: Value, value: '100'}}}]}",
        "{metric: []}",
        "metric",
        beside="autoscaler: keda",
    ),
    "knativeScaling": Case("{window: 120s, initialScale: 2}", "{window: 2 minutes}", "window"),
    "mlserver": Case(
        "{parallelWorkers: 2, maxBatchSize: 32, maxBatchTime: 0.05}", "{workers: 2}", "workers", "profile: mlserver"
    ),
    "logger": Case("{mode: all, url: http://log-sink.logging/}", "{mode: everything}", "mode"),
    "batcher": Case("{maxBatchSize: 32, maxLatency: 500}", "{maxBatchSize: many}", "maxBatchSize"),
    "storageContainerName": Case("large-models", "Large Models"),
    "transformer": Case(
        "{minReplicas: 1, containers: [{name: kserve-container, image: 'ghcr.io/acme/t@sha256:"
        + "0" * 64
        + "', resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {cpu: '1', memory: 1Gi}}}]}",
        "{container: []}",
        "container",
    ),
    "explainer": Case(
        "{containers: [{name: kserve-container, image: 'ghcr.io/acme/e@sha256:"
        + "0" * 64
        + "', resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {cpu: '1', memory: 1Gi}}}]}",
        "{containers: [{name: e, image: 1}]}",
        "containers[0].image",
    ),
    "command": Case("[python, -m, server]", "python -m server"),
    "args": Case("[--workers=2]", "[2]", "[0]"),
    "imagePullPolicy": Case("Always", "Sometimes"),
    "ports": Case(
        "[{containerPort: 9000, name: h2c, protocol: TCP}]", "[{containerPort: 1, hostPort: 1}]", "[0].hostPort"
    ),
    "podLabels": Case("{mesh: 'on'}", "{mesh: 1}", "mesh"),
    "podAnnotations": Case("{sidecar.istio.io/inject: 'false'}", "[a]"),
    "runtimeVersion": Case("1.7.1", "'1 7'"),
    "storage": Case("{key: minio, parameters: {region: eu}}", "{path: other/model}", "path"),
    "rollingUpdate": Case("{maxSurge: 25%, maxUnavailable: 1}", "{maxSurge: '1'}", "maxSurge"),
    "disruptionBudget": Case("{maxUnavailable: 1}", "{maxUnavailable: -1}", "maxUnavailable"),
    "networkPolicy": Case(
        "{from: [{namespaceSelector: {matchLabels: {team: web}}}, "
        "{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}",
        "{from: [{namespace: web}]}",
        "from[0].namespace",
    ),
    "modelCache": Case("{nodeGroups: [gpu], size: 20Gi}", "{nodeGroups: [], size: 20Gi}", "nodeGroups"),
    "patch": Case(
        "[{op: add, path: /spec/predictor/hostAliases, value: [{ip: 10.0.0.1, hostnames: [a.test]}]}, "
        "{op: add, path: /spec/predictor/hostAliases/0/hostnames/-, value: b.test}]",
        "[{op: add, path: /metadata/name, value: x}]",
        "[0].path",
    ),
    "terminationGracePeriodSeconds": Case("120", "0"),
}
