"""Resources in the journal's database: versions that are never changed, and what they are found by."""
