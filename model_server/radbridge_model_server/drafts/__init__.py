"""From a request to a checked draft, and the count of them."""
