"""Find how the schema of landed files differs from the declared one, record it, and treat rows by mode."""
