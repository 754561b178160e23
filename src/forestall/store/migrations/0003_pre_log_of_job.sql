-- Following one job reads its records alone. Ids of jobs grow with time, so new rows stand last.
CREATE INDEX log_of_job ON log (tenant, job_id, position) WHERE job_id <> '';
