"""Seldon's kinds, written from its API references, because no Go module or package contains its CRDs.

Sources: docs.seldon.ai (SeldonDeployment of Core 1.18; Model, Experiment and Pipeline of Core 2.10). Pods are
Kubernetes' own. The parts that Core 1 passes on to KEDA and the HPA accept any field.
"""

from __future__ import annotations

from kserve_rules import ANYTHING, COUNT, FLAG, PERCENT, POSITIVE, TEXT, listing, record, ref
from m2g.validation.schemas.kubernetes import KUBERNETES, Kubernetes, make_object_meta
from output import Derived, Schema, Source, object_of

_CORE1, _CORE2 = "machinelearning.seldon.io", "mlops.seldon.io"
_POD = "core.v1.PodSpec"
_NAMED: Schema = {"type": "string", "minLength": 1}
_PORT: Schema = {"type": "integer", "minimum": 0, "maximum": 65535}
_TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
_JOIN: Schema = {"enum": ["inner", "outer", "any"]}


def derive() -> list[Derived]:
    """One file for each of the two groups."""
    return [_core1(), _core2()]


def _core1() -> Derived:
    kubernetes = Kubernetes(KUBERNETES, nulls=False)
    core = kubernetes.get_definitions([_POD, "core.v1.Container", "core.v1.ResourceRequirements", "core.v1.EnvVar"])
    pod, container = core[_POD], core["core.v1.Container"]
    parts = {
        # The operator adds images and names, so they are not required.
        "PodPart": {key: value for key, value in pod.items() if key != "required"},
        "ContainerPart": {key: value for key, value in container.items() if key != "required"},
        "Unit": _unit(),
        "Predictor": _predictor(),
    }
    spec = record(
        ["predictors"],
        predictors={**listing(ref("Predictor")), "minItems": 1},
        name=TEXT,
        annotations=ref("Annotations"),
        oauth_key=TEXT,
        oauth_secret=TEXT,
        protocol={"enum": ["seldon", "tensorflow", "kfserving", "v2"]},
        transport={"enum": ["rest", "grpc"]},
        serverType={"enum": ["rpc", "kafka"]},
        replicas=COUNT,
    )
    defs = _reached({**core, **parts, "v1.SeldonDeployment": _object(_CORE1, "v1", "SeldonDeployment", spec)})
    source = Source(f"kubernetes-validate, Kubernetes {KUBERNETES}", "1.37.0", kubernetes.compute_digest())
    return Derived(f"{_CORE1}.json", [source], {f"{_CORE1}/v1 SeldonDeployment": "v1.SeldonDeployment"}, defs)


def _unit() -> Schema:
    """A node of the inference graph."""
    endpoint = record(
        service_host=TEXT, service_port=_PORT, type={"enum": ["REST", "GRPC"]}, httpPort=_PORT, grpcPort=_PORT
    )
    parameter = record(
        ["name", "value", "type"], name=TEXT, value=TEXT, type={"enum": ["INT", "FLOAT", "DOUBLE", "STRING", "BOOL"]}
    )
    methods = ["TRANSFORM_INPUT", "TRANSFORM_OUTPUT", "ROUTE", "AGGREGATE", "SEND_FEEDBACK"]
    kinds = ["UNKNOWN_TYPE", "ROUTER", "COMBINER", "MODEL", "TRANSFORMER", "OUTPUT_TRANSFORMER"]
    return record(
        ["name"],
        name=_NAMED,
        children=listing(ref("Unit")),
        type={"enum": kinds},
        implementation=_NAMED,
        methods=listing({"enum": methods}),
        endpoint=endpoint,
        parameters=listing(parameter),
        modelUri=TEXT,
        serviceAccountName=TEXT,
        envSecretRefName=TEXT,
        storageInitializerImage=TEXT,
        logger=record(url=TEXT, mode={"enum": ["all", "request", "response"]}),
    )


def _predictor() -> Schema:
    bound: Schema = {"type": ["integer", "string"]}
    component = record(
        metadata=ref("Meta"),
        spec=ref("PodPart"),
        replicas=COUNT,
        hpaSpec=record(
            ["maxReplicas"],
            minReplicas=POSITIVE,
            maxReplicas=POSITIVE,
            metrics=listing(ANYTHING),  # of autoscaling/v2beta1, which no cluster of today has
            metricsv2=listing(ANYTHING),
        ),
        kedaSpec=ANYTHING,
        pdbSpec=record(minAvailable=bound, maxUnavailable=bound),
    )
    explainers = (
        "AnchorTabular AnchorImages AnchorText Counterfactuals Contrastive KernelShap IntegratedGradients ALE TreeShap"
    )
    explainer = record(
        type={"enum": explainers.split()},
        modelUri=TEXT,
        serviceAccountName=TEXT,
        containerSpec=ref("ContainerPart"),
        config=_TEXTS,
        endpoint=ANYTHING,
        envSecretRefName=TEXT,
        storageInitializerImage=TEXT,
        replicas=COUNT,
        initParameters=TEXT,
    )
    resources = ref("core.v1.ResourceRequirements")
    return record(
        ["name", "graph"],
        name=_NAMED,
        graph=ref("Unit"),
        componentSpecs=listing(component),
        replicas=COUNT,
        annotations=ref("Annotations"),
        labels=ref("Labels"),
        engineResources=resources,
        svcOrchSpec=record(resources=resources, env=listing(ref("core.v1.EnvVar")), replicas=COUNT),
        traffic=PERCENT,
        shadow=FLAG,
        explainer=explainer,
        ssl=record(certSecretName=TEXT),
        progressDeadlineSeconds=POSITIVE,
    )


def _core2() -> Derived:
    specs = {"Model": _model(), "Experiment": _experiment(), "Pipeline": _pipeline()}
    defs = {f"v1alpha1.{kind}": _object(_CORE2, "v1alpha1", kind, spec) for kind, spec in specs.items()}
    return Derived(f"{_CORE2}.json", [], {f"{_CORE2}/v1alpha1 {kind}": f"v1alpha1.{kind}" for kind in specs}, defs)


def _model() -> Schema:
    parameter = record(["name", "value"], name=TEXT, value=TEXT)
    return record(
        ["storageUri"],
        storageUri=_NAMED,
        artifactVersion=COUNT,
        modelType=TEXT,
        schemaUri=TEXT,
        secretName=TEXT,
        requirements=listing(TEXT),
        memory=ref("Quantity"),
        replicas=COUNT,
        minReplicas=COUNT,
        maxReplicas=COUNT,
        server=TEXT,
        preloaded=FLAG,
        dedicated=FLAG,
        logger=record(percent=PERCENT),
        explainer=record(type=TEXT, modelRef=TEXT, pipelineRef=TEXT),
        llm=record(modelRef=TEXT, pipelineRef=TEXT),
        parameters=listing(parameter),
        dataflow=record(cleanTopicsOnDelete=FLAG),
    )


def _experiment() -> Schema:
    candidate = record(["name", "weight"], name=_NAMED, weight=COUNT)
    return record(
        ["candidates"],
        candidates={**listing(candidate), "minItems": 1},
        default=TEXT,
        mirror=record(["name", "percent"], name=_NAMED, percent=PERCENT),
        resourceType={"enum": ["model", "pipeline"]},
    )


def _pipeline() -> Schema:
    step = record(
        ["name"],
        name=_NAMED,
        inputs=listing(TEXT),
        inputsJoinType=_JOIN,
        triggers=listing(TEXT),
        triggersJoinType=_JOIN,
        joinWindowMs=COUNT,
        tensorMap=_TEXTS,
        batch=record(size=COUNT, windowMs=COUNT, rolling=FLAG),
    )
    outside = record(
        externalInputs=listing(TEXT),
        externalTriggers=listing(TEXT),
        joinType=_JOIN,
        triggersJoinType=_JOIN,
        joinWindowMs=COUNT,
        tensorMap=_TEXTS,
    )
    return record(
        ["steps"],
        steps=listing(step),
        input=outside,
        output=record(steps=listing(TEXT), stepsJoin=_JOIN, joinWindowMs=COUNT, tensorMap=_TEXTS),
        dataflow=record(cleanTopicsOnDelete=FLAG),
        allowCycles=FLAG,
        maxStepRevisits=COUNT,
    )


def _object(group: str, version: str, kind: str, spec: Schema) -> Schema:
    fields = {"spec": spec, "status": ANYTHING}
    return object_of(f"{group}/{version}", kind, dict(make_object_meta(group, kind)), fields, ["spec"])


def _reached(defs: dict[str, Schema]) -> dict[str, Schema]:
    """Only the definitions that something refers to."""
    while True:
        text = str(list(defs.values()))
        kept = {name: part for name, part in defs.items() if f"#/$defs/{name}'" in text or "SeldonDep" in name}
        if len(kept) == len(defs):
            return kept
        defs = kept
