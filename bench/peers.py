"""Existing tools for one part of the work each: kubeconform for schemas, `copier copy` for a model's files."""

from __future__ import annotations

import sys
from pathlib import Path

import jinja2

from bench import naive
from bench.fleet import ENVIRONMENTS, model_name
from bench.measure import Place, Sample, run
from m2g.core.naming import slugify
from tests.corpus.peers import KUBECONFORM, our_schemas

OBJECTS = 3000
"""How many InferenceServices are checked: those of 1,000 models in 3 environments."""
MODELS = 5
"""For how many models copier writes the files."""
_SCHEMAS = """\
import sys
from m2g.core.manifest import read_all
from m2g.validation.schemas import Catalogue
catalogue = Catalogue()
with open(sys.argv[1]) as file:
    wrong = [item for item in read_all(file.read()) if catalogue.find_violations(item, kserve="0.21")]
sys.exit(len(wrong))
"""


def measure_kubeconform(folder: Path) -> dict[str, Sample]:
    """Check the same objects with kubeconform (with m2g's schemas) and with m2g's own schema check."""
    template = jinja2.Template(naive.BASE)
    documents = (
        template.render(slug=f"{slugify(model_name(index))}", name=model_name(index)) for index in range(OBJECTS)
    )
    file = folder / "objects.yaml"
    file.write_text("---\n".join(f"{text}\n" for text in documents))
    schemas = folder / "schemas"
    schemas.mkdir()
    place = our_schemas(schemas, "0.21")
    here = Place(folder=folder)
    found = {f"m2g's schemas, {OBJECTS:,} objects": run([sys.executable, "-c", _SCHEMAS, str(file)], here)}
    if KUBECONFORM.is_file():
        command = [str(KUBECONFORM), "-strict", "-schema-location", place, str(file)]
        found[f"kubeconform, {OBJECTS:,} objects"] = run(command, here)
    return found


def measure_copier(folder: Path) -> dict[str, Sample]:
    """Write the files of the naive peer with `copier copy`, model by model. Return the mean for one model."""
    source = folder / "template"
    for path, text in _files().items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / f"{path}.jinja").write_text(text)
    (source / "copier.yml").write_text("name: {type: str}\nslug: {type: str}\n")
    total = Sample(wall=0, cpu=0)
    for index in range(MODELS):
        data = [f"--data=name={model_name(index)}", f"--data=slug={slugify(model_name(index))}"]
        target = str(folder / f"copied/{index}")
        total += run(["copier", "copy", "--defaults", "--quiet", *data, str(source), target], Place(folder=folder))
    return {"copier copy, a model": Sample(wall=total.wall / MODELS, cpu=total.cpu / MODELS, peak=total.peak)}


def _files() -> dict[str, str]:
    overlay = naive.KUSTOMIZATION
    files = {"base/kustomization.yaml": overlay, "base/inferenceservice.yaml": naive.BASE}
    for environment in ENVIRONMENTS:
        files[f"overlays/{environment}/kustomization.yaml"] = overlay
        files[f"overlays/{environment}/patch.yaml"] = naive.PATCH
    return files
