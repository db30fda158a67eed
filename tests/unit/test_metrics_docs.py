"""The reference, rules, dashboard and runbooks speak of the figures that there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer import Context
from typer.core import TyperGroup
from typer.main import get_command

from app.metrics import process, requests, stream, update, worker
from app.settings import known_variables
from app.settings_checks import COMPOSE_ONLY
from scripts.cli import app as cli
from web import metrics as web

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "scripts/docker/monitoring"
RUNBOOKS = ROOT / "docs/howto/answer-alerts.md"
#: By the headings of the reference.
SECTIONS = {
    "The web": {name: one for name, one in web.FIGURES.items() if name not in process.FIGURES},
    "Every process, the web too": process.FIGURES,
    "A stream": stream.FIGURES,
    "The updater": update.FIGURES,
    "A worker, each process of its pool": worker.FIGURES,
    "Who asks exchanges by REST: streams and workers": requests.FIGURES,
}
#: What Prometheus adds to each series.
OF_TARGETS = {"instance", "job", "role", "process"}


def series() -> dict[str, set[str]]:
    """Each series that some process tells, and its labels."""
    found = {"up": set[str]()}
    for name, figure in [pair for section in SECTIONS.values() for pair in section.items()]:
        labels = set(figure.labels)
        if figure.kind == "histogram":
            found |= {f"{name}_sum": labels, f"{name}_count": labels, f"{name}_bucket": {*labels, "le"}}
        else:
            found[name] = labels
    return found


def test_the_reference_describes_each_figure_with_its_labels_and_nothing_else() -> None:
    text = (ROOT / "docs/reference/metrics.md").read_text()
    described = {}
    for heading, section in re.findall(r"^## (.+)\n((?:(?!^## )[\s\S])*)", text, re.MULTILINE):
        rows = re.findall(r"^\| `(\w+)`( \(spread\))? \|([^|]*)\|", section, re.MULTILINE)
        described[heading] = [(name, bool(kind), labels_of(labels)) for name, kind, labels in rows]
    assert described == {
        heading: [(name, one.kind == "histogram", list(one.labels)) for name, one in figures.items()]
        for heading, figures in SECTIONS.items()
    }


def labels_of(cell: str) -> list[str]:
    """`exchange` and `state` of the cell "`exchange` `state`: `connected` `silent`", whose values stand last."""
    names, _, values = cell.partition(":")
    found = re.findall(r"`(\w+)`", names)
    return found if "`:" not in values else [*found, *re.findall(r"`(\w+)`:", values)]


def test_the_names_of_figures_are_as_prometheus_wants_them() -> None:
    for name, figure in [pair for section in SECTIONS.values() for pair in section.items()]:
        assert (figure.kind == "counter") == name.endswith("_total"), name
        assert re.fullmatch(r"(candlehouse|process)_[a-z_]+", name), name
        assert not re.search(r"_(ms|minutes_total|milliseconds|kb|mb)$", name), name


def expressions(node: Any) -> list[str]:
    """Every `expr` in a dashboard or a file of rules."""
    if isinstance(node, list):
        return [found for part in node for found in expressions(part)]
    if not isinstance(node, dict):
        return []
    here = [node["expr"]] if isinstance(node.get("expr"), str) else []
    return here + [found for part in node.values() for found in expressions(part)]


@pytest.mark.parametrize("file", ["prometheus/rules.yml", "grafana/dashboards/candlehouse.json"])
def test_rules_and_dashboard_ask_only_for_figures_and_labels_that_are_there(file: str) -> None:
    asked = expressions(yaml.safe_load((MONITORING / file).read_text()))
    figures = series()
    assert len(asked) > 5
    for one in asked:
        assert [one.count(left) - one.count(right) for left, right in ("()", "[]", "{}")] == [0, 0, 0], one
        names = re.findall(r"\b(?:candlehouse|process)_\w+", one)
        assert names or re.search(r"\bup\{|ALERTS\{", one), one
        assert [name for name in names if name not in figures] == []
        labels = {label for group in re.findall(r"by \(([\w, ]+)\)", one) for label in group.split(", ")}
        assert all(labels <= figures[name] | OF_TARGETS for name in names), one


def test_every_alert_says_in_one_sentence_what_is_wrong() -> None:
    (group,) = yaml.safe_load((MONITORING / "prometheus/rules.yml").read_text())["groups"]
    for rule in group["rules"]:
        assert rule.keys() >= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")


def alerts() -> list[str]:
    (group,) = yaml.safe_load((MONITORING / "prometheus/rules.yml").read_text())["groups"]
    for rule in group["rules"]:
        assert rule["annotations"]["runbook_url"] == f"docs/howto/{RUNBOOKS.name}#{rule['alert'].lower()}"
    return [rule["alert"] for rule in group["rules"]]


def test_every_alert_has_a_runbook_that_says_what_it_means_where_to_look_and_what_to_do() -> None:
    sections = re.findall(r"^## (\w+)\n((?:(?!^## )[\s\S])*)", RUNBOOKS.read_text(), re.MULTILINE)
    assert [name for name, _ in sections] == alerts()
    for name, text in sections:
        parts = [re.match(r"\*\*(It means|Look at|Do:)\*\*", part) for part in text.strip().split("\n\n")]
        assert [part and part[1] for part in parts] == ["It means", "Look at", "Do:"], name


def test_runbooks_name_only_what_there_is() -> None:
    """Other runbooks, panels, commands and settings."""
    text = RUNBOOKS.read_text()
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= {name.lower() for name in alerts()}
    board = json.loads((MONITORING / "grafana/dashboards/candlehouse.json").read_text())
    italic = set(re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", text))
    assert italic <= {panel["title"] for panel in board["panels"]} | {"Targets"}
    group = get_command(cli)
    assert isinstance(group, TyperGroup)
    assert set(re.findall(r"`candlehouse ([a-z-]+)", text)) <= set(group.list_commands(Context(group)))
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:`|=)", text))
    assert named <= {*known_variables(), *COMPOSE_ONLY, "HTTPS_PROXY"}


def test_the_dashboard_finds_its_data_and_its_panels_do_not_overlap() -> None:
    source = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text())
    provider = yaml.safe_load((MONITORING / "grafana/provisioning/dashboards/candlehouse.yml").read_text())
    board = json.loads((MONITORING / "grafana/dashboards/candlehouse.json").read_text())
    (uid,) = [one["uid"] for one in source["datasources"]]
    assert provider["providers"][0]["options"]["path"] == "/var/lib/grafana/dashboards"
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        if panel["type"] != "row":
            assert {panel["datasource"]["uid"], *(one["datasource"]["uid"] for one in panel["targets"])} == {uid}
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_prometheus_shows_the_token_from_a_file_and_reads_the_rules_beside_its_configuration() -> None:
    text = (MONITORING / "prometheus/prometheus.yml").read_text()
    config = yaml.safe_load(text)
    shown = {"credentials_file": "/run/secrets/web_token"}
    web, roles = config["scrape_configs"]
    assert web["authorization"] == roles["authorization"] == shown
    assert web["static_configs"] == [{"targets": ["coin-app:8000"]}]
    (found,) = roles["http_sd_configs"]
    assert (found["url"], found["authorization"]) == ("http://coin-app:8000/metrics/targets", shown)
    assert all((MONITORING / "prometheus" / name).is_file() for name in config["rule_files"])


def test_alerts_ask_for_the_jobs_of_the_configuration() -> None:
    config = yaml.safe_load((MONITORING / "prometheus/prometheus.yml").read_text())
    asked = re.findall(r'job="([\w-]+)"', (MONITORING / "prometheus/rules.yml").read_text())
    assert set(asked) == {job["job_name"] for job in config["scrape_configs"]}
