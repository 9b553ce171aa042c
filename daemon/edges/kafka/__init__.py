"""How Kafka is spoken to: `cluster` is `daemon.ports.Kafka`, and opens the rest.

What every client shares: `kafka_client`, `silent_brokers`, `lost_connections`. Reading: `reading` (with
`fetched`, `header_names`). Writing: `transactions` (with `producing`, `brokers`, `packing`). A place
in a group: `membership`.

Questions: `offsets` (what is committed), `bounds` (where logs begin and end), `majority` (no single broker
is believed), `topics`, `rights`, `versions` (`questions` words what the client cannot ask);
`broker_refusals` finds why no broker lets us in.
"""
