"""The only rooms that know aiokafka, httpx and sockets.

`kafka/` speaks to the brokers, `toloka/` to Toloka through either of its APIs, and `serving/` answers over
our own HTTP. They do not know each other; `trust` is what they share, and `event_loop` what they run on.
"""
