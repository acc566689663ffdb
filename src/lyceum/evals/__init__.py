"""Examples and an answerer to runs, comparisons and causes; knows no index, no file format and no model's name."""

MAKERS = {"support": "lyceum.evals.support:Support"}
