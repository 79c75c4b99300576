// KServe's own CRDs, defaults and validators over objects: reads one JSON object a line, writes one answer a line.
// README.md says how it is built and what is recorded with it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/yaml"

	"github.com/kserve/kserve/pkg/apis/serving/v1alpha1"
	"github.com/kserve/kserve/pkg/apis/serving/v1beta1"
)

type schemas struct {
	structural *structuralschema.Structural
	validator  validation.SchemaValidator
}

func load(folder string) map[string]schemas {
	result := map[string]schemas{}
	filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return nil
		}
		data, _ := os.ReadFile(path)
		crd := &apiextv1.CustomResourceDefinition{}
		if yaml.Unmarshal(data, crd) != nil || crd.Kind != "CustomResourceDefinition" {
			return nil
		}
		for _, v := range crd.Spec.Versions {
			if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
				continue
			}
			internal := &apiext.JSONSchemaProps{}
			if err := apiextv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, internal, nil); err != nil {
				panic(err)
			}
			s, err := structuralschema.NewStructural(internal)
			if err != nil {
				panic(path + err.Error())
			}
			val, _, err := validation.NewSchemaValidator(internal)
			if err != nil {
				panic(err)
			}
			result[crd.Spec.Group+"/"+v.Name+" "+crd.Spec.Names.Kind] = schemas{s, val}
		}
		return nil
	})
	return result
}

type defaulter struct {
	config *v1beta1.InferenceServicesConfig
}

func (d *defaulter) Default(ctx context.Context, obj runtime.Object) error {
	defaultIt(obj.(*v1beta1.InferenceService), d.config)
	return nil
}

type answer struct {
	Refused string   `json:"refused,omitempty"`
	By      string   `json:"by,omitempty"`
	Stored  any      `json:"stored,omitempty"`
	Pruned  []string `json:"pruned,omitempty"`
}

func main() {
	all := load(os.Args[1])
	scheme := runtime.NewScheme()
	v1beta1.AddToScheme(scheme)
	v1alpha1.AddToScheme(scheme)
	config := &v1beta1.InferenceServicesConfig{}
	config.Resource = v1beta1.ResourceConfig{CPULimit: "1", MemoryLimit: "2Gi", CPURequest: "1", MemoryRequest: "2Gi"}
	config.Explainers.ARTExplainer.DefaultImageVersion = "v0.0.0"
	handler := admission.WithCustomDefaulter(scheme, &v1beta1.InferenceService{}, &defaulter{config})
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<24)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		out.Encode(judge(in.Bytes(), all, handler))
	}
}

func prepare(item map[string]any, s schemas) []string {
	pruned := pruning.PruneWithOptions(item, s.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	defaulting.PruneNonNullableNullsWithoutDefaults(item, s.structural)
	defaulting.Default(item, s.structural)
	return pruned
}

func judge(line []byte, all map[string]schemas, handler *admission.Webhook) (result answer) {
	defer func() {
		if r := recover(); r != nil {
			result = answer{Refused: fmt.Sprint(r), By: "panic"}
		}
	}()
	item := map[string]any{}
	if err := json.Unmarshal(line, &item); err != nil {
		return answer{Refused: err.Error(), By: "json"}
	}
	normalizeNumbers(item)
	kind, _ := item["kind"].(string)
	key := fmt.Sprint(item["apiVersion"], " ", kind)
	s, known := all[key]
	var pruned []string
	if known {
		pruned = prepare(item, s)
	}
	raw, _ := json.Marshal(item)
	if kind == "InferenceService" {
		response := handler.Handle(context.Background(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{UID: "1", Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: raw}}})
		if !response.Allowed {
			return answer{Refused: response.Result.Message, By: "defaulter", Pruned: pruned}
		}
		if len(response.Patches) > 0 {
			bytes, _ := json.Marshal(response.Patches)
			patch, err := jsonpatch.DecodePatch(bytes)
			if err != nil {
				panic(err)
			}
			if raw, err = patch.Apply(raw); err != nil {
				panic(err)
			}
		}
		item = map[string]any{}
		json.Unmarshal(raw, &item)
		normalizeNumbers(item)
		if known {
			prepare(item, s)
			raw, _ = json.Marshal(item)
		}
	}
	if known {
		var errs field.ErrorList
		errs = append(errs, validation.ValidateCustomResource(nil, item, s.validator)...)
		errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, item)...)
		if len(errs) > 0 {
			return answer{Refused: errs.ToAggregate().Error(), By: "schema", Pruned: pruned}
		}
	}
	if err := validate(kind, raw); err != nil {
		return answer{Refused: err.Error(), By: "validator", Pruned: pruned}
	}
	return answer{Stored: item, Pruned: pruned}
}

func normalizeNumbers(node any) any {
	switch v := node.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = normalizeNumbers(x)
		}
		return v
	case []any:
		for i, x := range v {
			v[i] = normalizeNumbers(x)
		}
		return v
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return node
}

func validate(kind string, raw []byte) error {
	ctx := context.Background()
	switch kind {
	case "InferenceService":
		obj := &v1beta1.InferenceService{}
		if err := json.Unmarshal(raw, obj); err != nil {
			return err
		}
		_, err := (&v1beta1.InferenceServiceValidator{}).ValidateCreate(ctx, obj)
		return err
	case "InferenceGraph":
		obj := &v1alpha1.InferenceGraph{}
		if err := json.Unmarshal(raw, obj); err != nil {
			return err
		}
		_, err := (&v1alpha1.InferenceGraphValidator{}).ValidateCreate(ctx, obj)
		return err
	case "TrainedModel":
		obj := &v1alpha1.TrainedModel{}
		if err := json.Unmarshal(raw, obj); err != nil {
			return err
		}
		_, err := (&v1alpha1.TrainedModelValidator{}).ValidateCreate(ctx, obj)
		return err
	case "ServingRuntime", "ClusterServingRuntime":
		obj := &v1alpha1.ServingRuntime{}
		if err := json.Unmarshal(raw, obj); err != nil {
			return err
		}
		return validateRuntime(obj)
	}
	return nil
}

