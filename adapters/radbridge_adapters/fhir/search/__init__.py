"""Searches: parameters as data, a query parsed without a database, pages."""
