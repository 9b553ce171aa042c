"""The collector: `state` is what is open (`ledger`) and where the cursor stands (`cursors`).

`opening` reads both; `paging` brings what finishes, and `publishing` makes a transaction of a page (with
`exchanging`, for ids that were not answered in the order of items). `early` is what came before its ledger
record; `origins` reads an input record again; `id_set` holds a great many ids.
"""
