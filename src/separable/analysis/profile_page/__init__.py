"""`separable profile --html`: one page on what a network costs, how long it takes, and what its limit is."""

from separable.analysis.profile_page.page import profile_page
from separable.analysis.profile_page.subject import Subject

__all__ = ["Subject", "profile_page"]
