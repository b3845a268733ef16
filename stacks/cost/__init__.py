"""What an environment costs a month, why, and how sure that is: read from its resource graph or its stack outputs."""
