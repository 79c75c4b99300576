// Prints the fields of kustomize's Kustomization, as Go's reflection sees them, as JSON Schema definitions.
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

type schema = map[string]any

var definitions = map[string]schema{}

func main() {
	of(reflect.TypeFor[types.Kustomization]())
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	if err := out.Encode(definitions); err != nil {
		panic(err)
	}
}

// of gives the schema of a type; a struct becomes a definition of its own.
func of(t reflect.Type) schema {
	switch t.Kind() {
	case reflect.Pointer:
		return of(t.Elem())
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return schema{"type": "integer", "minimum": -(1 << 63), "maximum": 1<<63 - 1}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return schema{"type": "string"}
		}
		return schema{"type": "array", "items": of(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": of(t.Elem())}
	case reflect.Struct:
		return record(t)
	case reflect.Interface:
		return schema{}
	default:
		panic("no schema for " + t.String())
	}
}

func record(t reflect.Type) schema {
	if _, done := definitions[t.Name()]; !done {
		properties := schema{}
		definitions[t.Name()] = schema{"type": "object", "additionalProperties": false, "properties": properties}
		fields(t, properties)
	}
	return schema{"$ref": "#/$defs/" + t.Name()}
}

// fields adds what encoding/json would read: exported fields by tag, embedded structs in place.
func fields(t reflect.Type, properties schema) {
	for field := range t.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		inline := field.Anonymous && name == "" || strings.Contains(options, "inline")
		switch {
		case name == "-" || !field.IsExported():
		case inline:
			inner := field.Type
			for inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			fields(inner, properties)
		case name == "":
			properties[field.Name] = of(field.Type)
		default:
			properties[name] = of(field.Type)
		}
	}
}
