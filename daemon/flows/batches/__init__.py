"""Batches, from filling to settling.

`filling` (by `batching`) makes them, `delivering` sees one to its end, in `pieces` where it must be, and
`outbox` writes what it comes to; `acknowledged` is what Kafka has confirmed of that. Before one is sent:
`announcing`, and `ahead` for what is sent before an answer has come. When it may not be: `guarding` (too many
rejections) and `budgeting` (too much spent, by `spending`). `unanswered` shows what is sent in vain.

`tallying` counts a day's items; `shared_parts` is what all partitions share.
"""
