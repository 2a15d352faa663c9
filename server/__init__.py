"""The aggregator: sees sums, never a site's rows."""
