"""`bedplate:local:Secret` and `bedplate:local:Token`: one private file each. No value ever stands in the state."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from bedplate.providers.bedplate.inputs import moved, required, write_private
from bedplate.providers.bedplate.owning import OWNED, OWNER, keep, release, take

from bedplate.blueprint.paths import StagePaths
from bedplate.engine.provider import Checked, Created, Diff, Properties, Property, ReadResult, Resource
from bedplate.problems import BedplateError, Problem


class SecretResource(Resource):
    """A secret read from the environment or the project's `.env`. Inputs: `name`, `variable`.

    `check` adds `salt` and `fingerprint`, an HMAC-SHA-256 of the value under the salt: it changes with the value and
    tells nothing else. Raises BedplateError (BP751) where the variable is set nowhere.
    """

    type: ClassVar[str] = "bedplate:local:Secret"
    inputs: ClassVar[Mapping[str, Property]] = {
        "name": Property("string", "The secret's name: that of its file."),
        "variable": Property("string", "The environment variable, also looked up in the project's `.env`."),
    }
    outputs: ClassVar[Mapping[str, Property]] = {
        "salt": Property("string", "Random; kept as long as the resource is."),
        "fingerprint": Property("string", "HMAC-SHA-256 of the value under the salt, 32 hex digits of it."),
        "path": Property("string", "The file that holds the value, readable by its owner only."),
        **OWNED,
    }
    computed_outputs: ClassVar[frozenset[str]] = frozenset({"path", OWNER})
    stable_outputs: ClassVar[frozenset[str]] = frozenset({OWNER})
    replace_keys: ClassVar[frozenset[str]] = frozenset({"name"})

    def __init__(self, paths: StagePaths, project: Path, environment: Mapping[str, str]) -> None:
        self._paths, self._project, self._environment = paths, project, environment

    def check(self, news: Properties, olds: Properties | None) -> Checked:
        """Find the value and add its fingerprint."""
        value = self._value(news)
        salt = str((olds or {}).get("salt") or secrets.token_hex(16))
        return Checked({**news, "salt": salt, "fingerprint": fingerprint(value, salt)})

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:
        """Inputs, and whether the file is there."""
        found = super().diff(id, old_inputs, old_outputs, news)
        file = self._paths.secret(id)
        return replace(found, note=moved(old_outputs, file) if file.exists() else "the file is gone")

    def create(self, news: Properties) -> Created:
        """Write the value to its file."""
        name = required(self.type, news, "name", str)
        return Created(name, {**self._written(name, news), OWNER: take(self._paths, "secret", name)})

    def _written(self, name: str, news: Properties) -> dict[str, Any]:
        write_private(self._paths.secret(name), self._value(news))
        return {**news, "path": str(self._paths.secret(name))}

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        """As deployed, where the file is still there."""
        return ReadResult(id, inputs, outputs) if self._paths.secret(id).exists() else None

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:  # noqa: ARG002
        """Write the new value."""
        return {**self._written(id, news), OWNER: keep(self._paths, "secret", id, old_outputs)}

    def delete(self, id: str, outputs: Properties) -> None:
        """Remove the file, unless another resource owns it by now."""
        if release(self._paths, "secret", id, outputs):
            self._paths.secret(id).unlink(missing_ok=True)

    def _value(self, inputs: Properties) -> str:
        name, variable = required(self.type, inputs, "name", str), required(self.type, inputs, "variable", str)
        value = self._environment.get(variable) or dotenv(self._project / ".env").get(variable)
        if value:
            return value
        fix = f"export {variable}=… or put {variable}=… in .env"
        raise BedplateError(Problem("BP751", f"secret {name} is not set", fix=fix))


def fingerprint(value: str, salt: str) -> str:
    """HMAC-SHA-256 of a secret, 32 hex digits of it."""
    return hmac.new(salt.encode(), value.encode(), hashlib.sha256).hexdigest()[:32]


def dotenv(path: Path) -> dict[str, str]:
    """The variables of a `.env` file: `NAME=value` a line, `export` before it and quotes around the value allowed."""
    if not path.is_file():
        return {}
    lines = map(str.strip, path.read_text("utf-8").splitlines())
    pairs = (line.removeprefix("export ").partition("=") for line in lines if not line.startswith("#"))
    return {name.strip(): _unquoted(value.strip()) for name, found, value in pairs if found}


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value.split(" #", 1)[0].rstrip()


class TokenResource(Resource):
    """A random token in a private file, made once and kept: `api-key`, `sink-token`. Input: `name`."""

    type: ClassVar[str] = "bedplate:local:Token"
    inputs: ClassVar[Mapping[str, Property]] = {"name": Property("string", "The token's name: that of its file.")}
    outputs: ClassVar[Mapping[str, Property]] = {
        "path": Property("string", "The file that holds the token, readable by its owner only."),
        **OWNED,
    }
    computed_outputs: ClassVar[frozenset[str]] = frozenset({"path", OWNER})
    stable_outputs: ClassVar[frozenset[str]] = frozenset({OWNER})
    replace_keys: ClassVar[frozenset[str]] = frozenset({"name"})

    def __init__(self, paths: StagePaths) -> None:
        self._paths = paths

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:
        """Inputs, and whether the file is there."""
        found = super().diff(id, old_inputs, old_outputs, news)
        file = self._paths.secret(id)
        return replace(found, note=moved(old_outputs, file) if file.exists() else "the file is gone")

    def create(self, news: Properties) -> Created:
        """Make the token, 32 random bytes, unless its file is there."""
        name = required(self.type, news, "name", str)
        return Created(name, {**self._made(name, news), OWNER: take(self._paths, "token", name)})

    def _made(self, name: str, news: Properties) -> dict[str, Any]:
        if not self._paths.secret(name).exists():
            write_private(self._paths.secret(name), secrets.token_urlsafe(32))
        return {**news, "path": str(self._paths.secret(name))}

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        """As made, where the file is still there."""
        return ReadResult(id, inputs, outputs) if self._paths.secret(id).exists() else None

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:  # noqa: ARG002
        """Make it again where its file was lost."""
        return {**self._made(id, news), OWNER: keep(self._paths, "token", id, old_outputs)}

    def delete(self, id: str, outputs: Properties) -> None:
        """Remove the file, unless another resource owns it by now."""
        if release(self._paths, "token", id, outputs):
            self._paths.secret(id).unlink(missing_ok=True)
