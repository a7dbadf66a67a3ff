"""The container files without a container engine: the compose file against its schema and README, and the Dockerfile.

tests/data/compose-spec.json is the JSON schema of the Compose Specification, as published (licence beside it).
"""

import dataclasses
import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml

from settings import Settings

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = json.loads((Path(__file__).parent / "data" / "compose-spec.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
VARIABLES = {field.name.upper() for field in dataclasses.fields(Settings)}
SUBSTITUTE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def steps(path: Path) -> list[tuple[str, str]]:
    """Return (instruction, arguments) of a Dockerfile, with continued lines joined and comments removed."""
    text = re.sub(r"\\\n\s*", "", path.read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2]) for line in lines]


DOCKERFILE = steps(ROOT / "Dockerfile")


def environment(service: str, **given: str) -> dict[str, str]:
    """Return the environment of a service if docker-compose runs with these variables: the image's own, and those."""
    built = next(words for name, words in DOCKERFILE[::-1] if name == "ENV")
    image = dict(word.split("=", 1) for word in shlex.split(built))
    return {**image, **substituted(service, **given)}


def substituted(service: str, **given: str) -> dict[str, str]:
    """Return what the compose file has under a service's `environment`."""
    return {
        name: SUBSTITUTE.sub(lambda match: given.get(match[1]) or match[2] or "", str(value))
        for name, value in SERVICES[service]["environment"].items()
    }


def final_stage() -> list[tuple[str, str]]:
    start = max(number for number, (word, _) in enumerate(DOCKERFILE) if word == "FROM")
    return DOCKERFILE[start:]


def arguments(word: str) -> list[str]:
    return [rest for each, rest in final_stage() if each == word]


# -- docker-compose.yml


def test_the_compose_file_meets_its_specification():
    jsonschema.Draft202012Validator(SCHEMA).validate(COMPOSE)


def test_the_schema_would_find_a_mistake():
    wrong = {"services": {"app": {"image": "x", "port": ["1:1"]}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(wrong)


def test_up_alone_starts_the_app_and_its_redis():
    assert {name for name, service in SERVICES.items() if not service.get("profiles")} == {"app", "redis"}


def test_the_scale_profile_adds_postgres_and_worker_nodes():
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["scale"]} == {
        "postgres",
        "worker",
    }
    assert SERVICES["worker"]["command"] == ["python", "run.py", "worker"]
    assert "container_name" not in SERVICES["worker"]  # it would forbid a second one


def test_ports_are_published_on_loopback_only():
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {
        "app": ["127.0.0.1:8005:8005"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_nobody_is_let_in_anonymously_without_a_comment_that_says_what_to_do_first():
    assert environment("app")["ALLOW_ANONYMOUS"] == "true"
    comment = "\n".join(line for line in (ROOT / "docker-compose.yml").read_text().splitlines() if line.startswith("#"))
    assert "Before you open it" in comment
    assert "API_TOKEN" in comment


def test_the_app_has_time_to_drain():
    for name in ("app", "worker"):
        assert SERVICES[name]["stop_grace_period"] == "15s"


def test_the_launcher_is_the_first_process():
    assert all(not SERVICES[name].get("init") for name in ("app", "worker"))
    assert "entrypoint" not in SERVICES["app"]


def test_redis_keeps_an_append_only_file_and_evicts_nothing():
    redis = SERVICES["redis"]
    options = dict(zip(redis["command"][1::2], redis["command"][2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "no"  # docs/decisions/0012
    assert options["--maxmemory-policy"] == "noeviction"
    assert redis["volumes"] == ["redis-data:/data"]


def test_what_is_needed_first_is_waited_for():
    for name in ("app", "worker"):
        for needed, rule in SERVICES[name]["depends_on"].items():
            assert rule == {"condition": "service_healthy"}
            assert SERVICES[needed]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert "redis" in SERVICES["app"]["depends_on"]


def test_every_named_volume_is_declared_and_used():
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert {name for name in used if not name.startswith("./")} == set(COMPOSE["volumes"])


def test_the_observe_profile_adds_prometheus_and_grafana_with_the_files_of_deploy():
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["observe"]} == {
        "prometheus",
        "grafana",
    }
    mounts = [volume for name in ("prometheus", "grafana") for volume in SERVICES[name]["volumes"]]
    folders = [volume.split(":") for volume in mounts if volume.startswith("./")]
    assert {mode for _, _, mode in folders} == {"ro"}
    assert all((ROOT / folder).is_dir() for folder, _, _ in folders)


def test_prometheus_bears_the_token_that_the_processes_want():
    default = {environment(name)["METRICS_TOKEN"] for name in ("app", "worker", "prometheus")}
    assert len(default) == 1
    assert all(environment(name, METRICS_TOKEN="mine")["METRICS_TOKEN"] == "mine" for name in ("app", "prometheus"))
    script = SERVICES["prometheus"]["entrypoint"][2]
    file = re.search(r"> (\S+)", script)
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    assert file
    assert {job["authorization"]["credentials_file"] for job in config["scrape_configs"]} == {file[1]}
    targets = {
        target
        for job in config["scrape_configs"]
        for each in job.get("static_configs", [])
        for target in each["targets"]
    }
    assert targets == {"app:8005"}


def test_the_environment_names_settings_that_exist():
    for name in ("app", "worker"):
        assert set(SERVICES[name]["environment"]) <= VARIABLES


def test_the_app_starts_with_what_compose_gives_it():
    settings = Settings.from_env(environment("app"))
    assert settings.redis == "redis://redis:6379/0"
    assert settings.host == "0.0.0.0"
    assert settings.with_simulator
    assert Settings.from_env(environment("app", FAKEMAIL_API_URL="http://mail")).fakemail_api_url == "http://mail"


def test_a_worker_node_starts_with_what_compose_gives_it():
    settings = Settings.from_env(environment("worker"))
    assert settings.redis == "redis://redis:6379/0"
    assert settings.database.startswith("postgresql://emails:emails@postgres/")
    assert str(settings.status_port) in " ".join(SERVICES["worker"]["healthcheck"]["test"])
    with_token = Settings.from_env(environment("worker", API_TOKEN="x" * 32, ALLOW_ANONYMOUS="false"))
    assert with_token.api_token


def test_app_and_workers_share_one_database_as_the_files_head_says():
    command = next(line for line in (ROOT / "docker-compose.yml").read_text().splitlines() if "DATABASE_URL=" in line)
    url = next(word for word in shlex.split(command.lstrip("# ")) if word.startswith("DATABASE_URL=")).partition("=")[2]
    assert environment("app", DATABASE_URL=url)["DATABASE_URL"] == environment("worker")["DATABASE_URL"] == url


def test_processes_have_no_more_rights_than_they_need():
    for name in ("app", "worker"):
        service = SERVICES[name]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["read_only"] is True
        assert "/tmp" in service["tmpfs"]
        assert not service.get("privileged")


# -- the troubleshooting commands of the README


def readme_commands(word: str) -> list[str]:
    text = (ROOT / "README.md").read_text()
    return [
        line.strip()
        for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
        if word in line
    ]


def test_docker_ps_shows_the_redis_container_by_that_name():
    assert any("docker ps | grep redis" in line for line in readme_commands("docker ps"))
    assert "container_name" not in SERVICES["redis"]  # PROJECT-redis-1, which the grep finds


def test_python_inside_the_app_finds_redis_by_its_service_name():
    line = next(line for line in readme_commands("python -c") if "redis" in line)
    words = shlex.split(line.partition("#")[0] if line.count("#") == 1 else line)
    assert words[words.index("exec") + 1 if "-T" not in words else words.index("-T") + 1] == "app"
    code = words[words.index("-c") + 1]
    compile(code, "README.md", "exec")
    settings = Settings.from_env(environment("app"))
    assert f'"{settings.redis_host}"' in code or f"'{settings.redis_host}'" in code
    assert settings.redis_host in SERVICES


def test_the_environment_inside_the_app_tells_where_redis_is():
    assert any("env | grep REDIS" in line for line in readme_commands("grep REDIS"))
    told = {name: value for name, value in environment("app").items() if "REDIS" in name}
    assert told == {"REDIS_HOST": "redis", "REDIS_PORT": "6379"}


def test_services_that_the_readme_names_exist():
    for line in readme_commands("docker-compose"):
        words = shlex.split(line, comments=True)
        for verb in ("exec", "logs", "restart", "stop"):
            if verb in words:
                names = [word for word in words[words.index(verb) + 1 :] if not word.startswith("-")]
                assert not names or names[0] in SERVICES, line


# -- Dockerfile


def test_every_folder_and_file_that_is_copied_exists():
    for copied in arguments("COPY"):
        words = copied.split()
        if words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in {rest.split()[-1] for word, rest in DOCKERFILE if word == "FROM"}
            continue
        assert all((ROOT / source).exists() for source in words[:-1])


def test_all_rooms_and_start_files_are_in_the_image():
    copied = {source for line in arguments("COPY") for source in line.split()[:-1]}
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks", "scripts"}
    assert rooms <= copied
    assert {path.name for path in ROOT.glob("*.py")} <= copied


def test_what_is_copied_is_not_ignored():
    ignored = {line.strip().strip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.strip()}
    copied = {source for word, line in DOCKERFILE if word == "COPY" for source in line.split()[:-1]}
    assert not ignored & copied
    assert {".git", ".venv", "data", ".env"} <= ignored


def test_it_runs_as_an_ordinary_user_who_owns_the_data():
    assert arguments("USER") == ["app"]
    order = [word for word, _ in final_stage()]
    assert order.index("USER") < order.index("CMD")
    assert "chown app:app /data" in " ".join(arguments("RUN"))
    assert arguments("VOLUME") == ["/data"]
    assert any("DATA_DIR=/data" in line for line in arguments("ENV"))


def test_the_launcher_gets_signals_itself():
    assert json.loads(arguments("CMD")[0]) == ["python", "run.py", "serve"]
    assert arguments("ENTRYPOINT") == []
    assert arguments("STOPSIGNAL") == ["SIGTERM"]


def test_it_says_how_healthy_it_is():
    check = re.sub(r"--\S+\s+", "", arguments("HEALTHCHECK")[0])
    command = json.loads(check.removeprefix("CMD "))
    assert command[:2] == ["python", "-c"]
    compile(command[2], "Dockerfile", "exec")
    assert "/health/ready" in command[2]


def test_plain_steps_and_no_secrets():
    assert {word for word, _ in DOCKERFILE} <= {
        "FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "CMD",
    }  # fmt: skip
    assert not any(re.search(r"TOKEN|SECRET|PASSWORD", rest) for word, rest in DOCKERFILE if word in {"ENV", "RUN"})


def test_the_image_has_a_python_that_the_program_runs_on():
    assert {rest.split()[0] for word, rest in DOCKERFILE if word == "FROM"} == {"python:3.12-slim"}
    assert len([word for word, _ in DOCKERFILE if word == "FROM"]) == 2
