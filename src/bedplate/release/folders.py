"""The folder `.bedplate` of a project: made private and kept out of version control; which stages have one in it."""

from __future__ import annotations

from pathlib import Path


def deployed_stages(project: Path) -> list[str]:
    """Names of the stages that have a folder in this project, in order. What begins with `_` is no stage."""
    folder = project / ".bedplate"
    found = [p.name for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []
    return sorted(name for name in found if not name.startswith("_"))


def make_home(project: Path) -> Path:
    """The folder that holds stages and builds, private to its owner."""
    folder = project / ".bedplate"
    folder.mkdir(mode=0o700, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return folder


def home_of(manifest: Path) -> Path:
    """The project's folder of a manifest, whether the manifest is there or not."""
    return (manifest if manifest.is_dir() else manifest.parent).resolve()
