"""The supervisor: one a stage; holds the listening sockets, starts, restarts and ends the stage's processes.

Goes in: `ProcessSpec`s over the control socket `run/supervisor.sock`. Comes out: running processes, their logs and
status. Standard library only (`client` aside, which runs in the command that asks); it knows nothing of agents,
access or HTTP beyond asking `/ping`.
"""
