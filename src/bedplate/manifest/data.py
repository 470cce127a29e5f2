"""The data section: one model for each type of source, told apart by `type`. Declaring a source gives no access."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WrapValidator, model_validator

from bedplate.manifest.arguments import Column
from bedplate.manifest.fields import FileGlob, Line, Name, Section, known_type, refuse, shaped
from bedplate.manifest.scopes import TableName
from bedplate.manifest.words import DATA_TYPES

Label = Literal["public", "private", "untrusted"]
KindWord = Literal["string", "integer", "decimal", "boolean", "time", "ip", "strings"]
Labels = Annotated[
    list[Label],
    Field(
        default=[],
        description="What is in it: `private`: what not everybody may see; `untrusted`: what others wrote, so that it "
        "may hold instructions; `public`: neither secret nor anybody's own.",
    ),
]
Bucket = Annotated[str, shaped(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", 63, "the name of a bucket", "acme-invoices")]
Prefix = Annotated[str, shaped(r"^[^*\s/][^*\s]*/$", 500, "a prefix that ends with a slash", "support/")]
Region = Annotated[str, shaped(r"^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$", 30, "a region of AWS", "eu-west-1")]


class _Data(Section):
    name: Name = Field(description="Name by which tools use it.")
    labels: Labels

    @model_validator(mode="after")
    def _one_of_two(self) -> _Data:
        agreeing(self.labels)
        return self


def agreeing(labels: list[Label]) -> None:
    """Raises where labels contradict each other."""
    if {"public", "private"} <= set(labels):
        raise refuse("BP818", "it cannot be both `public` and `private`", "remove one of the two labels")


class FilesData(_Data):
    """Documents in a folder of the project."""

    type: Literal["files"] = Field(description="Documents in files: Markdown, reStructuredText, HTML or plain text.")
    path: Line = Field(description="Folder or file, relative to agent.yaml and inside the project.")
    include: list[FileGlob] | None = Field(
        default=None,
        min_length=1,
        description="Which files count, as globs over paths in the folder; `*` crosses `/`. Without it: .md, "
        ".markdown, .rst, .html, .htm and .txt.",
    )
    exclude: list[FileGlob] = Field(default=[], description="Which of them are left out.")


class PostgresData(_Data):
    """A PostgreSQL database, used by tools of type `sql`."""

    type: Literal["postgres"] = Field(description="A PostgreSQL database.")
    database: Line = Field(description="Name of the database.")
    tables: dict[TableName, dict[Column, KindWord]] = Field(
        default={},
        description="What columns hold, by table: string, integer, decimal, boolean, time, ip or strings. Needed for "
        "columns that a scope tests.",
    )


class S3Data(_Data):
    """Objects of a bucket, used by python and mcp tools."""

    type: Literal["s3"] = Field(description="Objects in Amazon S3.")
    bucket: Bucket = Field(description="Name of the bucket.")
    prefix: Prefix | None = Field(
        default=None, description="Where its keys begin, with a slash at the end; keys in scopes are below it."
    )
    region: Region | None = Field(default=None, description="Region of the bucket. Without it: the stage's.")


class DynamodbData(_Data):
    """Items of a table, used by python and mcp tools."""

    type: Literal["dynamodb"] = Field(description="Items of a table in Amazon DynamoDB.")
    table: Annotated[str, shaped(r"^[A-Za-z0-9_.-]{3,255}$", 255, "the name of a table", "orders")] = Field(
        description="Name of the table."
    )
    region: Region | None = Field(default=None, description="Region of the table. Without it: the stage's.")


Data = Annotated[
    Annotated[FilesData | PostgresData | S3Data | DynamodbData, Field(discriminator="type")],
    WrapValidator(known_type(DATA_TYPES)),
]
