"""Judges a stream of manifests, run by `test_strict` in an environment that has the models: exit 1, and why.

Kubernetes' own kinds by its schemas, strictly; those of the Prometheus Operator and KEDA by their models,
whose keys are compared with what came in, for the models pass over what they do not know.
"""

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import yaml

KUBERNETES_VERSION = "1.34"
# Kinds with models: the package's module, found by its name.
MODELS = {
    "PodMonitor": "cloudcoil.models.prometheus_operator.v1",
    "PrometheusRule": "cloudcoil.models.prometheus_operator.v1",
    "ScaledObject": "cloudcoil.models.keda.v1alpha1",
}
# There is no model of Strimzi's.
WITHOUT_MODEL = {"KafkaTopic", "KafkaUser"}


def faults(document: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a manifest."""
    kind = document["kind"]
    if kind in WITHOUT_MODEL:
        return
    if kind in MODELS:
        model = getattr(importlib.import_module(MODELS[kind]), kind)
        dumped = model.model_validate(document).model_dump(by_alias=True, exclude_unset=True, mode="json")
        yield from lost(document, dumped, kind)
        return
    judge = importlib.import_module("kubernetes_validate")
    try:
        judge.validate(document, KUBERNETES_VERSION, strict=True)
    except judge.ValidationError as error:
        yield f"{kind}: {error.message}"


def lost(given: Any, kept: Any, where: str) -> Iterator[str]:
    """Keys that a model did not take up."""
    if isinstance(given, dict):
        for key, value in given.items():
            if not isinstance(kept, dict) or key not in kept:
                yield f"{where}.{key} is not known"
            else:
                yield from lost(value, kept[key], f"{where}.{key}")
    elif isinstance(given, list) and isinstance(kept, list):
        for at, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from lost(one, other, f"{where}[{at}]")


if __name__ == "__main__":
    found = [fault for each in yaml.safe_load_all(sys.stdin) if each for fault in faults(each)]
    print("\n".join(found))
    sys.exit(bool(found))
