"""Published tables and figures as data: one small file each, and what runs and renders them."""

__all__: list[str] = []
