"""What can be proved later: the record, the chain, the verifier. Pure, so a stranger can run it."""
