"""The types of this provider as if what they make stood nowhere: two descriptions of a stage are compared with them.

Goes in: inputs. Comes out: how they differ, by the rules of the real types. Nothing is read, made or deleted, and no
secret is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, NoReturn

from bedplate.providers.bedplate.credentials import SecretResource, TokenResource
from bedplate.providers.bedplate.data import SearchIndexResource, StoreResource
from bedplate.providers.bedplate.process import ProcessResource

from bedplate.engine.provider import Created, Diff, Properties, ReadResult, Resource

_DAY = 86400
_REMEMBERED = {"sessions": "conversations", "longTerm": "remembered facts"}


def imagined() -> dict[str, Resource]:
    """Every type of this provider by its token."""
    return {kind.type: kind() for kind in (_Store, _SearchIndex, _Secret, _Token, _Process)}


class _Imagined(Resource):
    """Known outputs are the inputs and, for what the program passes on, a fixed text: it never makes a difference."""

    passed_on: ClassVar[tuple[str, ...]] = ()

    def preview_outputs(self, news: Properties, old_outputs: Properties | None) -> Properties:  # noqa: ARG002
        return {**dict.fromkeys(self.passed_on, "imagined"), **news}

    def create(self, news: Properties) -> Created:  # noqa: ARG002
        self._refuse()

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:  # noqa: ARG002
        self._refuse()

    def delete(self, id: str, outputs: Properties) -> None:  # noqa: ARG002
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise NotImplementedError(f"{self.type} is only imagined here")


class _Store(_Imagined):
    type: ClassVar[str] = StoreResource.type
    passed_on: ClassVar[tuple[str, ...]] = ("path",)

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:
        """Inputs, and what of the memory a shorter retention or a removed section deletes."""
        found = super().diff(id, old_inputs, old_outputs, news)
        old, new = _retention(old_inputs), _retention(news)
        lost = [_loss(kind, new.get(kind)) for kind, kept in old.items() if new.get(kind, 0) < kept]
        return replace(found, note=f"deletes {' and '.join(lost)}") if lost else found


class _SearchIndex(_Imagined):
    type: ClassVar[str] = SearchIndexResource.type


class _Secret(_Imagined):
    type: ClassVar[str] = SecretResource.type
    replace_keys: ClassVar[frozenset[str]] = SecretResource.replace_keys
    passed_on: ClassVar[tuple[str, ...]] = ("fingerprint",)


class _Token(_Imagined):
    type: ClassVar[str] = TokenResource.type
    replace_keys: ClassVar[frozenset[str]] = TokenResource.replace_keys


class _Process(_Imagined):
    type: ClassVar[str] = ProcessResource.type
    replace_keys: ClassVar[frozenset[str]] = ProcessResource.replace_keys
    passed_on: ClassVar[tuple[str, ...]] = ("url", "port")

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:
        """Inputs. Lines of the manifest move with every comment: alone they are no change."""
        found = super().diff(id, old_inputs, old_outputs, news)
        return replace(found, properties={p: k for p, k in found.properties.items() if not p.endswith(".where")})


def _retention(inputs: Properties) -> Mapping[str, Any]:
    found: Mapping[str, Any] = inputs.get("retention") or {}
    return found


def _loss(kind: str, seconds: int | None) -> str:
    what = _REMEMBERED.get(kind, kind)
    return f"{what} older than {seconds / _DAY:g} days" if seconds else f"all {what}"
