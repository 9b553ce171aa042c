"""What the daemon does; no network here.

Two journeys: `submitting` is one input partition's way to Toloka, `collecting` one project's way back.
Submitting goes through `partitions/` (who has one), `batches/` (from filling to settling) and `doubts/`
(what has become of a batch); collecting through `collector/` (what is open, and the cursor) and `looks/`
(what the tail does not show). `records/` are the bytes that all of them read and write; `kit/` is what
operators ask for.

Both wait (`waiting`; `holding` where that is shown, `gate` while Toloka says no, `pausing` where an operator
says so) and are measured (`watching`, `lagging`, `delaying`). `keeping_up` reads a topic to its end and on;
`place` is where a partition's way writes; `skew` is how far apart Toloka's times can be.
"""
