"""Every error that Middo raises on purpose, with the exit code that the command line gives it.

    MiddoError              1   something inside went wrong
    +- UsageError           2   configuration, data or arguments can't be used as they are
    |  +- ConfigError       2   a key or value of the configuration
    |  +- DataError         2   a file or row of the user's data
    |  +- ModelError        2   a model, adapter or embedder that can't be loaded
    +- ProviderError        3   an LLM provider or its credentials
    +- BudgetReached        4   a cap of `budget` was met; the run can be resumed
    +- TooManyFailures      5   more units failed than allowed; the run can be resumed
    +- TrainingError        1   the training process died; its last lines are in the message
    +- StorageError         1   a disk has no room, no right to write, or fails; can be resumed
    +- RunLocked           75   another process owns the run folder
    +- Interrupted        130   SIGINT or SIGTERM; the run can be resumed

A message is one line: what was wrong, where, and what to do about it.
"""


class MiddoError(Exception):
    """Base of every error that Middo raises on purpose."""

    exit_code = 1


class UsageError(MiddoError):
    """The user's configuration, data or arguments can't be used as they are."""

    exit_code = 2


class ConfigError(UsageError):
    """A key or a value of the configuration is wrong."""


class DataError(UsageError):
    """A data file, or too many of its rows, can't be used."""


class ModelError(UsageError):
    """A model, adapter or embedder can't be found or loaded."""


class ProviderError(MiddoError):
    """An LLM provider can't be reached, refuses the credentials, or isn't installed."""

    exit_code = 3


class BudgetReached(MiddoError):
    """A cap of the `budget` section was reached; everything done so far is kept."""

    exit_code = 4


class TooManyFailures(MiddoError):
    """More units of work failed than a run may lose."""

    exit_code = 5


class TrainingError(MiddoError):
    """The training process ended without a model."""


class StorageError(MiddoError):
    """A disk refuses what has to be kept: it is full, read-only or broken."""


class RunLocked(MiddoError):
    """Another living process owns the run folder."""

    exit_code = 75


class Interrupted(MiddoError):
    """The run was asked to stop; what was in flight is finished and committed."""

    exit_code = 130
