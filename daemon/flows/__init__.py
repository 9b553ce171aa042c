"""What the daemon does; no network here.

Submitting, one way per input partition: `sharing` starts `submitting`; then `handing_over`, `taking_over`,
`tallying`, `filling` (with `batching`), `delivering` (with `pieces`, `ahead`, `announcing`, `guarding`,
`unanswered`), `outbox` (with `acknowledged`). In doubt: `resolving`, `searching` (with `claiming`,
`scanning`, `matching`). Where: `place`; what is shared: `shared_parts`. Spend guard: `budgeting`, `spending`.

Collecting, one way per project: `collecting`, `opening`, `collector_state` (with `ledger`, `cursors`,
`id_set`), `paging`, `publishing` (with `exchanging`); `second_looks`: `sweeping`, `vanishing`,
`foreign`, `origins`.

Both: `holding`, `waiting`, `keeping_up`; `pausing` (with `orders`); `watching`,
`lagging` and `delaying` measure. Bytes: `items`, `shape`, `spec`, `tasks` read the input; `codec`,
`ledger_records`, `tombstones` and `outputs` are our own records. What operators ask for: `kit/`.
"""
