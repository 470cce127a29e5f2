"""Loading: places, overlays, YAML 1.2, files that cannot be read, the example, the schema, templates."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedplate.blueprint.resolve import resolve_all
from bedplate.manifest import load, parse, planned, units
from bedplate.manifest.load import LoadedManifest
from bedplate.manifest.metrics import DIRECTIONS, METRICS
from bedplate.manifest.scaffold import INTENTS, TEMPLATES, name_from, scaffold
from bedplate.manifest.schema import ceiling_schema, json_schema, model_schema, schema_text
from bedplate.manifest.words import suggest
from bedplate.manifest.yamltree import read
from bedplate.problems import BedplateError, Problem
from manifest_support import CASES, EXAMPLE, ROOT, example_project, schema_fields, written_fields

SMALL = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: small}
intent: script
model: bedplate:extractive
instructions: Answer.
"""


def parsed(text: str) -> LoadedManifest:
    return parse(text, "agent.yaml", Path())


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(BedplateError) as caught:
        parsed(text)
    return caught.value.problems


def found_in(text: str) -> tuple[Problem, ...]:
    """The problems, none where the text is a manifest."""
    try:
        parsed(text)
    except BedplateError as error:
        return error.problems
    return ()


def test_the_smallest_manifest_loads() -> None:
    """Six lines are a manifest, with one local stage and the documented defaults."""
    loaded = parsed(SMALL)
    assert list(loaded.stages) == ["prototype"]
    assert loaded.manifest.limits.tokens == 60_000
    assert loaded.manifest.sandbox.memory == 512 * 1024**2


def test_the_example_is_valid_and_complete(tmp_path: Path) -> None:
    """agent.yaml.example resolves for all its stages, and writes every field of the schema at least once."""
    loaded = load(example_project(tmp_path))
    assert [b.stage for b in resolve_all(loaded)] == ["prototype", "staging", "prod"]
    assert schema_fields() - {field for field, _, _ in written_fields(loaded.document)} == set()


def test_the_example_fits_the_published_schema() -> None:
    """Editors that check by the published schema accept the example and every template's manifest."""
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.validate(yaml.safe_load(EXAMPLE.read_text()))


def test_published_schemas_name_their_address() -> None:
    """Each schema's `$id` is the address at which it is published."""
    for path in (ROOT / "docs" / "schema").glob("*.json"):
        assert yaml.safe_load(path.read_text())["$id"] == f"https://bedplate.dev/schemas/{path.name}"


def test_the_example_says_something_about_every_section() -> None:
    """Each section of the example follows a comment."""
    lines = EXAMPLE.read_text().splitlines()
    for index, line in enumerate(lines):
        if line[:1].isalpha() and not line.startswith(("kind:", "metadata:", "memory:", "evals:", "expose:")):
            assert lines[index - 1].startswith("#"), line


def test_the_published_schema_is_current() -> None:
    """docs/schema has what the models generate, of manifests (which `bedplate schema` prints) and of ceilings."""
    published = (ROOT / "docs" / "schema" / "agent.v1.json").read_text("utf-8")
    assert published == schema_text()
    assert (ROOT / "docs" / "schema" / "ceiling.v1.json").read_text("utf-8") == schema_text(ceiling_schema())


def test_every_field_is_described() -> None:
    """Every field of the schema, overlays included, has a description that editors show."""
    schemas = (json_schema(), ceiling_schema())
    for schema in schemas:
        jsonschema.Draft202012Validator.check_schema(schema)
    named = [(name, inner) for schema in schemas for name, inner in {"the whole": schema, **schema["$defs"]}.items()]
    for name, definition in named:
        assert definition["description"], name
        for key, field in definition["properties"].items():
            assert field.get("description") or "$ref" in field or "$ref" in str(field), f"{name}.{key}"


@pytest.mark.parametrize("name", ["unknown-section", "wrong-intent", "wrong-size", "missing-name", "stage-no-target"])
def test_the_published_schema_refuses_what_loading_refuses(name: str) -> None:
    """What an editor can tell by the schema, it tells: a sample of the bad cases does not fit it."""
    document = yaml.safe_load((CASES / "bad" / f"{name}.yaml").read_text())
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(document)


def test_places_are_exact() -> None:
    """The place of a value is the line and column where it is written, by dotted path, with names for named things."""
    loaded = parsed(SMALL + "limits:\n  tokens: 100\nevals:\n  - name: faq\n    dataset: x.yaml\n")
    assert str(loaded.lines["limits.tokens"]) == "agent.yaml:8:11"
    assert str(loaded.lines["evals.faq.dataset"]) == "agent.yaml:11:14"
    assert str(loaded.lines["metadata.name"]) == "agent.yaml:3:18"


def test_yaml_is_read_by_version_1_2() -> None:
    """Words, dates, octal-looking and base-60 numbers are what they look like, not what YAML 1.1 makes of them."""
    tree = read("{a: no, b: on, c: 2024-01-01, d: 010, e: 1:30, f: 1e3, g: true, h: ~, i: 0x1f, j: '5', k: .5}", "x")
    expected = {"a": "no", "b": "on", "c": "2024-01-01", "d": 10, "e": "1:30", "f": 1000.0}
    assert tree.data == {**expected, "g": True, "h": None, "i": 31, "j": "5", "k": 0.5}


def test_aliases_are_read() -> None:
    """An anchor that is used again stands for its value, each time in its place."""
    loaded = parsed(SMALL + "memory:\n  sessions: {retention: &keep 7d}\n  longTerm: {retention: *keep}\n")
    memory = loaded.manifest.memory
    assert memory
    assert memory.sessions
    assert memory.long_term
    assert memory.sessions.retention == memory.long_term.retention == 7 * 86400


@given(st.text(max_size=200))
def test_any_text_loads_or_is_refused_in_order(text: str) -> None:
    """Whatever the text, loading ends in a manifest or in problems with codes, never in another exception."""
    assert all(problem.code.startswith("BP0") for problem in found_in(text))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(model_schema()["properties"])), junk)
def test_junk_in_any_section_is_refused_in_order(section: str, value: Any) -> None:
    """Any value in any section gives a manifest or problems, each with a place, never another exception."""
    document = {**yaml.safe_load(SMALL), section: value}
    assert all(problem.where and problem.fix for problem in found_in(yaml.safe_dump(document, allow_unicode=True)))


def test_deep_brackets_do_not_crash() -> None:
    """A hundred thousand opening brackets are refused like other broken YAML."""
    assert problems("[" * 100_000)[0].code in {"BP002", "BP004"}


def test_overlays_merge_by_name_and_replace_scopes() -> None:
    """Mappings merge, named things merge by name, scopes and other lists are replaced, null removes."""
    base = SMALL + (
        "tools:\n  - {name: t, type: mcp, command: [a, b], scopes: [{call: x}, {call: y}]}\n"
        "memory: {sessions: {retention: 1d}, longTerm: {retention: 2d}}\nlimits: {tokens: 5, requests: 3}\n"
        "stages:\n  a:\n    target: local\n    limits: {tokens: 4}\n    memory: {longTerm: null}\n"
        "    tools: [{name: t, scopes: [{call: y}]}]\n"
    )
    stage = parsed(base).stages["a"].manifest
    assert (stage.limits.tokens, stage.limits.requests) == (4, 3)
    assert stage.memory
    assert stage.memory.long_term is None
    assert stage.tools[0].model_dump()["command"] == ["a", "b"]
    assert [scope.granted for scope in stage.tools[0].scopes] == [("call", ["y"])]


def test_a_model_in_the_short_form_can_be_overlaid() -> None:
    """`model: x` is short for `model: {id: x}` when an overlay adds settings, and the short form replaces the whole."""
    text = SMALL + (
        "stages:\n  a: {target: local, model: {settings: {seed: 1}}}\n"
        "  b: {target: local, model: 'local:smollm2-135m'}\n"
    )
    stages = parsed(text).stages
    assert stages["a"].manifest.model.id == "bedplate:extractive"
    assert stages["a"].manifest.model.settings.seed == 1
    assert stages["b"].manifest.model.id == "local:smollm2-135m"


def test_a_secret_is_never_repeated_in_a_message() -> None:
    """No part of a problem holds the value that stands in a secret position or looks like a key."""
    key = "sk-proj-abcdefghijklmnop1234567890"
    said = problems(SMALL.replace("Answer.", key) + f"expose: {{port: {key}}}\ntools: [{{type: {key}}}]\n")
    assert {"BP016"} <= {problem.code for problem in said}
    assert key not in str(said)


def test_every_planned_entry_is_reached() -> None:
    """Each entry of the table of planned things is found at its place and at no other."""
    for entry in planned.TABLE:
        value: Any = sorted(entry.values)[0] if entry.values else [] if entry.kind is list else "x"
        for part in reversed(entry.path):
            value = [value] if part == "*" and entry.path[0] != "stages" else {"s" if part == "*" else part: value}
        found, _ = planned.find(value, lambda _: Problem("BP014", "").where)  # type: ignore[arg-type,return-value]
        assert len(found) == 1, entry
        assert "not supported yet" in found[0].summary
        assert "{}" not in found[0].summary


def test_planned_things_are_no_fields() -> None:
    """Nothing that is refused as planned is a field or a choice of the schema."""
    schema = model_schema()
    for entry in planned.TABLE:
        if len(entry.path) == 1:
            assert entry.path[0] not in schema["properties"]
    assert not {"a2a", "agent"} & set(schema["properties"]["tools"]["items"]["discriminator"]["mapping"])


@pytest.mark.parametrize(
    ("content", "code"), [(b"\xff\xfe", "BP009"), (b"#" * (1024 * 1024 + 1), "BP008")], ids=["not-utf-8", "too-large"]
)
def test_files_that_are_no_manifests(tmp_path: Path, content: bytes, code: str) -> None:
    """A file that is not UTF-8, or larger than 1 MiB, is refused before it is parsed."""
    (tmp_path / "agent.yaml").write_bytes(content)
    with pytest.raises(BedplateError) as caught:
        load(tmp_path / "agent.yaml")
    assert caught.value.problems[0].code == code


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    """A manifest saved with a byte order mark loads."""
    (tmp_path / "agent.yaml").write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load(tmp_path / "agent.yaml").manifest.metadata.name == "small"


def test_a_folder_means_its_manifest(tmp_path: Path) -> None:
    """A folder stands for the agent.yaml in it; where there is none the message says what to do."""
    (tmp_path / "agent.yaml").write_text(SMALL)
    (tmp_path / "below").mkdir()
    assert load(tmp_path).project == tmp_path
    said = {"below": str(tmp_path), "below/agent.yaml": "bedplate init", "nowhere": "--file", "x/y.yaml": "--file"}
    for start, part in said.items():
        with pytest.raises(BedplateError) as caught:
            load(tmp_path / start)
        assert caught.value.problems[0].code == "BP001"
        assert part in caught.value.problems[0].fix
        assert "bedplate init" in caught.value.problems[0].fix


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    """A pipe or a device as manifest is refused at once, where reading it would never end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(BedplateError) as caught:
            load(path)
        assert "no regular file" in caught.value.problems[0].summary


@pytest.mark.parametrize("parameter", ["api_key", "apikey", "key", "token", "sig", "auth", "access_token", "Password"])
@pytest.mark.parametrize("place", ["model", "url", "baseUrl", "stage"])
def test_a_secret_in_a_query_is_refused_and_not_shown(place: str, parameter: str) -> None:
    """A URL with a secret in its query gives one problem, which does not repeat the value, even if the URL is bad."""
    url = f"'https://a.example/x?a=b&{parameter}=hunter2 hunter2'"
    tools = {
        "url": f"tools: [{{name: t, type: mcp, url: {url}, scopes: [{{call: x}}]}}]\n",
        "baseUrl": f"tools: [{{name: t, type: http, openapi: {{file: o}}, baseUrl: {url}, scopes: [{{get: x}}]}}]\n",
        "stage": f"stages: {{a: {{target: local, model: {{id: 'openai:x', baseUrl: {url}}}}}}}\n",
    }
    model = SMALL.replace("bedplate:extractive", f"{{id: 'openai:x', baseUrl: {url}}}")
    found = problems(SMALL + tools[place] if place in tools else model)
    assert "BP016" in {problem.code for problem in found}
    assert not [problem for problem in found if "hunter2" in str(problem)]


def test_a_query_without_a_secret_is_no_secret() -> None:
    """Other parameters of a query are accepted."""
    assert not found_in(SMALL.replace("bedplate:extractive", "{id: 'openai:x', baseUrl: 'https://a.example/?keys=1'}"))


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("intent", INTENTS)
def test_every_template_is_valid(tmp_path: Path, template: str, intent: str) -> None:
    """What `init` writes validates as it is, starts with the schema line, and leaves no placeholder."""
    written = scaffold(tmp_path / "new", template, intent, "my-agent")
    assert written[0].name == "agent.yaml"
    assert not [path for path in written if "@" in path.read_text().replace("help@example.com", "")]
    assert (
        written[0]
        .read_text()
        .startswith("# yaml-language-server: $schema=https://bedplate.dev/schemas/agent.v1.json\n")
    )
    blueprint = resolve_all(load(written[0]))[0]
    assert (blueprint.name, blueprint.intent) == ("my-agent", intent)
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(written[0].read_text()))


def test_a_templates_questions_have_answers_in_its_documents(tmp_path: Path) -> None:
    """Each expected answer of the support template stands in the page that the case names."""
    scaffold(tmp_path, "support", "product", "x")
    cases = yaml.safe_load((tmp_path / "evals" / "faq.yaml").read_text())["cases"]
    assert len(cases) == 8
    for case in cases:
        page = (tmp_path / "docs" / case["metadata"]["source"]).read_text()
        assert case["expected_output"].lower() in " ".join(page.lower().split())


def test_scaffolding_never_overwrites(tmp_path: Path) -> None:
    """Where one file is in the way, all of them are named and nothing is written."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "system.md").write_text("mine")
    with pytest.raises(BedplateError) as caught:
        scaffold(tmp_path, "support", "product", "x")
    assert [problem.code for problem in caught.value.problems] == ["BP120"]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["system.md"]


@pytest.mark.parametrize(
    ("choices", "code"),
    [(("suport", "product", "x"), "BP121"), (("support", "job", "x"), "BP013"), (("blank", "script", "A b"), "BP013")],
)
def test_scaffolding_refuses_what_does_not_exist(tmp_path: Path, choices: tuple[str, str, str], code: str) -> None:
    """An unknown template or intent and a bad name are refused before anything is written."""
    with pytest.raises(BedplateError) as caught:
        scaffold(tmp_path / "new", *choices)
    assert caught.value.problems[0].code == code
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("My Agent", "my-agent"),
        ("2024-faq", "faq"),
        ("--", "agent"),
        ("x" * 99, "x" * 63),
        ("e2", "e2"),
        ("2024", "agent-2024"),
        ("Ünï", "uni"),
    ],
)
def test_a_name_is_made_of_the_folders(folder: str, name: str) -> None:
    """The folder's name becomes a valid name for the agent."""
    assert name_from(Path(folder)) == name


@given(st.integers(1, 9999), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_durations_come_back(number: int, unit: str) -> None:
    """A duration written from seconds means the same seconds."""
    value = units.seconds(f"{number}{unit}")
    assert units.seconds(units.duration_text(value)) == pytest.approx(value, abs=0.0005)


def test_metrics_point_one_way() -> None:
    """What is bounded from below is a share; budgets are bounded from above."""
    budgets = {name for name, direction in DIRECTIONS.items() if direction == "max"}
    assert budgets == {"latencyP50", "latencyP95", "tokens", "toolCalls", "errors"}
    assert all(metric.unit == "share" for name, metric in METRICS.items() if name not in budgets)


@pytest.mark.parametrize(
    ("given_word", "meant"),
    [("max_tokens", "maxTokens"), ("MAXTOKENS", "maxTokens"), ("tokns", "tokens"), ("zzz", None)],
)
def test_near_misses_are_recognised(given_word: str, meant: str | None) -> None:
    """Another case or separator and small slips find the word; nonsense finds none."""
    assert suggest(given_word, ["maxTokens", "tokens", "seed"]) == meant


def test_loading_is_light() -> None:
    """Importing the manifest package brings no heavy package, not even pydantic."""
    code = "import sys, bedplate.manifest; print([m for m in ('pydantic', 'pulumi', 'mcp') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
