"""Pure: what the operator's commands make of the topics' records.

`outcomes` tells which record a result or a dead letter answers. `accounting` (with `offsets`) is for
`tolokad audit`, `orphans` for its option `--toloka`, and `letters` for `tolokad dlq`.
"""
