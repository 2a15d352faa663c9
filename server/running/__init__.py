"""The aggregator's processes: what is started, watched, and started again."""
