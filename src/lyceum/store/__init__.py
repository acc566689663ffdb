"""The ledger, which alone holds the truth, and the views that follow it; knows no parser and no question."""
