"""Where sockets are opened; the only place that joins the plane to its adapters."""
