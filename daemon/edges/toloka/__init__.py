"""How Toloka is spoken to.

The ports: `app_api` for one API, `tasks_api` and `assignments_api` for the other. They ask through
`posting` (what creates), `listing` (with `page_size`; `created` for what was created in a time) and
`asking` (one thing, twice if need be), within `limits`.

One request: `transport` (a line), `connection`, `endpoint` (where, and as whom), `bodies`, `sending` (how
far it came). What comes back: `answers` (refusals), `wire` (text, times, content), `clocks`, `certificate`.

Each API's own words: `app_bulk`, `app_items` (with `odd_items`), `project`; `tasks_bulk`, `tasks_items`,
`following` (with `operations`), `pools`.
"""
