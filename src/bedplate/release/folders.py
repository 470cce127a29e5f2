"""The stages that have a folder in a project, whatever its manifest says."""

from __future__ import annotations

from pathlib import Path


def deployed_stages(project: Path) -> list[str]:
    """Names of the stages that have a folder in this project, in order."""
    folder = project / ".bedplate"
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
