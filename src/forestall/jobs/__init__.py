"""The thing that is submitted: the job, its hash, its states."""
