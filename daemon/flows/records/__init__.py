"""Pure: bytes to and from records.

Input: `items` for the App API (with `spec` and `shape`, what its items must look like, and `windows`, many at
once), `tasks` for the tasks API. Ours: `codec`, `ledger_records` and how they are kept in memory,
`short_forms`, `tombstones`, and `orders`, what operators have said. For people: `outputs`, results and dead
letters.
"""
