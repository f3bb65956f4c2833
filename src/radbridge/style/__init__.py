"""How a radiologist writes: signed sentences to word a statement after, counted habits, the layout they make."""

from radbridge.style.features import count_features, measure_style
from radbridge.style.hand import Hand, read_hand
from radbridge.style.sentences import StyleSentence

__all__ = ["Hand", "StyleSentence", "count_features", "measure_style", "read_hand"]
