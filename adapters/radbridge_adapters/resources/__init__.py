"""FHIR R4 resources as values: read, validated, translated to the core's facts, composed. No socket and no database."""
