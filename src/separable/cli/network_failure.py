"""What to say when somebody's network fails; see analysis/network_failure.py, where `record_graph` finds it too."""

from separable.analysis.network_failure import is_about_size, own_words, refusal

__all__ = ["is_about_size", "own_words", "refusal"]
