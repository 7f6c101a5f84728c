"""Scripted models that a configuration can name and a test can look into."""

from middo.providers.scripted import ScriptedChat

FACTORY = "import:tests.graph.scripts:scripted"
SCRIPTS: dict[str, ScriptedChat] = {}


def scripted(name: str) -> ScriptedChat:
    """Return the model that a test put there."""
    return SCRIPTS[name]
