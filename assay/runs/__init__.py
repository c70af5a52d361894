"""Everything around a dbt run: the lock, the past, publishing, the ledger, and what people are told."""
