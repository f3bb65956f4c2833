"""Report text: its sentences, its words, and what its statements affirm and deny."""

from radbridge.text.controls import holds_controls, strip_controls
from radbridge.text.sentences import MAX_CHARS, Sentence, drop_list_numbers, label_sentences, split_sentences
from radbridge.text.words import FUNCTION_WORDS, content_words, locate_words, read_words, stem

__all__ = [
    "FUNCTION_WORDS",
    "MAX_CHARS",
    "Sentence",
    "content_words",
    "drop_list_numbers",
    "holds_controls",
    "label_sentences",
    "locate_words",
    "read_words",
    "split_sentences",
    "stem",
    "strip_controls",
]
