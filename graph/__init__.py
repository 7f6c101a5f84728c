"""The LangGraph state machine and its wiring."""
