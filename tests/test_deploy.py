"""Monitoring: alerts that fire, metrics that exist, a runbook section for each alert, a readable dashboard."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from prometheus_client import Histogram

from actors.metrics import METRICS, REASONS
from engine.metrics import ENGINE_METRICS
from tests.conftest import missing
from web.schemas import Reason

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
RUNBOOK = (DEPLOY.parent / "docs" / "runbook.md").read_text(encoding="utf-8")
OPERATIONS = (DEPLOY.parent / "docs" / "operations.md").read_text(encoding="utf-8")
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / "email-processor.json").read_text())
ROWS = {row.name: row for row in (*ENGINE_METRICS, *METRICS)}
NAME = re.compile(r"\bemailproc_\w+")
LABEL = re.compile(r"(emailproc_\w+)\{([^}]*)\}")


def series() -> set[str]:
    """Return every name under which Prometheus knows our metrics."""
    parts = {
        f"{name}_{part}" for name, row in ROWS.items() if row.kind is Histogram for part in ("bucket", "sum", "count")
    }
    return {name for name, row in ROWS.items() if row.kind is not Histogram} | parts


def expressions() -> list[str]:
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [*asked, *(rule["expr"] for rule in RULES)]


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        missing("promtool (Debian: apt-get install prometheus)")
    assert found
    return found


def test_the_rules_are_ones_that_prometheus_reads(promtool):
    subprocess.run([promtool, "check", "rules", "alerts.yml"], cwd=DEPLOY / "prometheus", check=True, timeout=60)


def test_each_alert_fires_on_made_up_series_and_none_when_all_is_well(promtool):
    done = subprocess.run(
        [promtool, "test", "rules", "alerts.test.yml"],
        cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_made_to_fire():
    tests = yaml.safe_load((DEPLOY / "prometheus" / "alerts.test.yml").read_text())["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each["exp_alerts"]}
    assert fired == {rule["alert"] for rule in RULES}


def test_the_configuration_is_one_that_prometheus_reads(promtool, tmp_path):
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    (tmp_path / "token").write_text("x")
    shutil.copy(DEPLOY / "prometheus" / "alerts.yml", tmp_path)
    (tmp_path / "prometheus.yml").write_text(text.replace("/tmp/metrics-token", str(tmp_path / "token")))
    subprocess.run([promtool, "check", "config", "prometheus.yml"], cwd=tmp_path, check=True, timeout=60)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_each_alert_leads_to_its_paragraph(rule):
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
    paragraph = RUNBOOK.partition(f"\n## {rule['alert']}\n")[2].partition("\n## ")[0]
    assert len(paragraph) > 200
    assert rule["labels"]["severity"] in {"page", "ticket"}


def test_the_runbook_has_no_paragraph_without_an_alert():
    assert set(re.findall(r"^## (\S+)$", RUNBOOK, re.MULTILINE)) == {rule["alert"] for rule in RULES}


def test_rules_and_dashboard_ask_for_series_that_exist():
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert asked - series() == set()


def test_they_select_by_labels_that_those_series_have():
    for expression in expressions():
        for name, selectors in LABEL.findall(expression):
            plain = re.sub(r"_(bucket|sum|count)$", "", name) if name not in ROWS else name
            known = {*ROWS[plain].labels, *ROWS[plain].fixed, "process"}
            assert set(re.findall(r"(\w+)(?:=|!=|!~)", selectors)) <= known, expression


def test_every_reason_of_a_dead_letter_has_a_counter_that_begins_at_0():
    assert {reason for reasons in REASONS.values() for reason in reasons} == set(get_args(Reason))


def test_every_metric_of_ours_is_explained_to_operators():
    assert {row.name for row in METRICS if f"`{row.name}`" not in OPERATIONS} == set()


def test_the_dashboards_panels_have_titles_queries_and_a_place_of_their_own():
    places = [tuple(sorted(panel["gridPos"].items())) for panel in DASHBOARD["panels"]]
    assert len(places) == len(set(places)) == len({panel["id"] for panel in DASHBOARD["panels"]})
    assert all(panel["title"] and panel["targets"] for panel in DASHBOARD["panels"])


def test_what_is_provisioned_fits_together():
    [source] = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert used == {source["uid"]}
    [provider] = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/files.yml").read_text())["providers"]
    compose = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())
    mounts = compose["services"]["grafana"]["volumes"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in mounts
