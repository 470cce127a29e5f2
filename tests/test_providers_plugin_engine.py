"""Provider plugins under the embedded engine: programs, real plugin processes, state and steps."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine import EmbeddedEngine, Event, Outcome, StackRef
from bedplate.engine.provider import UNKNOWN
from bedplate.problems import BedplateError
from plugin_support import INSISTING, Box, install


class Shop:
    """A stack whose packages come from plugins, and folders for their things."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stack = StackRef("shop", "dev", root / "stack")
        install(root / "bin")
        path = os.pathsep.join([str(root / "bin"), "/usr/bin", "/bin"])
        self.environment = {"PATH": path, "HOME": str(root), "PULUMI_CONFIG_PASSPHRASE": "p"}
        self.log: list[str] = []

    def folder(self, name: str) -> Path:
        (self.root / name).mkdir(exist_ok=True)
        return self.root / name

    @property
    def engine(self) -> EmbeddedEngine:
        return EmbeddedEngine({}, environment=self.environment)

    @property
    def config(self) -> dict[str, str]:
        return {"shelf:folder": str(self.folder("things"))}

    def up(self, program: Callable[[], None], config: Mapping[str, str] | None = None) -> Outcome:
        return self.engine.up(self.stack, program, self.config if config is None else config, on_event=self._note)

    def preview(self, program: Callable[[], None], config: Mapping[str, str] | None = None) -> Outcome:
        return self.engine.preview(self.stack, program, self.config if config is None else config)

    def _note(self, event: Event) -> None:
        if event.kind == "log":
            self.log.append(event.message)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.stack.folder / "state.json").read_text())["deployment"]
        return found


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def boxes(*specs: Mapping[str, Any], options: Callable[[], Any] = lambda: None) -> Callable[[], None]:
    """A program with a box for each of `specs`; exports each path."""

    def program() -> None:
        import pulumi

        for spec in specs:
            outputs = dict.fromkeys(("path", "key", "size", "label"))
            box = pulumi.CustomResource(Box.type, spec["name"], {**outputs, **spec}, options())
            pulumi.export(spec["name"], box.path)  # type: ignore[attr-defined]

    return program


def explicit(folder: Path, name: str = "mine") -> Callable[[], Any]:
    """Options with an explicit provider, made when they are asked for."""

    def options() -> Any:
        import pulumi

        return pulumi.ResourceOptions(provider=pulumi.ProviderResource("shelf", name, {"folder": str(folder)}))

    return options


def test_resources_of_a_plugin_live_like_those_of_classes(shop: Shop) -> None:
    """Preview, up, no-op, update, replacement and destroy take the steps they should; the things follow."""
    things = shop.folder("things")
    first = shop.preview(boxes({"name": "a"}))
    assert [step.op for step in first.changes if step.type == Box.type] == ["create"]
    assert first.outputs["a"] is UNKNOWN
    assert shop.up(boxes({"name": "a"})).outputs["a"] == str(things / "box-a")
    assert shop.up(boxes({"name": "a"})).changes == ()
    changed = shop.up(boxes({"name": "a", "size": 2}))
    assert [(step.op, set(step.diff)) for step in changed.changes] == [("update", {"size"})]
    assert json.loads((things / "box-a").read_text())["size"] == 2
    replaced = shop.up(boxes({"name": "a", "size": 2, "zone": "z"}))
    assert [s.op for s in replaced.changes] == ["delete-replaced", "replace", "create-replacement"]
    shop.engine.destroy(shop.stack)
    assert not (things / "box-a").exists()
    assert (things / "closed").exists()


def test_a_secret_of_a_plugin_is_encrypted_and_masked(shop: Shop) -> None:
    """What the plugin marks as secret is nowhere readable."""
    shop.up(boxes({"name": "a"}))
    assert "hunter2" not in "".join(path.read_text() for path in shop.stack.folder.iterdir() if path.is_file())
    assert shop.engine.resources(shop.stack)[-1].old_outputs is not None
    assert "hunter2" not in str(shop.engine.resources(shop.stack))


def test_the_configuration_of_a_stack_is_that_of_the_default_provider(shop: Shop) -> None:
    """The default provider stands in state with checked inputs; a missing one stops the run before anything is made."""
    shop.up(boxes({"name": "a"}))
    provider = next(r for r in shop.state()["resources"] if r["type"] == "pulumi:providers:shelf")
    assert provider["inputs"] == {"folder": str(shop.folder("things")), "mode": "plain"}
    with pytest.raises(BedplateError, match="folder: is missing"):
        Shop(shop.folder("other")).up(boxes({"name": "a"}), {})


def test_an_explicit_provider_manages_its_resources(shop: Shop) -> None:
    """A box of an explicit provider is made in that provider's folder, and named after it in state."""
    where = shop.folder("elsewhere")
    shop.up(boxes({"name": "a"}, options=explicit(where)))
    assert (where / "box-a").exists()
    box = next(r for r in shop.state()["resources"] if r["type"] == Box.type)
    assert "::mine::" in box["provider"]
    assert shop.up(boxes({"name": "a"}, options=explicit(where))).changes == ()
    shop.engine.destroy(shop.stack)
    assert not (where / "box-a").exists()


def test_a_provider_that_has_to_be_replaced_takes_its_resources_along(shop: Shop) -> None:
    """Another folder replaces provider and box: made in the new folder, deleted in the old by the old provider."""
    old, new = shop.folder("old"), shop.folder("new")
    shop.up(boxes({"name": "a"}, options=explicit(old)))
    shop.up(boxes({"name": "a"}, options=explicit(new)))
    assert (new / "box-a").exists()
    assert not (old / "box-a").exists()


def test_a_provider_whose_configuration_is_unknown_is_left_alone_in_a_preview(shop: Shop) -> None:
    """A provider configured with an output that is not known yet previews its resources from their inputs."""
    things = shop.folder("things")

    def program() -> None:
        import pulumi

        first = pulumi.CustomResource(Box.type, "a", {"name": "a", "path": None})
        folder = first.path.apply(lambda path: str(Path(path).parent))  # type: ignore[attr-defined]
        second = pulumi.ProviderResource("shelf", "later", {"folder": folder})
        pulumi.CustomResource(Box.type, "b", {"name": "b"}, pulumi.ResourceOptions(provider=second))

    found = shop.preview(program)
    assert {step.name for step in found.changes} >= {"a", "b", "later"}
    shop.up(program)
    assert (things / "box-b").exists()


def test_a_resource_that_did_not_come_up_is_recorded_and_changed_by_the_next_run(shop: Shop) -> None:
    """The failed create is in state with its reasons; the next run updates it instead of making another."""
    with pytest.raises(BedplateError, match="the lid does not close"):
        shop.up(boxes({"name": "a", "trouble": "late"}))
    box = next(r for r in shop.state()["resources"] if r["type"] == Box.type)
    assert (box["id"], box["initErrors"]) == ("box-a", ["the lid does not close"])
    mended = shop.up(boxes({"name": "a"}))
    assert [step.op for step in mended.changes if step.type == Box.type] == ["update"]
    assert "initErrors" not in next(r for r in shop.state()["resources"] if r["type"] == Box.type)


def test_a_refresh_of_what_is_not_well_keeps_what_is_secret(shop: Shop) -> None:
    """Of a resource that a plugin reads and finds not well, outputs and reasons are recorded, without its secrets."""
    shop.up(boxes({"name": "a"}))
    (shop.folder("things") / "damp").touch()
    shop.engine.refresh(shop.stack)
    box = next(r for r in shop.state()["resources"] if r["type"] == Box.type)
    assert (box["outputs"]["label"], box["initErrors"]) == ("damp", ["[secret] has come off"])
    assert "ciphertext" in box["outputs"]["key"]


def test_a_create_whose_plugin_died_is_never_done_twice(shop: Shop) -> None:
    """The create stays pending, and the next run stops and names it instead of making another."""
    with pytest.raises(BedplateError, match="ended with status 3 during Create"):
        shop.up(boxes({"name": "a", "trouble": "crash"}))
    assert [p["type"] for p in shop.state()["pending_operations"]] == ["creating"]
    with pytest.raises(BedplateError, match="nobody knows whether it was made") as doubt:
        shop.up(boxes({"name": "a"}))
    assert doubt.value.problems[0].code == "BP216"
    assert not (shop.folder("things") / "box-a").exists()


def test_a_package_without_a_plugin_is_named(shop: Shop) -> None:
    """A type of a package that nobody has is BP241 with the executable that was looked for."""

    def program() -> None:
        import pulumi

        pulumi.CustomResource("crate:index:Crate", "a", {})

    with pytest.raises(BedplateError, match="no provider plugin for the package crate") as missing:
        shop.up(program)
    assert "pulumi-resource-crate on PATH" in missing.value.problems[0].detail


def test_the_place_to_get_a_plugin_from_is_in_what_to_do(shop: Shop) -> None:
    """Nothing is downloaded: the command that installs a missing plugin names its version and its server."""

    def program() -> None:
        import pulumi

        options = pulumi.ResourceOptions(plugin_download_url="https://example.invalid/x", version="1.2.3")
        pulumi.CustomResource("crate:index:Crate", "a", {}, options)

    with pytest.raises(BedplateError) as missing:
        shop.up(program)
    fix = missing.value.problems[0].fix
    assert "pulumi plugin install resource crate 1.2.3 --server https://example.invalid/x" in fix


def test_a_plugin_sees_variables_under_the_names_that_its_provider_maps(shop: Shop) -> None:
    """`env_var_mappings` gives one variable the value of another, for that provider's plugin alone, and is in state."""
    body = """
    import os, plugin_support
    given, plain = os.environ.get("BOX_LABEL", "none"), plugin_support.Box.check
    def check(self, news, olds):
        return plain(self, {"label": given, **news}, olds)
    plugin_support.Box.check = check
    plugin_support.main()
    """
    install(shop.root / "bin", body=textwrap.dedent(body))
    shop.environment |= {"BOX_LABEL": "outside", "MY_LABEL": "mapped"}

    def program() -> None:
        import pulumi

        where = {"folder": str(shop.folder("things"))}
        for name, mappings in (("plain", None), ("mapped", {"MY_LABEL": "BOX_LABEL", "NO_LABEL": "BOX_LABEL"})):
            provider = pulumi.ProviderResource("shelf", name, where, pulumi.ResourceOptions(env_var_mappings=mappings))
            pulumi.CustomResource(Box.type, name, {"name": name}, pulumi.ResourceOptions(provider=provider))

    shop.up(program)
    labels = {r["inputs"]["name"]: r["inputs"]["label"] for r in shop.state()["resources"] if r["type"] == Box.type}
    assert labels == {"plain": "outside", "mapped": "mapped"}
    kept = [r["inputs"].get("__internal") for r in shop.state()["resources"] if "providers:shelf" in r["type"]]
    assert {"envVarMappings": {"MY_LABEL": "BOX_LABEL", "NO_LABEL": "BOX_LABEL"}} in kept


def test_a_resource_of_a_plugin_is_read_by_its_id(shop: Shop) -> None:
    """`get` takes up a thing that exists, and destroy leaves it."""
    things = shop.folder("things")
    (things / "box-old").write_text(json.dumps({"name": "old", "size": 3}))

    def program() -> None:
        import pulumi

        found = pulumi.CustomResource(Box.type, "old", {"size": None}, pulumi.ResourceOptions(id="box-old"))
        pulumi.export("size", found.size)  # type: ignore[attr-defined]

    assert shop.up(program).outputs["size"] == 3
    shop.engine.destroy(shop.stack)
    assert (things / "box-old").exists()


def test_a_plugin_may_insist_on_secrets_and_on_its_version(shop: Shop) -> None:
    """A secret input comes to the plugin as one, the provider's version with its configuration; where the plugin does
    not know what differs, inputs are compared.
    """
    install(shop.root / "bin", "pulumi-resource-vault", INSISTING)

    def program(key: str) -> Callable[[], None]:
        def declare() -> None:
            import pulumi

            options = pulumi.ResourceOptions(version="1.0.0")
            pulumi.CustomResource("vault:index:Lock", "a", {"key": pulumi.Output.secret(key)}, options)

        return declare

    assert [step.op for step in shop.up(program("one"), {}).changes] == ["create", "create"]
    assert shop.up(program("one"), {}).changes == ()
    preview = shop.preview(program("two"), {}).changes
    assert [(step.op, set(step.diff)) for step in preview] == [("update", {"key"})]
    shop.engine.destroy(shop.stack)


def test_a_server_of_other_hands_is_understood(shop: Shop) -> None:
    """Pulumi's own plugin for dynamic resources: made, kept, changed and removed, though it has neither handshake nor
    details of differences.
    """
    started = "import os\nos.execv(sys.executable, [sys.executable, '-u', '-m', 'pulumi.dynamic', *sys.argv[1:]])"
    install(shop.root / "bin", "pulumi-resource-pulumi-python", started)

    def program(given: int) -> Callable[[], None]:
        def declare() -> None:
            import pulumi
            from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult
            from pulumi.dynamic import Resource as Dynamic

            class Doubling(ResourceProvider):
                def create(self, props: dict[str, Any]) -> CreateResult:
                    return CreateResult("id-1", {**props, "twice": props["given"] * 2})

                def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
                    return UpdateResult({**_news, "twice": _news["given"] * 2})

                def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
                    return DiffResult(changes=_olds["given"] != _news["given"])

            class Doubled(Dynamic):
                twice: pulumi.Output[int]

            made = Doubled(Doubling(), "doubled", {"given": given, "twice": None})
            pulumi.export("twice", made.twice)

        return declare

    assert shop.preview(program(3), {}).outputs["twice"] is UNKNOWN
    assert shop.up(program(3), {}).outputs["twice"] == 6
    assert shop.up(program(3), {}).changes == ()
    changed = shop.up(program(5), {})
    assert ([step.op for step in changed.changes], changed.outputs["twice"]) == (["update"], 10)
    assert [step.op for step in shop.engine.destroy(shop.stack).changes] == ["delete", "delete"]


def test_a_plugin_gets_contents_to_make_and_hashes_to_compare(shop: Shop) -> None:
    """A create and an update bring the content of an asset; to compare, to delete and of before only its hash comes."""
    body = """
    import plugin_support
    from pathlib import Path
    from bedplate.engine import Created
    from bedplate.engine.assets import Asset

    def say(self, method, *values):
        told = ["content" if Asset(v["doc"].hash) != v["doc"] else "hash" for v in values]
        with Path(self.folder, "told").open("a") as file:
            file.write(f"{method}: {' '.join(told)}\\n")

    class Box(plugin_support.Box):
        def diff(self, id, old_inputs, old_outputs, news):
            say(self, "diff", old_inputs, old_outputs, news)
            return plugin_support.diff_properties(old_inputs, news)
        def create(self, news):
            say(self, "create", news)
            return Created("made", dict(news))
        def update(self, id, old_inputs, old_outputs, news):
            say(self, "update", old_inputs, old_outputs, news)
            return dict(news)
        def delete(self, id, outputs):
            say(self, "delete", outputs)

    plugin_support.Box = Box
    plugin_support.main()
    """
    install(shop.root / "bin", body=textwrap.dedent(body))

    def program(text: str) -> Callable[[], None]:
        def run() -> None:
            import pulumi

            pulumi.CustomResource(Box.type, "a", {"name": "a", "doc": pulumi.StringAsset(text)})

        return run

    shop.up(program("one"))
    assert shop.up(program("one")).changes == ()
    shop.up(program("two"))
    shop.engine.destroy(shop.stack)
    told = (shop.folder("things") / "told").read_text().splitlines()
    assert told == [
        "create: content",
        "diff: hash hash hash",
        "diff: hash hash hash",
        "update: hash hash content",
        "delete: hash",
    ]
