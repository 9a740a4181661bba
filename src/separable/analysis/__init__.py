"""What networks cost and how good they are: profiles, metrics, plots."""

from separable.analysis.profile import LayerProfile, Profile, profile

__all__ = ["LayerProfile", "Profile", "profile"]
