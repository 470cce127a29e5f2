"""A linearizable fake of a bucket with conditional writes, for races; and answers that get lost on the way."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable

from bedplate.engine.objects import Conflict, Object


class FakeObjects:
    """Each call takes effect at one instant. `before` is called ahead of each, outside of the lock."""

    label = "s3://fake"

    def __init__(self, before: Callable[[str, str], None] = lambda _verb, _key: None) -> None:
        self.objects: dict[str, Object] = {}
        self.calls: list[tuple[str, str, int]] = []
        self.before = before
        self.conditional = True
        self.lose: random.Random | None = None
        self._lock = threading.Lock()
        self._tags = itertools.count(1)

    def get(self, key: str) -> Object | None:
        self.before("get", key)
        with self._lock:
            return self.objects.get(key)

    def keys(self, prefix: str) -> list[str]:
        self.before("keys", prefix)
        with self._lock:
            return sorted(key for key in self.objects if key.startswith(prefix))

    def create(self, key: str, data: bytes) -> str:
        return self._write("create", key, data, None)

    def replace(self, key: str, data: bytes, tag: str) -> str:
        return self._write("replace", key, data, tag)

    def put(self, key: str, data: bytes) -> None:
        self.before("put", key)
        with self._lock:
            self._store("put", key, data)

    def delete(self, key: str) -> None:
        self.before("delete", key)
        with self._lock:
            self.objects.pop(key, None)

    def _write(self, verb: str, key: str, data: bytes, tag: str | None) -> str:
        self.before(verb, key)
        with self._lock:
            there = self.objects.get(key)
            if self.conditional and (there.tag if there else None) != tag:
                raise Conflict(key)
            new = self._store(verb, key, data)
            if self.lose and self.lose.random() < 0.1:
                # The answer got lost; the client has repeated the call, and that one met the first.
                raise Conflict(key)
            return new

    def _store(self, verb: str, key: str, data: bytes) -> str:
        tag = str(next(self._tags))
        self.objects[key] = Object(data, tag)
        self.calls.append((verb, key, len(data)))
        return tag
