"""The operator's kit: each command's work, over the same rooms as the daemon's own.

`showing` (the ledger and the cursor), `auditing`, `rehearsing` (a dry run); `steering`, `resolving` and
`dead_letters` change something. `kafka_checks` and `toloka_checks` look at the world, and `checks` says what
they find.

All of them reach out through `kafka` and `toloka`; `progress` is what a person sees meanwhile.
"""
