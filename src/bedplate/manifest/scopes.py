"""Scopes: one model for each type of tool and data. A scope is one verb with what it may act on, and what must hold."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from bedplate.manifest.arguments import Ask, Claim, Column, ColumnTests, Conditions, Limit
from bedplate.manifest.fields import FileGlobs, Line, Lines, Name, Section, refuse, shaped
from bedplate.manifest.words import DATA_VERBS, HTTP_VERBS, SQL_VERBS, one_verb

_URLS = "URL pattern with a literal host; `*` matches any text, `/` included. One or a list."
_KEYS = "One or a list."


class Scope(Section):
    """One grant: exactly one verb with what it may act on."""

    verbs: ClassVar[tuple[str, ...]] = ()

    id: Name | None = Field(
        default=None, description="Name of the scope in traces and denials; without one a hash of its content is used."
    )

    @property
    def granted(self) -> tuple[str, list[str]]:
        """The verb and its patterns."""
        verb = self._given()[0]
        value = self._value(verb)
        return verb, [value] if isinstance(value, str) else value

    def _given(self) -> list[str]:
        return [verb for verb in self.verbs if self._value(verb) is not None]

    def _value(self, verb: str) -> Any:
        return getattr(self, f"{verb}_" if verb == "list" else verb)

    @model_validator(mode="after")
    def _one_verb(self) -> Scope:
        given = self._given()
        if len(given) != 1:
            said = f"{len(given)} verbs ({', '.join(given)})" if given else "no verb"
            raise refuse("BP017", f"a scope has {said}", one_verb(self.verbs))
        return self


class ReadScope(Scope):
    """A grant to read documents."""

    verbs = ("read",)

    read: FileGlobs = Field(
        description="Documents that may be read, as paths within the data source; `*` matches any text, `/` included."
    )


class CallScope(Scope, Conditions):
    """A grant to call operations."""

    verbs = ("call",)

    call: Lines = Field(description="Operations that may be called; `*` matches any text. One or a list.")


class EgressScope(Scope):
    """A grant to send requests of one HTTP method to some URLs."""

    verbs = HTTP_VERBS

    get: Lines | None = Field(default=None, description=f"GET requests that may be sent. {_URLS}")
    post: Lines | None = Field(default=None, description=f"POST requests that may be sent. {_URLS}")
    put: Lines | None = Field(default=None, description=f"PUT requests that may be sent. {_URLS}")
    patch: Lines | None = Field(default=None, description=f"PATCH requests that may be sent. {_URLS}")
    delete: Lines | None = Field(default=None, description=f"DELETE requests that may be sent. {_URLS}")
    head: Lines | None = Field(default=None, description=f"HEAD requests that may be sent. {_URLS}")
    options: Lines | None = Field(default=None, description=f"OPTIONS requests that may be sent. {_URLS}")


class HttpScope(EgressScope, Conditions):
    """A grant to send requests of one HTTP method to some URLs, where the arguments are as they must be."""


def _literal_table(value: Any) -> Any:
    if isinstance(value, str) and "*" in value:
        fix = "name each table, in a scope of its own, as schema.table"
        raise refuse("BP810", f"`{value[:60]}`: a wildcard in a table is refused", fix)
    return value


_TABLE = r"^[A-Za-z_][A-Za-z0-9_$]*\.[A-Za-z_][A-Za-z0-9_$]*$"
TableName = Annotated[
    str, shaped(_TABLE, 127, "a table as `schema.table`", "crm.tickets"), BeforeValidator(_literal_table)
]


class SqlScope(Scope):
    """A grant to read or change rows of one table."""

    verbs = SQL_VERBS

    read: TableName | None = Field(default=None, description="Table of which rows may be read, as `schema.table`.")
    insert: TableName | None = Field(default=None, description="Table to which rows may be added.")
    update: TableName | None = Field(default=None, description="Table of which rows may be changed.")
    delete: TableName | None = Field(default=None, description="Table of which rows may be deleted.")
    columns: list[Column] | None = Field(
        default=None, min_length=1, description="Columns that may be read or written. Without it: all."
    )
    rows: ColumnTests = Field(default={}, description="Which rows, by tests of their columns. Without it: all.")
    set_: ColumnTests = Field(default={}, alias="set", description="What written values must be, by column.")
    ask: Ask | None = Field(
        default=None, description="When a person must agree: `true`, or by tests of `rows.COLUMN` and `set.COLUMN`."
    )
    limit: Limit | None = Field(default=None, description="How much it allows in a time.")

    @model_validator(mode="after")
    def _fits(self) -> SqlScope:
        verb = self._given()[0]
        unfit = {"read": ("set",), "insert": ("rows",), "update": (), "delete": ("columns", "set")}[verb]
        written = {"columns": self.columns, "rows": self.rows, "set": self.set_}
        for clause in unfit:
            if written[clause]:
                raise refuse("BP809", f"`{clause}` does not fit `{verb}`", f"remove `{clause}`, or use another verb")
        return self


class SessionKey(Section):
    """The key that a session's claim names."""

    session: Claim = Field(description="Name of the claim.")


def _globs_or_claim(value: Any) -> str | None:
    return "globs" if isinstance(value, str | list) else "claim" if isinstance(value, dict | SessionKey) else None


Keys = Annotated[Annotated[Lines, Tag("globs")] | Annotated[SessionKey, Tag("claim")], Discriminator(_globs_or_claim)]


class DataScope(Scope):
    """What a tool may do by itself with a data source. Which verbs there are depends on the type of the source."""

    verbs = DATA_VERBS

    read: FileGlobs | None = Field(
        default=None,
        description=f"`files`, `s3`: documents or keys that may be read; `*` matches any text. {_KEYS}",
    )
    list_: FileGlobs | None = Field(default=None, alias="list", description=f"`s3`: keys that may be listed. {_KEYS}")
    write: FileGlobs | None = Field(default=None, description=f"`s3`: keys that may be written. {_KEYS}")
    delete: FileGlobs | None = Field(
        default=None, description="`s3`: keys that may be deleted. `dynamodb`: the table of which items may be deleted."
    )
    get: Line | None = Field(default=None, description="`dynamodb`: the table of which items may be read by key.")
    query: Line | None = Field(default=None, description="`dynamodb`: the table that may be queried.")
    put: Line | None = Field(default=None, description="`dynamodb`: the table to which items may be written.")
    update: Line | None = Field(default=None, description="`dynamodb`: the table of which items may be changed.")
    keys: Keys | None = Field(
        default=None, description="`dynamodb`: partition keys, as globs or {session: claim}. Without it: all."
    )
    attributes: Lines | None = Field(
        default=None, description="`dynamodb`: attributes that may be read or written, as globs. Without it: all."
    )


class Never(Section):
    """What no scope can allow."""

    call: Line = Field(description="Pattern over `tool.operation`; what matches is denied whatever the scopes say.")

    @model_validator(mode="after")
    def _can_match(self) -> Never:
        if "." not in self.call and "*" not in self.call:
            raise refuse("BP019", f"`{self.call}` can match nothing", f'write the tool too: "*.{self.call}"')
        return self
