"""The only rooms that know aiokafka, httpx and sockets."""
