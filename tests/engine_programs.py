"""Programs as data for the cases of resource semantics, and a package of types that is configured.

A program is a list of specs: `{name, type?, props?, refs?, after?, parent?, options?, …}` as in `engine_cloud.build`,
and `get: id` (read, not made) · `provider: name`, `providers: [names]` of specs with `type: Provider` · `deletedWith`,
`replaceWith` (names) · `zoneOf`, `triggeredBy` (whose address it is) · `transforms: [{props?, options?}]`, and with
`type: StackTransform` or `InvokeTransform` on everything after it · `invoke: {token, args}`, `call: {token, of}`,
`reference: stack` (its output `x`), which become the property `found` · `contents: {property: content}`, where a
content is `{text}`, `{file}`, `{archive}` (a path below the case's folder), `{members: {name: content}}` or `{uri}` ·
`hooks: {before_create: [names], …}` of specs with `type: Hook` (`on_dry_run?`, `ignore_errors?`, `raises?`) or
`ErrorHook` (`retries`), which say into `heard` what they are told · `package: {plugin, name, value, url?, extension?}`
which the spec comes from (2.0.0 of a plugin 1.0.0), and `of: package` of a provider.
"""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bedplate.engine.diffing import diff_properties
from bedplate.engine.packages import Invoked, Provider, Subject
from bedplate.engine.provider import Checked, CheckFailure, Diff, Properties, Resource
from bedplate.engine.values import Secret
from engine_cloud import Cloud, Thing

Spec = Mapping[str, Any]
TYPES = {
    "Thing": "test:index:Thing",
    "Exclusive": "test:index:Exclusive",
    "Regional": "regional:index:Thing",
}
_OUTPUTS = {"address": None, "token": None, "region": None}


class Regional(Thing):
    """A `Thing` in the region that its provider is configured with."""

    type: ClassVar[str] = "regional:index:Thing"
    secret_outputs: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, cloud: Cloud, region: str, timeouts: Mapping[str, float]) -> None:
        super().__init__(cloud)
        self.region, self.timeouts = region, timeouts

    def _outputs(self, id: str, news: Properties) -> dict[str, Any]:
        return {**super()._outputs(id, news), "region": self.region, "patience": self.timeouts.get("create", 0)}


class RegionalProvider(Provider):
    """Its resources are made in `region`; another region is another place. `zone` may change in place."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._region, self._kinds = cloud, "", {"regional": ""}

    def parameterize(self, name: str, version: str, value: bytes) -> str:
        self._kinds[name] = f"{value.decode()} "
        return name

    def check_config(self, urn: str, news: Properties, olds: Properties | None) -> Checked:
        unknown = tuple(CheckFailure(key, "is unknown") for key in news if key not in {"region", "zone", "version"})
        return Checked({"region": "here", **news}, unknown)

    def diff_config(self, urn: str, old_inputs: Properties, news: Properties) -> Diff:
        return diff_properties(old_inputs, news, frozenset({"region"}))

    def configure(self, urn: str, id: str, inputs: Properties) -> None:
        self._region = inputs["region"]

    def resource(self, subject: Subject) -> Resource:
        return Regional(self._cloud, self._kinds[subject.type.partition(":")[0]] + self._region, subject.timeouts)

    def invoke(self, token: str, args: Properties, *, preview: bool) -> Invoked:
        if "bad" in args:
            return Invoked({}, (CheckFailure("bad", "is not wanted"),))
        return Invoked({"value": f"{args['of']} in {self._region}", "code": Secret("geheim")})

    def call_method(self, token: str, args: Properties, *, preview: bool) -> Invoked:
        return self.invoke(token, {"of": args["__self__"]}, preview=preview)


def write(files: Mapping[str, Any], folder: Path) -> None:
    """Files for contents: texts, `{zip: {name: text}}`, or null for one that is to go."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        match content:
            case None:
                path.unlink()
            case {"zip": members}:
                path.write_bytes(_zipped(members))
            case text:
                path.write_text(text, "utf-8")


def _zipped(members: Mapping[str, str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1990, 1, 1, 0, 0, 0)), text)
    return data.getvalue()


def content_of(spec: Mapping[str, Any], folder: Path) -> Any:
    """The SDK's asset or archive."""
    import pulumi

    match spec:
        case {"text": text}:
            return pulumi.StringAsset(text)
        case {"file": path}:
            return pulumi.FileAsset(str(folder / path))
        case {"archive": path}:
            return pulumi.FileArchive(str(folder / path))
        case {"uri": uri}:
            return pulumi.RemoteAsset(uri)
        case _:
            return pulumi.AssetArchive({name: content_of(each, folder) for name, each in spec["members"].items()})


def build(
    specs: Sequence[Spec],
    exports: Mapping[str, str] | None = None,
    folder: Path = Path(),
    heard: list[str] | None = None,
) -> Callable[[], None]:
    """The program of the specs; `exports` maps an output to `resource.property`, `folder` has the files of contents."""
    said = [] if heard is None else heard

    def program() -> None:
        import pulumi

        made: dict[str, Any] = {}
        for spec in specs:
            if not _declare_hook(spec, made, said):
                _declare(_with_contents(spec, folder), made)
        for name, path in (exports or {}).items():
            resource, _, key = path.partition(".")
            pulumi.export(name, getattr(made[resource], key))

    return program


def _with_contents(spec: Spec, folder: Path) -> Spec:
    found = {name: content_of(content, folder) for name, content in spec.get("contents", {}).items()}
    return {**spec, "props": {**spec.get("props", {}), **found}} if found else spec


def _declare_hook(spec: Spec, made: dict[str, Any], heard: list[str]) -> bool:
    import pulumi

    def hook(args: pulumi.ResourceHookArgs) -> None:
        sizes = [_size(each) for each in (args.old_inputs, args.new_inputs, args.old_outputs, args.new_outputs)]
        heard.append(" ".join([spec["name"], args.name, *sizes, *(["has an id"] if args.id else [])]))
        if "raises" in spec:
            raise ValueError(spec["raises"])

    def error_hook(args: pulumi.ErrorHookArgs) -> bool:
        heard.append(f"{spec['name']} {args.failed_operation} {args.name} {len(args.errors)}")
        return len(args.errors) <= spec["retries"]

    match spec.get("type"):
        case "Hook":
            options = pulumi.ResourceHookOptions(spec.get("on_dry_run", False), spec.get("ignore_errors", False))
            made[spec["name"]] = pulumi.ResourceHook(spec["name"], hook, options)
        case "ErrorHook":
            made[spec["name"]] = pulumi.ErrorHook(spec["name"], error_hook)
        case _:
            return False
    return True


def _size(properties: Any) -> str:
    return f"{properties['size']:g}" if properties and "size" in properties else "-"


def _declare(spec: Spec, made: dict[str, Any]) -> None:
    import pulumi

    if spec.get("type") == "StackTransform":
        pulumi.runtime.register_resource_transform(_transform(spec["transform"]))
        return
    if spec.get("type") == "InvokeTransform":
        pulumi.runtime.register_invoke_transform(_invoke_transform(spec["args"]))
        return
    options = pulumi.ResourceOptions(**_options(spec, made))
    name, props = spec["name"], dict(spec.get("props", {}))
    match spec.get("type", "Thing"):
        case "Component":
            made[name] = pulumi.ComponentResource("test:index:Component", name, props, options)
            if spec.get("outputs"):
                made[name].register_outputs(spec["outputs"])
        case "Provider":
            package = spec.get("of", "regional")
            made[name] = pulumi.ProviderResource(package, name, props, options, package_ref=_package(spec))
        case "Stash":
            made[name] = pulumi.Stash(name, options, spec["input"])
        case kind:
            props = {"name": name, **_OUTPUTS, **props, **_computed(spec, made)}
            made[name] = pulumi.CustomResource(TYPES.get(kind, kind), name, props, options, package_ref=_package(spec))


def _package(spec: Spec) -> Any:
    """The reference of the package that the spec names, if it names one."""
    import pulumi

    if "package" not in spec:
        return None
    value = base64.b64encode(spec["package"]["value"].encode()).decode()
    plugin, name = spec["package"]["plugin"], spec["package"]["name"]
    return pulumi.runtime.register_package(
        plugin, "1.0.0", spec["package"].get("url", ""), name, "2.0.0", value, spec["package"].get("extension", False)
    )


def _options(spec: Spec, made: Mapping[str, Any]) -> dict[str, Any]:
    import pulumi

    options: dict[str, Any] = {**spec.get("options", {})}
    for key, option in (("parent", "parent"), ("provider", "provider"), ("deletedWith", "deleted_with")):
        if key in spec:
            options[option] = made[spec[key]]
    for key, option in (("after", "depends_on"), ("providers", "providers"), ("replaceWith", "replace_with")):
        if key in spec:
            options[option] = [made[name] for name in spec[key]]
    if "aliases" in options:
        options["aliases"] = [pulumi.Alias(**a) if isinstance(a, dict) else a for a in options["aliases"]]
    if "custom_timeouts" in options:
        options["custom_timeouts"] = pulumi.CustomTimeouts(**options["custom_timeouts"])
    if "hooks" in spec:
        bound = {kind: [made[name] for name in names] for kind, names in spec["hooks"].items()}
        options["hooks"] = pulumi.ResourceHookBinding(**bound)
    if "transforms" in spec:
        options["transforms"] = [_transform(transform) for transform in spec["transforms"]]
    if "get" in spec:
        options["id"] = spec["get"]
    if "triggeredBy" in spec:
        options["replacement_trigger"] = made[spec["triggeredBy"]].address
    return options


def _computed(spec: Spec, made: Mapping[str, Any]) -> dict[str, Any]:
    import pulumi

    props: dict[str, Any] = {key: pulumi.Output.secret(spec["props"][key]) for key in spec.get("secret", ())}
    if "refs" in spec:
        props["refs"] = [made[name].address for name in spec["refs"]]
    if "zoneOf" in spec:
        props["zone"] = made[spec["zoneOf"]].address
    if "invoke" in spec:
        provider = made[spec["provider"]] if "provider" in spec else None
        options = pulumi.InvokeOptions(provider=provider)
        props["found"] = pulumi.runtime.invoke_output(spec["invoke"]["token"], spec["invoke"]["args"], options)
    if "call" in spec:
        props["found"] = pulumi.runtime.call(spec["call"]["token"], {"__self__": made[spec["call"]["of"]]})
    if "reference" in spec:
        props["found"] = pulumi.StackReference(spec["reference"]).get_output("x")
    return props


def _transform(change: Mapping[str, Any]) -> Callable[[Any], Any]:
    def transform(args: Any) -> Any:
        import pulumi

        if "type" in change and change["type"] != args.type_:
            return None
        if "raises" in change:
            raise ValueError(change["raises"])
        options = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(**change.get("options", {})))
        return pulumi.ResourceTransformResult({**args.props, **change.get("props", {})}, options)

    return transform


def _invoke_transform(change: Mapping[str, Any]) -> Callable[[Any], Any]:
    def transform(args: Any) -> Any:
        import pulumi

        return pulumi.InvokeTransformResult({**args.args, **change}, args.opts)

    return transform
