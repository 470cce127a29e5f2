"""Sandboxes for the agent and for tool hosts: no network, no credentials, read-only code, bounded memory and processes.

Goes in: a command, what it may read, its environment, its bounds. Comes out: an argument vector (`Launch`) that
starts the command inside a sandbox; `probe` tells what this machine can do, by trying it. Nothing is started here
except the probes.

What each backend enforces (`enforced(backend)` gives the same as data):

- `bubblewrap`: own network namespace without a way out, own process, IPC and mount namespaces; only /usr, the Python
  installation, Bedplate's code and the declared paths exist, all read-only; a private /tmp of 64 MiB; no capabilities,
  no new privileges, no nested user namespaces; a seccomp filter against io_uring, bpf, ptrace, keyrings, mounts,
  namespaces and unusual socket families; an empty environment, also in /proc/1.
- `sandlock`: Landlock and seccomp. Files and outgoing connections as above, but the host's loopback interface is there
  (listening and all connections but to the gateway are denied) and so are the names of other processes.
- `none`: nothing but limits on core dumps, memory and processes. Only where a person asked for it.

Memory and processes, for every backend: `RLIMIT_DATA` at twice `memory` stops a runaway allocation at once;
`RLIMIT_NPROC` at `pids` binds with bubblewrap when Bedplate does not run as root (the kernel exempts root); and the
supervisor looks twice a second and kills a sandbox of its own whose private resident memory or number of processes and
threads is over its bounds. The children of tool hosts are started by the gateway, so they have the limits only.
"""

from bedplate.runtime.sandbox.model import (
    BACKENDS,
    CLAUSES,
    AgentLaunch,
    Backend,
    Capability,
    Launch,
    SandboxSpec,
    enforced,
)
from bedplate.runtime.sandbox.prepare import agent_launch, tool_command
from bedplate.runtime.sandbox.probe import best_backend, probe

__all__ = [
    "BACKENDS",
    "CLAUSES",
    "AgentLaunch",
    "Backend",
    "Capability",
    "Launch",
    "SandboxSpec",
    "agent_launch",
    "best_backend",
    "enforced",
    "probe",
    "tool_command",
]
