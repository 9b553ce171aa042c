"""How Toloka is spoken to.

Whichever API: `endpoint`, `certificate`, `clocks`, `connection`, `transport`, `sending`, `bodies`, `posting`,
`limits`, `asking`, `answers`, `wire`, `listing` (with `page_size`).

The App API: `app_api`, `app_bulk`, `app_items`, `odd_items`, `project`. The tasks API: `tasks_api`,
`tasks_bulk`, `tasks_items`, `following` (with `operations`), `assignments_api`, `pools`.
"""
