"""Every error Truceline raises on purpose; one root, so that one `except` at the door is enough.

A bad *record* is data and becomes a rejection in the journal; a bad *source* or a bad *mission file*
raises one of these, with a message that names the file, the key or field, and the value.
"""


class TrucelineError(Exception):
    """Root of all errors a user can cause or meet; its text is written for that user."""


class MissionError(TrucelineError, ValueError):
    """A mission, agreement or line file says something that cannot be meant."""


class SourceError(TrucelineError, ValueError):
    """A whole source cannot be read: absent, empty, not what its feed reads, not downloadable."""


class StoreError(TrucelineError, ValueError):
    """The journal or the book is damaged, locked, or of another schema version."""


class NotFoundError(TrucelineError, LookupError):
    """No finding, incident, event, observation, day or table of that name."""


class BusyError(TrucelineError):
    """More is waiting than may be; nothing was taken: come again in `retry_after_s`."""

    def __init__(self, text: str, retry_after_s: float) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class DeniedError(TrucelineError):
    """What was asked for is not this person's to do, or takes somebody else as well."""


class QueryError(TrucelineError, ValueError):
    """A question is not put as it has to be; the text names the parameter and its value."""
