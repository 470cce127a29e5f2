"""The command line: parse, call, render, exit code; nothing else.

Goes in: arguments. Comes out: data on stdout (text, or JSON with `--json`), talk on stderr, an exit code of
`problems.ExitCode`. Commands hold no logic of their own and import what they need when they run.
"""
