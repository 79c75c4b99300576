package main

import (
	"github.com/kserve/kserve/pkg/apis/serving/v1alpha1"
	"github.com/kserve/kserve/pkg/apis/serving/v1beta1"
	"github.com/kserve/kserve/pkg/webhook/admission/servingruntime"
)

func defaultIt(isvc *v1beta1.InferenceService, config *v1beta1.InferenceServicesConfig) {
	isvc.DefaultInferenceService(config, nil, nil, nil, nil)
}

func validateRuntime(sr *v1alpha1.ServingRuntime) error { return servingruntime.Check(sr) }
