{{ assay.point_in_time_join("read_parquet('questions.parquet')", 'asked_at', [{
    'relation': "read_parquet('values.parquet')",
    'entity_keys': ['card_id'],
    'columns': ['amount'],
    'needed': ['updated_at'],
    'max_age': '30d',
    'derived': {'hours_old': "date_diff('microsecond', updated_at, as_of) / 3600e6"},
}]) }}
