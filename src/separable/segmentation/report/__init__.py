"""`report.html` of a segmentation: one self-contained page about a run, made from the files of its folder."""

from separable.segmentation.report.page import write_report

__all__ = ["write_report"]
