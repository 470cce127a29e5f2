"""Secrets at rest: Pulumi's passphrase scheme, with a random passphrase in a file of the stack.

Goes in: the stack's folder and the `secrets_providers` of its state. Comes out: texts encrypted and decrypted. The
scheme (pulumi/pulumi, pkg/secrets/passphrase): PBKDF2-HMAC-SHA256 with 1,000,000 rounds over an 8-byte salt gives a key
for AES-256-GCM; the encrypted word `pulumi` beside the salt proves a passphrase. `pulumi stack import` can read it.

The passphrase is `PULUMI_CONFIG_PASSPHRASE` (or in the file `PULUMI_CONFIG_PASSPHRASE_FILE`), or else a random one in
`state.key` (0600). That file also keeps the derived key, which is no more secret than the passphrase beside it and
saves 0.2 s of every run. It outlives the state: what was exported before a destroy can be imported as long as it is
there, since the next state of the stack has the same passphrase.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bedplate.engine.files import fsync_folder, write_failed, write_file
from bedplate.problems import BedplateError, Problem, Where

ROUNDS = 1_000_000
KEY_FILE = "state.key"
_PROOF = "pulumi"


class Keyring:
    """Encrypts and decrypts for one stack. Nothing is derived or written before the first secret."""

    def __init__(
        self,
        folder: Path,
        providers: Mapping[str, Any] | None,
        environment: Mapping[str, str],
        *,
        shared: bool = False,
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._shared = shared
        self._lock = threading.Lock()
        self._key: bytes | None = None
        self._known: dict[str, str] = {}
        self.providers = providers

    def encrypt(self, text: str) -> str:
        """The ciphertext of `text`. The one it was decrypted from is used again, so that state does not churn."""
        with self._lock:
            if text not in self._known:
                self._known[text] = _encrypt(self._open(create=True), text)
            return self._known[text]

    def decrypt(self, ciphertext: str) -> str:
        """The text. Raises BedplateError BP214 when no passphrase at hand fits, or the ciphertext was altered."""
        with self._lock:
            text = _decrypt(self._open(create=False), ciphertext)
            if text is None:
                raise BedplateError(Problem("BP214", "a secret in the state was altered and cannot be decrypted"))
            self._known[text] = ciphertext
            return text

    def _open(self, *, create: bool) -> bytes:
        if self._key is None:
            self._key = self._find() if self.providers else self._make() if create else None
        if self._key is None:
            raise BedplateError(
                Problem(
                    "BP214",
                    f"no key opens the secrets in the state of {self._folder.name}",
                    detail="What was exported needs the passphrase that its stack had then.",
                    fix=f"put back the {KEY_FILE} of that time into the stack's folder, or set "
                    "PULUMI_CONFIG_PASSPHRASE; without either, export with `--show-secrets` where it can still be read",
                )
            )
        return self._key

    def _make(self) -> bytes:
        salt = os.urandom(8)
        passphrase = self._given()
        if passphrase is None and self._shared:
            raise BedplateError(
                Problem(
                    "BP214",
                    "a state that machines share needs a passphrase for its secrets",
                    fix="set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE to a file with it",
                )
            )
        key = self._make_key_file(salt) if passphrase is None else _derive(passphrase, salt)
        proof = f"v1:{base64.b64encode(salt).decode()}:{_encrypt(key, _PROOF)}"
        self.providers = {"type": "passphrase", "state": {"salt": proof}}
        return key

    def _find(self) -> bytes | None:
        salt, proof = _parse_salt(self.providers or {})
        for candidate in self._candidates(salt):
            key = candidate()
            if key is not None and _decrypt(key, proof) == _PROOF:
                return key
        return None

    def _candidates(self, salt: bytes) -> list[Callable[[], bytes | None]]:
        passphrase, cached = self._read_key_file(salt)
        given_or_kept = [p for p in (passphrase, self._given()) if p is not None]
        return [lambda: cached, *(partial(_derive, p, salt) for p in given_or_kept)]

    def _given(self) -> str | None:
        """The passphrase that a person gave, by Pulumi's own variables."""
        file = self._environment.get("PULUMI_CONFIG_PASSPHRASE_FILE")
        if "PULUMI_CONFIG_PASSPHRASE" in self._environment or not file:
            return self._environment.get("PULUMI_CONFIG_PASSPHRASE")
        try:
            return Path(file).read_text("utf-8").strip()
        except OSError as error:
            fix = "mend PULUMI_CONFIG_PASSPHRASE_FILE"
            raise BedplateError(Problem("BP214", f"cannot read {file}: {error.strerror}", fix=fix)) from error

    def _read_key_file(self, salt: bytes) -> tuple[str | None, bytes | None]:
        try:
            lines = self._key_lines()
        except OSError as error:
            raise self._unreadable(error.strerror or str(error)) from error
        cached = [line.partition(" ")[2] for line in lines[1:] if line.partition(" ")[0] == salt.hex()]
        return (lines[0] if lines else None), (_key_of(cached[0]) if cached else None)

    def _key_lines(self) -> list[str]:
        try:
            return (self._folder / KEY_FILE).read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        except UnicodeDecodeError as error:
            raise self._unreadable("it is no text") from error

    def _unreadable(self, why: str) -> BedplateError:
        where, fix = Where(str(self._folder / KEY_FILE)), "put back the file as it was, readable for you"
        return BedplateError(Problem("BP214", f"cannot read {KEY_FILE}: {why}", where=where, fix=fix))

    def _make_key_file(self, salt: bytes) -> bytes:
        """A key of the passphrase that an earlier state of the stack had, or of a new one."""
        path = self._folder / KEY_FILE
        temporary = path.with_name(KEY_FILE + ".tmp")
        try:
            kept = [line for line in self._key_lines()[:1] if line]
            passphrase = kept[0] if kept else base64.b64encode(os.urandom(24)).decode()
            key = _derive(passphrase, salt)
            write_file(temporary, f"{passphrase}\n{salt.hex()} {key.hex()}\n".encode())
            temporary.replace(path)
            fsync_folder(self._folder)
        except OSError as error:
            raise write_failed(path, error) from error
        return key


def _key_of(text: str) -> bytes | None:
    """The key that stands behind a salt; None for what is none, since the passphrase gives it as well."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def _parse_salt(providers: Mapping[str, Any]) -> tuple[bytes, str]:
    if providers.get("type") != "passphrase":
        kind = providers.get("type")
        raise BedplateError(
            Problem("BP202", f"the secrets provider {kind!r} of the state is not supported", fix="use a passphrase")
        )
    version, salt, proof = str(providers.get("state", {}).get("salt", "")).split(":", 2)
    if version != "v1":
        raise BedplateError(Problem("BP214", f"the salt of the state has version {version!r}, not v1"))
    return base64.b64decode(salt), proof


def _derive(passphrase: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, ROUNDS, 32)


def _encrypt(key: bytes, text: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, text.encode(), None)
    return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"


def _decrypt(key: bytes, ciphertext: str) -> str | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        _version, nonce, sealed = ciphertext.split(":")
        return AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None).decode()
    except (InvalidTag, ValueError, binascii.Error):
        return None
