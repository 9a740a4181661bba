"""What every page written here is made of: one look, light and dark, in one self-contained file."""

from separable.analysis.page.document import Section, document

__all__ = ["Section", "document"]
