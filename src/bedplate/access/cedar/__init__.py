"""Cedar: scopes as policies, decided by its engine, read back, and compared.

Goes in: a `ScopeSet`, or policies that were made of one. Comes out: `Policies` (`emit.compile`), decisions
(`evaluate.Decider`, `replay.oracle`), scopes again (`read.read`, `read.validate`), answers (`prove.widens`). cedarpy,
the extra `cedar`, is imported only by what evaluates or reads. Nothing here touches a file or the network.
"""
