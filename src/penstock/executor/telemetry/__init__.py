"""What an executor shows of itself and its runs: metrics, traces, logs, alerts."""
