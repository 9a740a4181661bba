"""Who takes part in `separable bench train` and `infer`: us, torch in several settings, and other people's tools."""

__all__: list[str] = []
