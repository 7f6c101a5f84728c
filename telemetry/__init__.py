"""The events of a run as OpenTelemetry spans with OpenInference attributes."""
