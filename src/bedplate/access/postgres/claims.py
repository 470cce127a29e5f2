"""Session claims that the agent's SQL cannot make up: signed by the gateway, checked by a function inside the database.

A setting such as `agent.tenant` can be changed by whoever can send SQL. So the setting `bedplate.claims` holds a token
`PAYLOAD.MAC`: the payload is base64 of a JSON object with `role` (the login), `pid` (the server process of the one
connection that it is for), `exp` (seconds since 1970) and `claims` (texts by name); MAC is HMAC-SHA256 of the payload
(RFC 2104) in lower-case hex. A token that was read in one connection is worth nothing in another. The function answers
null for what is forged, expired or absent, and no row test is true for null.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping

from bedplate.access.postgres.names import Owner, ident, literal

SETTING = "bedplate.claims"
_BLOCK = 64

# HMAC from the server's own sha256: pgcrypto is an extension that not every server lets its users install.
CLAIM_BODY = """\
DECLARE
  token text := current_setting('bedplate.claims', true);
  payload text := split_part(token, '.', 1);
  held jsonb;
  good boolean;
BEGIN
  SELECT split_part(token, '.', 2) = encode(sha256(k.outside || sha256(k.inside || convert_to(payload, 'UTF8'))), 'hex')
    INTO good FROM {schema}.keys k;
  IF good IS NOT TRUE THEN RETURN NULL; END IF;
  held := convert_from(decode(payload, 'base64'), 'UTF8')::jsonb;
  IF held->>'role' = session_user AND (held->>'pid')::bigint = pg_backend_pid()
     AND (held->>'exp')::numeric > extract(epoch FROM clock_timestamp()) THEN
    RETURN held->'claims'->>name;
  END IF;
  RETURN NULL;
END
"""
WITHIN_BODY = """\
SELECT coalesce(array_ndims($1), 1) = 1
  AND (SELECT coalesce(bool_and(coalesce(e LIKE ANY ($2), false)), true) FROM unnest($1) AS e)
"""
# The length of the mask says that it is one address and not a network. An IPv4 address written as IPv6 would be two.
AMONG_BODY = """\
SELECT masklen($1) = CASE family($1) WHEN 4 THEN 32 ELSE 128 END
  AND NOT $1 <<= '::ffff:0:0/96'::inet AND $1 <<= ANY ($2)
"""
SIGNATURES = {"claim": "claim(text)", "within": "within(text[], text[])", "among": "among(inet, inet[])"}


def bodies(owner: Owner) -> dict[str, str]:
    """The source of each function of `owner`'s schema, as the catalog holds it."""
    return {"claim": CLAIM_BODY.replace("{schema}", ident(owner.schema)), "within": WITHIN_BODY, "among": AMONG_BODY}


def statements(owner: Owner) -> Iterator[str]:
    """The key's table and the functions, all of them the keeper's."""
    schema, keeper = ident(owner.schema), ident(owner.keeper)
    body = bodies(owner)
    one = "only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one)"
    yield f"CREATE TABLE {schema}.keys ({one}, inside bytea NOT NULL, outside bytea NOT NULL);"
    yield f"ALTER TABLE {schema}.keys OWNER TO {keeper};"
    yield f"REVOKE ALL ON {schema}.keys FROM PUBLIC;"
    settings = "SET search_path = pg_catalog, pg_temp"
    yield (
        f"CREATE FUNCTION {schema}.claim(name text) RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER "
        f"{settings} AS {literal(body['claim'])};"
    )
    for name in ("within", "among"):
        yield (
            f"CREATE FUNCTION {schema}.{SIGNATURES[name]} RETURNS boolean LANGUAGE sql IMMUTABLE STRICT "
            f"{settings} AS {literal(body[name])};"
        )
    for signature in SIGNATURES.values():
        yield f"ALTER FUNCTION {schema}.{signature} OWNER TO {keeper};"
        yield f"REVOKE ALL ON FUNCTION {schema}.{signature} FROM PUBLIC;"
        yield f"GRANT EXECUTE ON FUNCTION {schema}.{signature} TO {ident(owner.role)};"


def store_key(owner: Owner, key: bytes) -> str:
    """The statement that stores the key, of at most 64 bytes. It holds the secret: run it, and write it nowhere."""
    inside, outside = _pads(key)
    columns = f"{ident(owner.schema)}.keys (inside, outside)"
    values = f"decode({literal(inside.hex())}, 'hex'), decode({literal(outside.hex())}, 'hex')"
    conflict = "ON CONFLICT (only_one) DO UPDATE SET inside = excluded.inside, outside = excluded.outside"
    return f"INSERT INTO {columns} VALUES ({values}) {conflict};"


def token(key: bytes, *, role: str, pid: int, expires: float, claims: Mapping[str, str]) -> str:
    """The token for one connection: `role` is its login, `pid` its server process, `expires` seconds since 1970."""
    payload = json.dumps({"role": role, "pid": pid, "exp": expires, "claims": dict(claims)}, separators=(",", ":"))
    text = base64.b64encode(payload.encode()).decode()
    return f"{text}.{hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}"


def _pads(key: bytes) -> tuple[bytes, bytes]:
    """The two blocks that HMAC starts its hashes with. Knowing both is knowing the key."""
    if not 32 <= len(key) <= _BLOCK:
        raise ValueError("a key has 32 to 64 bytes")
    block = key.ljust(_BLOCK, b"\0")
    return bytes(b ^ 0x36 for b in block), bytes(b ^ 0x5C for b in block)
