"""The platform team's policies, in CEL."""
