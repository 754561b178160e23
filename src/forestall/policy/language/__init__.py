"""From YAML text to rules: strict reading with line and column (start with `policy_file`)."""
