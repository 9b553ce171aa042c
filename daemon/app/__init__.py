"""The composition root: builds every part, hands each what it needs, runs the flows until told to stop."""
