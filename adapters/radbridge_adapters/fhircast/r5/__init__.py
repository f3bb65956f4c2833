"""FHIR R5 content, as IHE Integrated Reporting Applications puts it into FHIRcast. Kept apart from the R4 endpoint."""
