"""How good drafts are, beside what was signed: measures, intervals, comparisons, one page."""
