"""Base models: what they are made of, what they need, what is missing."""
