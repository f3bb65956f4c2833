"""Finding texts like a text: word indexes and overlap."""
