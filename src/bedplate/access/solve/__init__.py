"""Requests that make some conditions hold and others fail: the exact search under `access.prove`. Pure.

`literals` says what one value must do, `regions` all values of one shape that do it, `texts` and `numbers` pick some of
them as people would write them, `slots` joins arguments that are parts of each other, `claims` those that the same
claim ties, and `search` goes through the ways in which each of many grants may fail.
"""
