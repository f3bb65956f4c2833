"""PDUs, DIMSE and associations, called and calling. It knows no case and no journal."""
