"""Our own types as the plugin `pulumi-resource-bedplate`: the executable, its schema, a stage made through it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from bedplate.providers.bedplate import types

from bedplate.blueprint.paths import StagePaths
from bedplate.engine.packages import Subject
from bedplate.engine.plugins import Plugin
from bedplate.engine.provider import UNKNOWN
from bedplate.problems import BedplateError
from bedplate.runtime.supervisor.client import SupervisorClient
from plugin_support import install

PROVIDER = "urn:pulumi:dev::shop::pulumi:providers:bedplate::default"
MAIN = "from bedplate.providers.bedplate.plugin import main\nmain()"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Path]:
    """A stage's folder in a project with a document; what runs in it is ended."""
    folder = tmp_path / ".bedplate" / "dev"
    folder.mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Bolts\n\nTighten them.\n")
    yield folder
    SupervisorClient(StagePaths(folder)).stop()


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    """The plugin, not configured."""
    path = install(tmp_path / "bin", "pulumi-resource-bedplate", MAIN)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "API_KEY": "sk-secret-value"}
    found = Plugin("bedplate", path, environment, print)
    yield found
    found.close()


def subject(token: str) -> Subject:
    return Subject(f"urn:pulumi:dev::shop::{token}::one", token)


def inputs(stage: Path) -> Mapping[str, Mapping[str, Any]]:
    """One resource of each type, by token."""
    paths, docs = StagePaths(stage), stage.parent.parent / "docs"
    sink = {"folder": str(paths.traces), "content": "none", "secretsFolder": str(paths.secrets), "retention": 60}
    return {
        "bedplate:local:Token": {"name": "sink-token"},
        "bedplate:local:Secret": {"name": "api-key", "variable": "API_KEY"},
        "bedplate:local:Store": {"agent": "support", "retention": {"sessions": 60}},
        "bedplate:local:SearchIndex": {
            "name": "docs", "root": str(docs), "digest": "1", "files": 1, "paths": ["a.md"],
        },
        "bedplate:local:Process": {
            "name": "sink", "module": "bedplate.traces.sink", "config": sink, "listens": True, "ready": "http:/ping",
        },
    }  # fmt: skip


def fits(value: Any, spec: Mapping[str, Any]) -> bool:
    """Whether a value is of the type that a schema gives."""
    match spec.get("type"):
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list) and all(fits(each, spec["items"]) for each in value)
        case "object":
            return all(fits(each, spec["additionalProperties"]) for each in value.values())
        case _:
            return spec.get("$ref") == "pulumi.json#/Any"


def test_each_type_lives_through_the_plugin_as_its_schema_says(plugin: Plugin, stage: Path) -> None:
    """Made, kept, read and removed by the executable; inputs and outputs are those of the schema, by name and type."""
    plugin.configure(PROVIDER, "id", {"stageFolder": str(stage)})
    schema = plugin.schema()["resources"]
    made = {}
    for token, news in inputs(stage).items():
        resource, told = plugin.resource(subject(token)), schema[token]
        checked = resource.check(news, None)
        assert not checked.failures
        assert set(told["requiredInputs"]) <= set(news) <= set(told["inputProperties"]), token
        assert all(fits(value, told["inputProperties"][name]) for name, value in news.items()), token
        made[token] = (created := resource.create(checked.inputs), checked.inputs)
        assert set(told["required"]) <= set(created.outputs) <= set(told["properties"]), token
        assert all(fits(value, told["properties"][name]) for name, value in created.outputs.items()), token
        assert "sk-secret-value" not in str(created.outputs)
    for token, (created, checked_inputs) in made.items():
        resource = plugin.resource(subject(token))
        assert not resource.diff(created.id, checked_inputs, created.outputs, checked_inputs).changes, token
        assert resource.read(created.id, checked_inputs, created.outputs) is not None
    for token, (created, _) in reversed(made.items()):
        plugin.resource(subject(token)).delete(created.id, created.outputs)
    assert [path.name for path in stage.rglob("*") if path.is_file()] == []


def test_an_error_of_a_type_reaches_the_person(plugin: Plugin, stage: Path) -> None:
    """A secret that is set nowhere comes with its code, and with the way to mend it."""
    plugin.configure(PROVIDER, "id", {"stageFolder": str(stage)})
    with pytest.raises(BedplateError) as missing:
        plugin.resource(subject("bedplate:local:Secret")).check({"name": "k", "variable": "NOT_SET"}, None)
    problem = missing.value.problems[0]
    assert (problem.code, problem.summary) == ("BP751", "secret k is not set")
    assert "export NOT_SET" in problem.fix


CONFIGURATIONS: Mapping[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "nothing": ({}, [("stageFolder", "is missing")]),
    "relative": ({"stageFolder": "dev"}, [("stageFolder", "has to be an absolute path")]),
    "unknown": ({"stageFolder": UNKNOWN}, [("stageFolder", "has to be known before an update")]),
    "another": ({"stageFolder": "/p", "stage": "dev"}, [("stage", "there is no such configuration")]),
    "of the program": ({"stageFolder": "/p", "blueprint": "{}", "manifest": "m", "sandbox": "none"}, []),
    "all": ({"stageFolder": "/p", "project": "/"}, []),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_is_refused_by_the_name_of_what_is_wrong(plugin: Plugin, name: str) -> None:
    """Each wrong configuration names its key; what only programs read is taken and not kept."""
    given, failures = CONFIGURATIONS[name]
    checked = plugin.check_config(PROVIDER, given, None)
    assert [(failure.property, failure.reason) for failure in checked.failures] == failures
    if not failures:
        assert set(checked.inputs) <= {"stageFolder", "project"}


def test_nothing_is_managed_before_the_provider_is_configured(plugin: Plugin) -> None:
    """A call before Configure is refused."""
    with pytest.raises(BedplateError, match="before it was configured"):
        plugin.resource(subject("bedplate:local:Token")).create({"name": "t"})


def test_the_schema_covers_every_class_and_what_it_declares() -> None:
    """Every class of the provider is in the schema; computed outputs, secrets and replace keys are declared ones."""
    from bedplate.providers.bedplate.plugin import schema

    resources = schema()["resources"]
    assert set(resources) == {each.type for each in types()}
    for each in types():
        told = resources[each.type]
        assert each.computed_outputs | each.stable_outputs | each.secret_outputs <= set(told["properties"])
        assert {name for name, spec in told["inputProperties"].items() if "willReplaceOnChanges" in spec} == set(
            each.replace_keys
        )
        assert told["description"]


def test_the_package_installs_the_executable() -> None:
    """The console script that Pulumi looks for leads to the plugin."""
    from bedplate.providers.bedplate.plugin import main

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["pulumi-resource-bedplate"] == f"{main.__module__}:main"
