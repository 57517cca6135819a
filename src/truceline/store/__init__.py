"""Where everything is kept: the journal of what came in, the book of what was made of it, what is handed out."""

from truceline.store.book import Book, Edition, Published
from truceline.store.export import export
from truceline.store.journal import Counts, Journal, Receipt
from truceline.store.proof import Proof, check_proof
from truceline.store.publish import publish

__all__ = [
    "Book",
    "Counts",
    "Edition",
    "Journal",
    "Proof",
    "Published",
    "Receipt",
    "check_proof",
    "export",
    "publish",
]
