"""Intents in doubt: `resolving` sends again where that is safe, or else looks by `searching`.

`matching` finds a batch's items among those that Toloka shows, `scanning` what the ledger says of them, and
`claiming` whose turn it is where partitions in doubt have equal items. `terms` tell when an attempt is over,
`quarantine` how long to look.
"""
