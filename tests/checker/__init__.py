"""An independent checker: what went in, what Toloka made of it, what came out, and whether that is right.

It shares no code with tolokad. It reads the topics as any `read_committed` reader would, and the
simulator's append-only record of every item that it ever created.
"""

from tests.checker.facts import Record, Rules
from tests.checker.judge import Judge
from tests.checker.reading import Subject, check
from tests.checker.verdict import Finding, Kind, Progress, Verdict

__all__ = ["Finding", "Judge", "Kind", "Progress", "Record", "Rules", "Subject", "Verdict", "check"]
