"""What peers send us: judged, journaled, answered, then read as facts."""
