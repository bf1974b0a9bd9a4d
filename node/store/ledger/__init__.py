"""The ledger: journal against records, records against files, orders against work."""

from node.store.ledger.balance import balance

__all__ = ["balance"]
