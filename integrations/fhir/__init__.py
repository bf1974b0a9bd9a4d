"""FHIR R4 servers: read what a patient's record knows, and write a report into it."""
