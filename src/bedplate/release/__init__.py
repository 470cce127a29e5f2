"""Release: what `plan`, `up`, `promote` and `destroy` do with a project and a stage.

Goes in: a manifest file and a stage's name. Comes out: `Plan`, `Release`, `Promoted`, `Status` as values. It joins
builds, the blueprint, the stage's program, an engine, the providers, approvals and eval results, and prints nothing.
"""
