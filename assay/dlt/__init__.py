"""Land what sources of dlt yield: tables of databases, answers of APIs."""
