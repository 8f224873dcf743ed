"""The manifests fit the schemas of Kubernetes and one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promise.settings import Settings

yaml = pytest.importorskip("yaml")
kubernetes_validate = pytest.importorskip("kubernetes_validate")

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
VERSIONS = ("1.29", "1.34")


def manifests() -> list[tuple[str, dict[str, Any]]]:
    """Return every manifest with its file's name."""
    return [
        (path.name, found)
        for path in sorted(FOLDER.glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for found in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]


def by_kind(kind: str) -> dict[str, dict[str, Any]]:
    """Return manifests of a kind by their names."""
    return {found["metadata"]["name"]: found for _, found in manifests() if found["kind"] == kind}


def pods() -> list[dict[str, Any]]:
    """Return the specification of every pod that is made."""
    found = [made["spec"]["template"]["spec"] for made in by_kind("Deployment").values()]
    jobs = by_kind("CronJob").values()
    return found + [job["spec"]["jobTemplate"]["spec"]["template"]["spec"] for job in jobs]


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("file", "found"), manifests(), ids=lambda value: str(value)[:30])
def test_a_manifest_fits_its_schema(file: str, found: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(found, version, strict=True)


def test_a_wrong_manifest_would_be_noticed() -> None:
    wrong = {**by_kind("Deployment")["promise-server"], "spek": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_kustomize_lists_what_is_there() -> None:
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
    optional = {"kustomization.yaml", "secret.example.yaml", "backup.yaml"}
    there = {path.name for path in FOLDER.glob("*.yaml")} - optional
    assert set(listed["resources"]) == there
    images = {image["name"] for image in listed["images"]}
    assert {c["image"] for pod in pods()[:2] for c in pod["containers"]} == images


def test_selectors_meet_pods() -> None:
    labels = [d["spec"]["template"]["metadata"]["labels"] for d in by_kind("Deployment").values()]
    for kind, path in (("Service", ()), ("PodDisruptionBudget", ("matchLabels",))):
        for name, found in by_kind(kind).items():
            wanted = found["spec"]["selector"]
            for part in path:
                wanted = wanted[part]
            meets = [own for own in labels if wanted.items() <= own.items()]
            assert len(meets) == 1, name
    for made in by_kind("Deployment").values():
        wanted = made["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= made["spec"]["template"]["metadata"]["labels"].items()
    target = by_kind("HorizontalPodAutoscaler")["promise-server"]["spec"]["scaleTargetRef"]
    assert target["name"] in by_kind("Deployment")
    # a number of replicas here would fight with the autoscaler at every apply
    assert "replicas" not in by_kind("Deployment")["promise-server"]["spec"]


def test_settings_are_known_and_secrets_apart() -> None:
    source = (Path(__file__).parents[2] / "src/promise/settings.py").read_text(encoding="utf-8")
    plain = by_kind("ConfigMap")["promise"]["data"]
    secret = by_kind("Secret")["promise"]["stringData"]
    for name in [*plain, *secret]:
        assert not name.startswith("PROMISE_") or f'"{name}"' in source, name
    settings = Settings.load({**plain, **secret})
    assert settings.database.startswith("postgresql")
    assert not {"PROMISE_DATABASE", "AWS_SECRET_ACCESS_KEY"} & set(plain)


def test_pods_may_do_little_and_write_only_where_they_must() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"]
            assert not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])
            mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert {"/var/lib/promise", "/tmp"} <= mounted


def test_a_pod_drains_before_it_is_killed() -> None:
    from promise.serving.limits import Limits

    pod = by_kind("Deployment")["promise-server"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause + Limits().drain_s
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    # readiness must not decide about life: a restart brings no database back
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_commands_are_known() -> None:
    from typer.main import get_command

    from promise.cli.main import app

    known = get_command(app).commands  # type: ignore[attr-defined]
    for pod in pods():
        for container in pod["containers"]:
            name, *rest = container["args"]
            options = {option for parameter in known[name].params for option in parameter.opts}
            assert {word for word in rest if word.startswith("--")} <= options
