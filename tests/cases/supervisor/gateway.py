"""A gateway in small: takes the agents' listeners, greets who connects to them, and tells of its messages."""

import json
import os
import socket
import sys
import threading


def greet(listener: socket.socket, instance: int) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(f"gateway {os.getpid()} for agent {instance}\n".encode())


channel = socket.socket(fileno=int(os.environ["BEDPLATE_AGENT_FD"]))
os.write(int(os.environ["BEDPLATE_READY_FD"]), b"ready\n")
while True:
    data, descriptors, _, _ = socket.recv_fds(channel, 4096, 1)
    if not data:
        sys.exit(3)
    message = json.loads(data)
    os.write(1, json.dumps(message).encode() + b"\n")
    if descriptors:
        arguments = (socket.socket(fileno=descriptors[0]), message["agent"])
        threading.Thread(target=greet, args=arguments, daemon=True).start()
