"""The blueprint: a manifest resolved for one stage, and its digests.

Goes in: `LoadedManifest` and a stage. Comes out: `Blueprint`, frozen and complete, or every problem of meaning at
once. It reads the project's files and starts nothing.
"""
