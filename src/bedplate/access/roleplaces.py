"""Where a role is: its account and region, the buckets, tables, models and secrets that its agent has there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bedplate.problems import Problem, Where

PROFILE = re.compile(r"(?:us|us-gov|eu|apac|jp|au|ca|global)\.(?P<model>.+)")
"""The id of an inference profile that crosses regions: where it may go, and the model."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


@dataclass(frozen=True)
class Bucket:
    """A data source of S3: its name in the manifest, the bucket, what stands before each key, the tools that use it."""

    name: str
    bucket: str
    prefix: str = ""
    tools: tuple[str, ...] = ()
    service: Literal["s3"] = "s3"


@dataclass(frozen=True)
class Table:
    """A data source of DynamoDB."""

    name: str
    table: str
    tools: tuple[str, ...] = ()
    service: Literal["dynamodb"] = "dynamodb"


@dataclass(frozen=True)
class Place:
    """Where one agent runs in one stage. `models` are model ids of Bedrock or of its inference profiles.

    `secrets` are names in Secrets Manager. `runs` is the service that takes the role on.
    """

    agent: str
    stage: str
    region: str
    account: str
    sources: tuple[Bucket | Table, ...] = ()
    models: tuple[tuple[str, str], ...] = ()
    """Each with the line of the manifest."""
    secrets: tuple[tuple[str, str], ...] = ()
    runs: Literal["ecs", "bedrock-agentcore"] = "ecs"
    partition: str = "aws"

    @property
    def name(self) -> str:
        """The role's name."""
        return f"bedplate-{self.agent}-{self.stage}"


def fixed_parts(place: Place) -> Iterator[tuple[str, str, str]]:
    """What models and secrets come to: the verb, the resource, and the inference profile that it goes through."""
    base = f"arn:{place.partition}"
    for model, _ in place.models:
        profile = f"{base}:bedrock:{place.region}:{place.account}:inference-profile/{model}"
        if found := PROFILE.fullmatch(model):
            yield "bedrock invoke", profile, ""
            yield "bedrock invoke", f"{base}:bedrock:*::foundation-model/{found['model']}", profile
        else:
            yield "bedrock invoke", f"{base}:bedrock:{place.region}::foundation-model/{model}", ""
    for name, _ in place.secrets:
        yield "secretsmanager read", f"{base}:secretsmanager:{place.region}:{place.account}:secret:{name}-??????", ""


def misplaced(place: Place) -> Iterator[Problem]:
    """What of a place has no meaning in AWS."""
    if not _REGION.fullmatch(place.region):
        yield Problem("BP852", f"`{place.region}` is no region of AWS", fix="write one, e.g. `region: eu-west-1`")
    if not re.fullmatch(r"\d{12}", place.account):
        yield Problem("BP852", f"`{place.account}` is no account of AWS", fix="an account has twelve digits")
    for source in place.sources:
        named = _BUCKET.fullmatch(source.bucket) if isinstance(source, Bucket) else _TABLE.fullmatch(source.table)
        if not named:
            kind = "bucket" if isinstance(source, Bucket) else "table"
            yield Problem(
                "BP852", f"data `{source.name}` names no {kind} of AWS", fix="write its name, without wildcards"
            )
    for model, where in place.models:
        if not re.fullmatch(r"[a-z0-9][A-Za-z0-9.:_-]*", model):
            yield Problem(
                "BP852", f"`{model}` is no model id of Bedrock", line_of(where), fix="write the id as Bedrock has it"
            )


def line_of(text: str) -> Where | None:
    """`agent.yaml:12` as a place; None for none."""
    file, _, rest = text.partition(":")
    line = rest.partition(":")[0]
    return Where(file, int(line) if line.isdigit() else 0) if file else None
