"""Facts of cluster and cloud command lines (kubectl, helm, aws, ...): verb, class, target."""
