"""A build from end to end: dbt, the account, publishing and what is told of it."""
