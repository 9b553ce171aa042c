"""Looks between those at the tail: `second_looks` takes whichever is due.

The overlap, in the same file, is for what became visible late; `sweeping` is for what is overdue, with
`vanishing` for what ends without a result; `foreign` is for what nobody here asked for.
"""
