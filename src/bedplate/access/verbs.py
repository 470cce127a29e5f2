"""The least actions of AWS that each verb of a scope needs. Our own table: the services' "read" and "write" are wider.

Source: the service authorization reference of AWS, one page for each service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Service = Literal["s3", "dynamodb", "bedrock", "secretsmanager"]

ACTIONS: Final[Mapping[Service, Mapping[str, tuple[str, ...]]]] = {
    "s3": {
        "list": ("s3:ListBucket",),
        "read": ("s3:GetObject",),
        "write": ("s3:PutObject", "s3:AbortMultipartUpload"),
        "delete": ("s3:DeleteObject",),
    },
    "dynamodb": {
        "get": ("dynamodb:GetItem",),
        "query": ("dynamodb:Query",),
        "put": ("dynamodb:PutItem",),
        "update": ("dynamodb:UpdateItem",),
        "delete": ("dynamodb:DeleteItem",),
    },
    "bedrock": {"invoke": ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")},
    "secretsmanager": {"read": ("secretsmanager:GetSecretValue",)},
}
WRITING: Final = frozenset({"put", "update", "delete"})
"""Verbs of DynamoDB that write, whose answers can hold what stood there before."""


def verb_of(actions: frozenset[str]) -> tuple[Service, str] | None:
    """The verb that needs exactly these actions; None where there is none. IAM does not tell letters' case apart."""
    folded = {action.lower() for action in actions}
    for service, verbs in ACTIONS.items():
        for verb, needed in verbs.items():
            if folded == {action.lower() for action in needed}:
                return service, verb
    return None
