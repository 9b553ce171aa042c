"""The only rooms that know aiokafka, httpx and sockets.

Kafka: `kafka`, `kafka_client`, `reading` (with `fetched`, `header_names`), `transactions` (with `packing`),
`membership`, `offsets`, `most`, `topics`, `rights`, `versions`, `broker_refusals`.

Toloka, whichever API: `endpoint`, `trust`, `certificate`, `clocks`, `connection`, `transport`, `sending`,
`bodies`, `posting`, `limits`, `asking`, `answers`, `wire`, `listing` (with `page_size`). The App API:
`app_api`, `app_bulk`, `app_items`, `odd_items`, `project`. The tasks API: `tasks_api`, `tasks_bulk`,
`tasks_items`, `following` (with `operations`), `assignments_api`, `pools`.

Our own HTTP: `http_server`, `http_threads`, `status_page/`, `loop_watch`, `probing`.
"""
