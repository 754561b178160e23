"""What stands beside an agent or an operator and speaks to the plane over HTTP."""
