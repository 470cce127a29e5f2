"""Tools as the gateway runs them: search, python, mcp and http behind one protocol (`api.Toolset`).

Goes in: a tool of the blueprint, secrets by name. Comes out: operations and results. A toolset never decides access:
it says what a call would do (`question`), the gateway decides, and only then calls it.
"""
