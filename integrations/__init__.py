"""Bring a report to someone; fetch what archive and record know.

A library: it knows neither the node that calls it nor how a finding was made.
Read `destination.Destination` first; `pacs` and `fhir` each keep that promise in their own protocol.
"""
