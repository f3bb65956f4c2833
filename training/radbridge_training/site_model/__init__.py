"""Makes a site model: the embedded base with a site's own signed reports beside it, and what chooses among them."""
