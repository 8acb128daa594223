"""The ledger: headline claims of the papers, held against the tables of a run."""
