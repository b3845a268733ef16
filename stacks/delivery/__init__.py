"""From a reviewed commit to an environment: what was read is what is applied, and a failure leaves the old version."""
