"""What operators see: metrics, traces, logs, time inside attention."""
