"""The manifest: `agent.yaml` as people write it.

Goes in: YAML text. Comes out: `LoadedManifest` (pydantic models, plain data, the line of every value) or every problem
at once; the JSON Schema; templates of new projects. It touches nothing but the project's files.
"""

from bedplate.manifest.load import LoadedManifest, StageManifest, examine, load, parse
from bedplate.manifest.project import MANIFEST_NAME

__all__ = ["MANIFEST_NAME", "LoadedManifest", "StageManifest", "examine", "load", "parse"]
