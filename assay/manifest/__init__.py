"""What dbt wrote down of the project when it last parsed it."""
