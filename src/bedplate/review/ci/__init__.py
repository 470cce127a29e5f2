"""CI: workflows for a repository, made of the manifest's stages.

Goes in: a valid manifest in a git repository, and a platform. Comes out: files that review each change and release
stage after stage, and what is left to do by hand on the platform. It reads the manifest and git, writes those files and
nothing else, and knows no credentials.
"""
