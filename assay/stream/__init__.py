"""Land the messages of Kafka and of databases' logs as segments, exactly once."""
