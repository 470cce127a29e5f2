"""The Pulumi CLI as a process: finding it, installing it, running one command of it.

Goes in: an environment. Comes out: a `PulumiCommand` for the Automation API that can be interrupted. It knows neither
stacks nor programs. Import it only where the CLI is used: it imports Pulumi.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pulumi.automation import CommandError, CommandResult, LocalWorkspace, OnOutput, OutputMap, PulumiCommand
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from bedplate.engine.pulumievents import problem_of
from bedplate.problems import BedplateError, Problem

OLDEST = VersionInfo(3, 206, 0)
"""The first version that streams its events to the Automation API."""
_INSTALL = "`bedplate engine --install`, or see https://www.pulumi.com/docs/install/"


def find(environment: Mapping[str, str]) -> Path:
    """The executable: on PATH, else where the installer puts it. Raises BedplateError BP260 where there is none."""
    on_path = shutil.which("pulumi", path=environment.get("PATH", ""))
    home = Path(environment.get("HOME", "/"), ".pulumi")
    installed = sorted(home.glob("versions/*/bin/pulumi"), key=_version_of, reverse=True)
    for found in (*([Path(on_path)] if on_path else []), home / "bin/pulumi", *installed):
        if found.is_file():
            return found
    raise BedplateError(Problem("BP260", "the Pulumi CLI is not installed", fix=f"install it: {_INSTALL}"))


def _version_of(executable: Path) -> VersionInfo:
    name = executable.parent.parent.name
    return VersionInfo.parse(name) if VersionInfo.is_valid(name) else VersionInfo(0)


def install() -> Path:
    """Download the CLI of the SDK's version to `~/.pulumi/versions`. Raises BedplateError BP260 where that fails."""
    try:
        return Path(PulumiCommand.install().command)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BedplateError(
            Problem("BP260", "the Pulumi CLI cannot be downloaded", detail=str(error), fix="install it by hand")
        ) from error


class Cli(PulumiCommand):
    """One executable, run with a given environment and in a session of its own, so that Ctrl-C reaches us first."""

    def __init__(self, executable: Path, environment: Mapping[str, str]) -> None:
        self.command = str(executable)
        self._environment = {**environment, "PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_AUTOMATION_API": "true"}
        self._running: set[subprocess.Popen[str]] = set()
        self._added: dict[str, list[str]] = {}
        self.interrupted = False
        self.version = self._usable_version()

    def _usable_version(self) -> VersionInfo:
        said = self.call(["version"], Path("/"), {}).stdout.strip().removeprefix("v")
        if not VersionInfo.is_valid(said) or VersionInfo.parse(said) < OLDEST:
            raise BedplateError(
                Problem("BP261", f"the Pulumi CLI is of version {said}, older than {OLDEST}", fix=f"update: {_INSTALL}")
            )
        return VersionInfo.parse(said)

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,
    ) -> CommandResult:
        """What the Automation API calls. Raises CommandError when the command fails."""
        result = self.call([*args, *self._added.get(args[0], ())], Path(cwd), additional_env)
        for each, text in ((on_output, result.stdout), (on_error, result.stderr)):
            if each:
                for line in text.splitlines():
                    each(line)
        return result

    def call(self, arguments: list[str], folder: Path, extra: Mapping[str, str], given: str = "") -> CommandResult:
        """Run one command with `given` on its standard input. Raises CommandError when it fails."""
        # Before the subcommand: behind a `--` it would be one more argument.
        command = [self.command, "--non-interactive", *arguments]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**self._environment, **extra},
            encoding="utf-8",
            start_new_session=True,
        ) as process:
            self._running.add(process)
            try:
                stdout, stderr = process.communicate(given)
            finally:
                self._running.discard(process)
        result = CommandResult(stdout.rstrip(), stderr.rstrip(), process.returncode)
        if process.returncode:
            raise create_command_error(result)
        return result

    @contextmanager
    def adding(self, command: str, arguments: list[str]) -> Iterator[None]:
        """While it lasts, give this command arguments that the Automation API does not know."""
        self._added[command] = arguments
        try:
            yield
        finally:
            del self._added[command]

    def interrupt(self) -> None:
        """Ctrl-C for what runs: once, it finishes the steps under way; twice, it stops at once."""
        self.interrupted = True
        # No lock: this is called from signal handlers, which interrupt who would hold it.
        for process in tuple(self._running):
            process.send_signal(signal.SIGINT)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what a command of the CLI says of its failure into a BedplateError, once; the original is its cause."""
    try:
        yield
    except CommandError as error:
        raise BedplateError(problem_of(str(error))) from error


class Workspace(LocalWorkspace):
    """A workspace whose runs are told by their events: asking for the outputs after each run is left out."""

    def stack_outputs(self, stack_name: str) -> OutputMap:  # noqa: ARG002
        """Nothing: the events have them."""
        return {}
