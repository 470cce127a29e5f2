"""An agent in small: connects to its one address again and again and prints what it was told."""

import os
import socket
import time

os.write(int(os.environ["BEDPLATE_READY_FD"]), b"ready\n")
while True:
    try:
        with socket.create_connection(("127.0.0.1", int(os.environ["BEDPLATE_PORT"])), 5) as connection:
            os.write(1, connection.makefile().readline().encode())
    except OSError as error:
        os.write(2, f"{error}\n".encode())
    time.sleep(0.1)
