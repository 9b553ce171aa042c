"""Pure: what the operator's commands make of the topics' records."""
