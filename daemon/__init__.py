"""Every record of the input topic ends as exactly one result or one explained dead letter.

Nothing is lost, nothing is published twice and no item is paid for twice: through kill -9, broker
restarts, rebalances and lost HTTP answers; where going on would be wrong, tolokad holds, visibly.
"""

__version__ = "0.1.0"
