"""Whether trained weights may write drafts: judged on later reports, as a real model server serves them."""
