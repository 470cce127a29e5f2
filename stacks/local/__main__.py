"""The entry for `pulumi up`; the embedded engine calls `program` itself."""

from bedplate.stacks.local.program import program

program()
