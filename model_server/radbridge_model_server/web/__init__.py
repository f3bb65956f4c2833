"""The HTTP interface of one replica."""
