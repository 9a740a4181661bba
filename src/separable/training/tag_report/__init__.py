"""`report.html` of a training on pictures with several labels each."""

from separable.training.tag_report.page import write_report

__all__ = ["write_report"]
