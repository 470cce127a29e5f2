"""Where things of a stage live on disk. The only module that knows these names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StagePaths:
    """The folder of one stage and the names in it. Nothing is created here."""

    folder: Path

    @classmethod
    def of(cls, project: Path | str, stage: str) -> StagePaths:
        """The stage's folder below the project: `.bedplate/<stage>`."""
        return cls(Path(project) / ".bedplate" / stage)

    @property
    def memory(self) -> Path:
        return self.folder / "memory.db"

    @property
    def traces(self) -> Path:
        return self.folder / "traces"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def evals(self) -> Path:
        return self.folder / "evals"

    @property
    def releases(self) -> Path:
        """The record of releases to this stage."""
        return self.folder / "releases.jsonl"

    @property
    def control(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def tools(self) -> Path:
        """What the gateway says of its tools."""
        return self.run / "tools.json"

    def owner(self, kind: str, id: str) -> Path:
        """The mark of the resource that owns a thing of this stage."""
        return self.folder / "owners" / f"{kind}.{id}"

    def index(self, data: str) -> Path:
        """The search index of one data source."""
        return self.folder / "index" / f"{data}.db"

    def log(self, process: str) -> Path:
        """The log of one process."""
        return self.logs / f"{process}.log"

    def config(self, process: str) -> Path:
        """The configuration of one process."""
        return self.run / f"{process}.json"

    def secret(self, name: str) -> Path:
        """The file that holds one secret."""
        return self.secrets / name
