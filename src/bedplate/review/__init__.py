"""The review of a change: two revisions of a repository in, what the change does to every stage out.

Goes in: a git repository, two revisions, eval results. Comes out: a `Review`, as text, JSON or a comment. It reads
revisions as data: nothing of them is executed, no credentials and no running stage are needed.
"""
