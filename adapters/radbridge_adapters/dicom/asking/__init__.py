"""What we ask peers: worklists and archives, never in the way of an answer or a draft."""
