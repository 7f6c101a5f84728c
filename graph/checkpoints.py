"""The checkpoints of a run: the newest is the one that was written last, whatever the clock said.

Ids of checkpoints begin with the time, and LangGraph takes the largest for the newest. Where the
clock is set back between two sessions that is one of the first session: a run that ended would
stand at its pause again, and one that was killed would go on from a node that is long done.
"""

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple, get_checkpoint_id
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

_LAST_WRITTEN = (
    "SELECT checkpoint_id FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = ?"
    " ORDER BY rowid DESC LIMIT 1"
)


class Checkpoints(AsyncSqliteSaver):  # type: ignore[misc]  # its package is not followed
    """LangGraph's SQLite saver with another word on which checkpoint is the newest."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that is asked for by id, else the one that was written last."""
        kept: CheckpointTuple | None
        if get_checkpoint_id(config) is not None:
            kept = await super().aget_tuple(config)
            return kept
        await self.setup()
        asked = config["configurable"]
        space = asked.get("checkpoint_ns", "")
        async with self.conn.execute(_LAST_WRITTEN, (str(asked["thread_id"]), space)) as rows:
            found = await rows.fetchone()
        if found is None:
            return None
        last = {"thread_id": asked["thread_id"], "checkpoint_ns": space, "checkpoint_id": found[0]}
        kept = await super().aget_tuple({"configurable": last})
        return kept
