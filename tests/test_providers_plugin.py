"""Provider plugins over the ResourceProvider protocol: real executables, real processes, both ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bedplate.engine.finding import find
from bedplate.engine.instances import Instances
from bedplate.engine.packages import Packages, Subject
from bedplate.engine.plugins import Plugin, opener
from bedplate.engine.provider import UNKNOWN, Created, DiffKind, Incomplete
from bedplate.engine.state import ResourceState, Snapshot
from bedplate.engine.values import Secret
from bedplate.problems import BedplateError, Problem
from plugin_support import Box, install

PROVIDER = "urn:pulumi:dev::shop::pulumi:providers:shelf::default"
BOX = Subject("urn:pulumi:dev::shop::shelf:index:Box::one", Box.type)


def environment(*folders: Path, **more: str) -> dict[str, str]:
    """PATH of `folders` before the system's, and a home without plugins."""
    path = os.pathsep.join([*map(str, folders), "/usr/bin", "/bin"])
    return {"PATH": path, "HOME": "/nowhere", **more}


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    """The shelf as a configured plugin, its things in `tmp_path/things`."""
    (tmp_path / "things").mkdir()
    install(tmp_path / "bin")
    env = environment(tmp_path / "bin")
    found = Plugin("shelf", find("shelf", "", env), env, print)
    checked = found.check_config(PROVIDER, {"folder": str(tmp_path / "things")}, None)
    found.configure(PROVIDER, "an-id", checked.inputs)
    yield found
    found.close()


def test_a_resource_is_checked_compared_made_read_changed_and_removed(plugin: Plugin, tmp_path: Path) -> None:
    """Every method of a class gives through the plugin what it gives in process."""
    box, there = plugin.resource(BOX), Box(tmp_path / "things")
    news = {"name": "one", "sizes": [1, 2.5, True, None], "nested": {"a": {"b": "c"}}}
    checked = box.check(news, None)
    assert checked == there.check(news, None)
    made = box.create(checked.inputs)
    assert made.id == "box-one"
    assert made.outputs["key"] == Secret("hunter2-box-one")
    assert made.outputs["sizes"] == [1, 2.5, True, None]
    assert box.diff(made.id, checked.inputs, {}, checked.inputs).changes is False
    changed = {**checked.inputs, "size": 2, "nested": {"a": {}}}
    assert box.diff(made.id, checked.inputs, {}, changed) == there.diff(made.id, checked.inputs, {}, changed)
    assert box.update(made.id, checked.inputs, made.outputs, changed)["size"] == 2
    read = box.read(made.id, {}, {})
    assert read is not None
    assert read.inputs == changed
    box.delete(made.id, {})
    assert box.read(made.id, {}, {}) is None


def test_a_change_that_no_property_shows_is_told(plugin: Plugin, capfd: pytest.CaptureFixture[str]) -> None:
    """The difference is one, and the provider's note reaches the engine's log."""
    diff = plugin.resource(BOX).diff("box-one", {"size": 1}, {}, {"size": 1})
    assert diff.changes
    assert not diff.properties
    assert capfd.readouterr().out == "the box is gone\n"


def test_a_replacement_names_its_keys_and_its_order(plugin: Plugin) -> None:
    """A change of a replace key comes back as one, with deleting first."""
    diff = plugin.resource(BOX).diff("box-one", {"zone": "a", "l": [1]}, {}, {"zone": "b", "l": [1, 2]})
    assert diff.properties == {"zone": DiffKind.UPDATE_REPLACE, "l[1]": DiffKind.ADD}
    assert diff.replaces == ("zone",)
    assert diff.delete_before_replace


def test_a_preview_makes_nothing_and_tells_what_is_unknown(plugin: Plugin, tmp_path: Path) -> None:
    """Computed outputs are unknown before a create, stable ones known before an update, and nothing is written."""
    box = plugin.resource(BOX)
    before = sorted((tmp_path / "things").iterdir())
    outputs = box.preview_outputs({"name": "one", "deep": {"x": UNKNOWN}}, None)
    assert outputs["path"] is UNKNOWN
    assert outputs["deep"] == {"x": UNKNOWN}
    assert outputs["key"] == Secret(UNKNOWN)
    kept = box.preview_update("box-one", {}, {"path": "/p", "key": "k"}, {"name": "one"})
    assert kept["path"] == "/p"
    assert kept["key"] == Secret(UNKNOWN)
    assert sorted((tmp_path / "things").iterdir()) == before


def test_refusals_keep_their_words(plugin: Plugin) -> None:
    """Failed checks name the property; an error has the provider's summary, code and fix; a bug says so."""
    box = plugin.resource(BOX)
    assert [(f.property, f.reason) for f in box.check({"size": -1}, None).failures] == [
        ("size", "must not be negative")
    ]
    with pytest.raises(BedplateError) as refused:
        box.check({"trouble": "check"}, None)
    problem = refused.value.problems[0]
    assert problem == Problem("BP205", "a box of trouble", detail="more", fix="ask for none")
    with pytest.raises(BedplateError, match=r"ValueError: unplanned; this is a bug"):
        box.create({"name": "one", "trouble": "bug"})
    with pytest.raises(BedplateError, match="there is no resource type shelf:index:Bix"):
        plugin.resource(Subject("urn:pulumi:dev::shop::shelf:index:Bix::one", "shelf:index:Bix")).check({}, None)


def test_a_resource_that_did_not_come_up_is_not_lost(plugin: Plugin) -> None:
    """A create that fails after it made the resource gives its id, its outputs and the reasons."""
    with pytest.raises(Incomplete, match="the lid does not close") as late:
        plugin.resource(BOX).create({"name": "one", "trouble": "late"})
    created: Created = late.value.created
    assert created.id == "box-one"
    assert created.outputs["key"] == Secret("hunter2-box-one")


def test_the_configuration_is_checked_compared_and_handed_over(plugin: Plugin, tmp_path: Path) -> None:
    """Defaults are filled in, failures named, a replacing change told, and the plugin knows its URN and id."""
    urn, id, inputs = json.loads((tmp_path / "things" / "configured").read_text())
    assert (urn, id) == (PROVIDER, "an-id")
    assert inputs == {"folder": str(tmp_path / "things"), "mode": "plain"}
    assert plugin.check_config(PROVIDER, {}, None).failures[0].property == "folder"
    assert plugin.diff_config(PROVIDER, {"folder": "a"}, {"folder": "b"}).replaces == ("folder",)
    assert plugin.diff_config(PROVIDER, {"folder": "a"}, {"folder": "a"}).changes is False


def test_functions_answer_or_refuse_their_arguments(plugin: Plugin) -> None:
    """A function returns its values, names a missing argument, and an unknown function is an error."""
    plugin.resource(BOX).create({"name": "one"})
    assert plugin.invoke("shelf:index:count", {"prefix": "box-"}, preview=True).result == {"count": 1, "preview": True}
    assert plugin.invoke("shelf:index:count", {}, preview=False).failures[0].reason == "is missing"
    with pytest.raises(BedplateError, match="there is no function shelf:index:none"):
        plugin.invoke("shelf:index:none", {}, preview=False)


def test_a_plugin_is_cancelled_and_closed(plugin: Plugin, tmp_path: Path) -> None:
    """Cancel reaches the provider; close ends the process after the provider has closed."""
    plugin.cancel()
    assert (tmp_path / "things" / "cancelled").exists()
    plugin.close()
    assert (tmp_path / "things" / "closed").exists()
    with pytest.raises(ValueError, match="closed"):
        plugin.schema()


def test_a_plugin_that_dies_says_so(plugin: Plugin) -> None:
    """A process that ends in the middle of a call is a problem that names plugin, call and status."""
    with pytest.raises(BedplateError) as died:
        plugin.resource(BOX).create({"name": "one", "trouble": "crash"})
    assert died.value.problems[0].code == "BP243"
    assert "during Create" in died.value.problems[0].summary


def test_the_schema_and_methods_that_are_not_there(plugin: Plugin) -> None:
    """The schema comes as it was given; a method nobody implements is refused by its name, without a traceback."""
    from pulumi.runtime.proto import provider_pb2

    assert plugin.schema() == {"name": "shelf", "version": "1.2.3"}
    with pytest.raises(BedplateError, match="does not support Construct"):
        plugin.call("Construct", provider_pb2.ConstructRequest())


def test_a_plugin_ends_with_an_engine_that_was_killed(tmp_path: Path) -> None:
    """After SIGKILL of the engine's process the plugin closes its provider and ends by itself."""
    path = install(tmp_path / "bin")
    (tmp_path / "things").mkdir()
    program = f"""
import time
from pathlib import Path
from bedplate.engine.plugins import Plugin
plugin = Plugin("shelf", Path({str(path)!r}), {environment()!r}, print)
plugin.configure({PROVIDER!r}, "id", {{"folder": {str(tmp_path / "things")!r}}})
time.sleep(60)
"""
    engine = subprocess.Popen([sys.executable, "-c", program])
    _wait_for(tmp_path / "things" / "configured")
    engine.kill()
    engine.wait()
    _wait_for(tmp_path / "things" / "closed")


def _wait_for(path: Path) -> None:
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until, f"{path.name} did not come"
        time.sleep(0.05)


BROKEN = {
    "no port": ("print('hello', flush=True)", "wrote 'hello' in place of its port"),
    "ends": ("sys.stderr.write('no license\\n'); sys.exit(4)", "ended before it wrote its port"),
    "silent": ("import time\ntime.sleep(60)", "wrote no port within"),
    "deaf": ("import time\nprint(1, flush=True)\ntime.sleep(60)", "does not answer on its port"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_plugin_that_does_not_start_is_told_with_its_last_lines(name: str, tmp_path: Path) -> None:
    """Each way not to start is BP243 with what happened, within the time allowed, and leaves no process."""
    body, said = BROKEN[name]
    path = install(tmp_path, body=body)
    began = time.monotonic()
    with pytest.raises(BedplateError, match=said) as failed:
        Plugin("shelf", path, environment(), lambda _line: None, start=1.5)
    assert failed.value.problems[0].code == "BP243"
    assert time.monotonic() - began < 10
    if name == "ends":
        assert failed.value.problems[0].detail == "no license"


def test_packages_of_which_the_state_knows_no_provider_are_kept_apart() -> None:
    """Resources without a provider in state are managed by the type of their own package."""
    box, crate = Box(Path()), Box(Path())
    packages = Packages({"shelf:index:Box": box, "crate:index:Box": crate}, opener(environment(), print))
    instances = Instances(packages, Snapshot())
    found = [instances.resource(ResourceState("urn", f"{name}:index:Box", True)) for name in ("shelf", "crate")]
    assert found[0] is box
    assert found[1] is crate


def test_path_wins_then_the_cache_by_version(tmp_path: Path) -> None:
    """PATH is taken first; the cache gives the version asked for, or the newest release; ambient can be refused."""
    home = tmp_path / "home"
    for version in ("1.2.3", "1.10.0", "2.0.0-alpha.1"):
        install(home / "plugins" / f"resource-shelf-v{version}")
    install(home / "plugins" / "resource-shelf-v9.0.0")
    (home / "plugins" / "resource-shelf-v9.0.0.partial").touch()
    env = environment(PULUMI_HOME=str(home))
    assert find("shelf", "", env).parent.name == "resource-shelf-v1.10.0"
    assert find("shelf", "1.2.3", env).parent.name == "resource-shelf-v1.2.3"
    assert find("shelf", "2.0.0-alpha.1", env).parent.name == "resource-shelf-v2.0.0-alpha.1"
    ambient = install(tmp_path / "bin")
    env = environment(tmp_path / "bin", PULUMI_HOME=str(home))
    assert find("shelf", "1.2.3", env) == ambient
    refused = {**env, "PULUMI_IGNORE_AMBIENT_PLUGINS": "true"}
    assert find("shelf", "1.2.3", refused).parent.name == "resource-shelf-v1.2.3"


def test_a_plugin_that_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    """A missing version names those in the cache; a folder without executable, or of source code, is named."""
    home = tmp_path / "plugins"
    install(home / "resource-shelf-v1.2.3")
    env = environment(PULUMI_HOME=str(tmp_path))
    with pytest.raises(BedplateError) as missing:
        find("shelf", "3.0.0", env)
    assert missing.value.problems[0].code == "BP241"
    assert "the cache has 1.2.3" in missing.value.problems[0].detail
    (home / "resource-empty-v1.0.0").mkdir()
    with pytest.raises(BedplateError, match="has no executable pulumi-resource-empty"):
        find("empty", "", env)
    (home / "resource-source-v1.0.0").mkdir()
    (home / "resource-source-v1.0.0" / "PulumiPlugin.yaml").write_text("runtime: nodejs\n")
    with pytest.raises(BedplateError, match="needs a language host"):
        find("source", "", env)


def test_what_a_plugin_prints_is_passed_on(tmp_path: Path) -> None:
    """Lines on stderr and on stdout after the port reach the log of the run."""
    body = "import plugin_support\nprint('a warning', file=sys.stderr, flush=True)\nplugin_support.main()"
    lines: list[str] = []
    packages = Packages({}, opener(environment(install(tmp_path, body=body).parent), lines.append))
    packages.open("shelf")
    packages.close()
    assert lines == ["a warning"]
