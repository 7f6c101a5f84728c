"""Events of a run as OpenTelemetry spans, sent to one endpoint where `traces.otlp` names it."""
