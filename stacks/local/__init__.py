"""The local target as a Pulumi program: which resources an agent's stage on this machine consists of."""
