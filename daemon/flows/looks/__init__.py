"""Looks between those at the tail: `second_looks` takes whichever is due.

The overlap is for what became visible late; `sweeping` for what is overdue, with `vanishing` for what ends
without a result; `foreign` for what nobody here asked for.
"""
