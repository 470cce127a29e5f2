"""Brings the agents' listening sockets to the gateways, whichever starts or restarts first."""

from __future__ import annotations

import json
import socket


class AgentListeners:
    """Keeps each living agent's listener, so that a gateway that restarts gets it again and no connection is lost."""

    def __init__(self) -> None:
        self._listeners: dict[int, socket.socket] = {}
        self._gateways: list[socket.socket] = []

    def attach(self, gateway: socket.socket) -> None:
        """A gateway has started: tell it of every agent."""
        self._gateways.append(gateway)
        for instance, listener in self._listeners.items():
            _tell(gateway, {"agent": instance}, listener)

    def detach(self, gateway: socket.socket) -> None:
        """A gateway has ended."""
        self._gateways.remove(gateway)
        gateway.close()

    def add(self, instance: int, listener: socket.socket) -> None:
        """An agent listens."""
        self._listeners[instance] = listener
        for gateway in self._gateways:
            _tell(gateway, {"agent": instance}, listener)

    def gone(self, instance: int) -> None:
        """An agent has died; nothing happens where it never listened."""
        listener = self._listeners.pop(instance, None)
        if listener is None:
            return
        listener.close()
        for gateway in self._gateways:
            _tell(gateway, {"agent_gone": instance}, None)


def _tell(gateway: socket.socket, message: dict[str, int], listener: socket.socket | None) -> None:
    data = json.dumps(message).encode() + b"\n"
    try:
        if listener is None:
            gateway.send(data)
        else:
            socket.send_fds(gateway, [data], [listener.fileno()])
    except OSError:
        # It is dying: its exit is about to be seen, and its successor is told everything by `attach`.
        return
