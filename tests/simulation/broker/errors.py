"""What the simulated broker answers instead of a result."""


class BrokerError(Exception):
    """The root of them."""


class BusyError(BrokerError):
    """CONCURRENT_TRANSACTIONS and the like: the client asks again a little later."""


class FencedError(BrokerError):
    """PRODUCER_FENCED or INVALID_PRODUCER_EPOCH."""


class TooLargeError(BrokerError):
    """MESSAGE_TOO_LARGE."""


class OutOfRangeError(BrokerError):
    """OFFSET_OUT_OF_RANGE."""


class UnknownMemberError(BrokerError):
    """UNKNOWN_MEMBER_ID or ILLEGAL_GENERATION: the member joins again as somebody new."""


class RebalancingError(BrokerError):
    """REBALANCE_IN_PROGRESS: the member joins again under its name."""


class FailedError(BrokerError):
    """Any error after which a client gives up."""
