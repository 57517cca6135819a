"""Where everything is kept: the journal of what came in, the book of what was made of it, what is handed out."""

from truceline.store.journal import Counts, Journal, Receipt
from truceline.store.proof import Proof, check_proof

__all__ = ["Counts", "Journal", "Proof", "Receipt", "check_proof"]
