"""The command line of operators. Prints what the plane or the policy says; decides nothing."""
